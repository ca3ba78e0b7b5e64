"""`POST /consent`: a visitor's answer, by a plain form or by the page's own small script."""

import logging
import re
from dataclasses import dataclass

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from kit.errors import LedgerUnavailable
from kit.helpers.dodo_datafast import visitor_from_cookies
from kit.ledger import Ledger
from kit.ledger.tombstones import bury
from kit.web.consent import REFUSED, ConsentRule, refusal_lines
from kit.web.forms import read_form
from kit.web.guard import is_same_origin
from kit.web.jar import add_cookies, cookie_line
from kit.web.pages import Pages, ScriptTag

_log = logging.getLogger(__name__)

ANSWER_LIFE_S = 182 * 24 * 3600  # half a year, then the shop asks again
MAX_ANSWER_BYTES = 64 * 1024  # the address to go back to may be as long as a request line
_CHOICES = ("given", "refused")
# A path of this shop: browsers take "//" and "/\" for another host.
_OWN_PATH = re.compile(r"/(?![/\\])[!-\[\]-~]*")


@dataclass(frozen=True, slots=True)
class ConsentForm:
    """The endpoint, with all it needs; `copies` are our own cookies that hold the visitor."""

    ledger: Ledger
    rule: ConsentRule
    pages: Pages
    tag: ScriptTag | None
    base_url: str
    domain: str | None
    copies: tuple[str, ...]

    async def post(self, request: Request) -> Response:
        """
        Write the answer down in the browser that gave it, and lead back to the page it came from.

        A refusal ends all of DataFast's cookies and our copies, and what was bought before it is
        sent without the visitor from now on. A script that asks for JSON gets the tag of DataFast's
        script instead of a redirect: a page that is loaded again names the shop itself as its
        referrer, and the visit would lose where it came from.
        """
        form = await read_form(request)
        choice = form.get("choice")
        if not is_same_origin(request, self.base_url) or choice not in _CHOICES:
            return self.pages.problem(
                request,
                status=400,
                title="That was no answer",
                message="The question can be answered on this shop's own pages only.",
                action="Choose again there. Nothing was changed.",
            )
        secure = self.base_url.startswith("https://")
        given = choice == "given"
        answer = cookie_line(
            self.rule.cookie,
            self.rule.accepted if given else REFUSED,
            max_age_s=ANSWER_LIFE_S,
            secure=secure,
        )
        ended = [] if given else refusal_lines(request, domain=self.domain)
        if not given:
            await self._bury(visitor_from_cookies(request.headers.get("cookie")).visitor_id)
            ended += [
                cookie_line(name, "", max_age_s=0, secure=secure, http_only=True)
                for name in self.copies
            ]
        response: Response
        if "application/json" in request.headers.get("accept", ""):
            tag = self.tag.attributes() if given and self.tag is not None else None
            response = JSONResponse({"consent": choice, "tag": tag})
        else:
            back = form.get("back", "")
            response = RedirectResponse(back if _OWN_PATH.fullmatch(back) else "/", 303)
        add_cookies(MutableHeaders(raw=response.raw_headers), [answer, *ended])
        return response

    async def _bury(self, visitor_id: str | None) -> None:
        if visitor_id is None:
            return
        try:
            await self.ledger.write(
                lambda connection: bury(connection, visitor_id, self.ledger.now_ms())
            )
        except LedgerUnavailable:
            # The browser forgets all the same; reports under way may still name the visitor.
            _log.error("a withdrawn consent was not written down: the ledger takes no writes")
