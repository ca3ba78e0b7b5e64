"""`GET /` and `GET /products/{slug}`: the catalogue."""

from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from kit.web.pages import Pages
from kit.web.storefront.catalogue import Catalogue
from kit.web.storefront.cookies import ShopCookies


@dataclass(frozen=True, slots=True)
class Shelves:
    """The endpoints, with all they need."""

    catalogue: Catalogue
    cookies: ShopCookies
    pages: Pages

    async def index(self, request: Request) -> Response:
        """Show all products."""
        products = list(self.catalogue.values())
        return self.pages.render(request, "shop/index.html", {"products": products})

    async def product(self, request: Request) -> Response:
        """Show one product, and a form whose token stands for this one purchase."""
        product = self.catalogue.get(request.path_params["slug"])
        if product is None:
            return self.pages.problem(
                request,
                status=404,
                title="No such product",
                message="This address belongs to no product of ours.",
                action="Find it in the catalogue.",
            )
        context = {"product": product, "attempt": self.cookies.new_attempt(), "error": None}
        return self.pages.render(request, "shop/product.html", context)
