"""Calls as curl commands, to look something up or to try it by hand. Keys stay in variables."""

import shlex
from dataclasses import dataclass, replace

from kit.helpers.dodo_datafast import Outgoing, lookup_request, payment_request
from kit.ledger.deliveries import payment_of
from kit.ledger.rows import Row

_PLACEHOLDER = "KEY"


@dataclass(frozen=True, slots=True)
class Curl:
    """Writes the calls that the kit makes, to where it makes them."""

    dodo_environment: str
    dodo_url: str | None
    datafast_url: str
    datafast_website_id: str | None
    """Only an account token needs it."""

    def report(self, row: Row) -> str:
        """Report a payment, as it would be sent now; without e-mail and name."""
        payment = replace(payment_of(row), email=None, name=None)
        key = f"dft_{_PLACEHOLDER}" if self.datafast_website_id else _PLACEHOLDER
        call = payment_request(
            payment,
            api_key=key,
            website_id=self.datafast_website_id,
            base_url=self.datafast_url,
        )
        return _written(call, "DATAFAST_API_KEY")

    def payment(self, payment_id: str) -> str | None:
        """Read a payment from Dodo; None for an id that Dodo cannot have given."""
        try:
            call = lookup_request(
                "payments",
                payment_id,
                api_key=_PLACEHOLDER,
                environment=self.dodo_environment,
                base_url=self.dodo_url,
            )
        except ValueError:
            return None
        return _written(call, "DODO_PAYMENTS_API_KEY")

    def visitor(self, visitor_id: str) -> str:
        """Ask DataFast what it knows of a visitor."""
        website = f"?websiteId={self.datafast_website_id}" if self.datafast_website_id else ""
        url = f"{self.datafast_url.rstrip('/')}/api/v1/visitors/{visitor_id}{website}"
        return _written(Outgoing("GET", url, {}, b""), "DATAFAST_API_KEY")


def _written(call: Outgoing, variable: str) -> str:
    words = ["curl"] if call.method == "GET" else [f"curl -X {call.method}"]
    words.append(shlex.quote(call.url))
    words.append(f'-H "Authorization: Bearer ${variable}"')
    if call.content:
        words.append("-H 'Content-Type: application/json'")
        words.append(f"-d {shlex.quote(call.content.decode())}")
    return " \\\n  ".join((f"{words[0]} {words[1]}", *words[2:]))
