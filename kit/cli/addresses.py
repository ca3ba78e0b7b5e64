"""Addresses of the shop on a command line: where they may lead, and where they lead by default."""

from urllib.parse import urlsplit

import click

from kit.checks.setup import is_local

WEBHOOK_PATH = "/webhooks/dodo"


def shop_url(text: str) -> str:
    """
    Accept https, and http on this machine: keys and signed bodies are worth protecting on the way.

    Raises BadParameter, for a password in it too, which would be shown and logged.
    """
    try:
        parts = urlsplit(text)
        host, _port = parts.hostname or "", parts.port
    except ValueError:
        raise click.BadParameter("that is no URL") from None
    protected = parts.scheme == "https" or (parts.scheme == "http" and is_local(text))
    if not host or "@" in parts.netloc or not protected:
        raise click.BadParameter(
            "it must be an https URL without a password (http on localhost only)"
        )
    return text
