"""Serve the stand-in for DataFast's tracking script in its three variants."""

from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response

from kit.sandbox.refusals import ApiError

SOURCE = Path(__file__).with_name("script.js")
VARIANTS = ("", "hash", "cookieless")


async def serve_script(request: Request) -> Response:
    """Answer `/js/script.js`, `/js/script.hash.js` and `/js/script.cookieless.js`."""
    variant = request.path_params.get("variant", "")
    if variant not in VARIANTS:
        raise ApiError(404, f"There is no script.{variant}.js.")
    source = SOURCE.read_text(encoding="utf-8").replace("__VARIANT__", variant)
    return Response(
        source,
        media_type="text/javascript",
        headers={"cache-control": "public, max-age=300", "access-control-allow-origin": "*"},
    )
