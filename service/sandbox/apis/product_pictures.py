"""Pictures of products: drawn here, so that pages which show them need no other host."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from service.sandbox.gateway import Call

# A carton seen from a corner: its top, its left and its right side, and a strip of tape. {hue} differs by product.
_CARTON = """\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 64 64" width="256" height="256">
<rect width="64" height="64" fill="hsl({hue} 35% 94%)"/>
<path d="M32 12 54 22 32 32 10 22z" fill="hsl({hue} 45% 72%)"/>
<path d="M10 22 32 32V54L10 43z" fill="hsl({hue} 45% 58%)"/>
<path d="M54 22 32 32V54L54 43z" fill="hsl({hue} 45% 46%)"/>
<path d="M19 18 41 28V35L45 33V26L23 16z" fill="hsl({hue} 60% {tape}%)"/>
</svg>
"""
# So far apart that products with neighbouring ids look different.
_HUE_STEP = 137


def routes() -> list[BaseRoute]:
    """The route of the pictures. Like a storefront's CDN it asks for no token and counts against no quota."""
    return [Route("/products/{product_id:int}/images/{number:int}.svg", _picture)]


def picture_url(call: Call, product_id: int, number: int = 1) -> str:
    """Where a picture of the product is."""
    return f"{call.base_url}/products/{product_id}/images/{number}.svg"


async def _picture(request: Request) -> Response:
    product_id, number = request.path_params["product_id"], request.path_params["number"]
    drawn = _CARTON.format(hue=product_id * _HUE_STEP % 360, tape=85 if number % 2 else 30)
    return Response(drawn, media_type="image/svg+xml", headers={"cache-control": "max-age=3600"})
