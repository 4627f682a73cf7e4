"""The products of an order as its buyer sees them, each with a thumbnail."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from service.bigcommerce import StoreApi
from service.bigcommerce.clients.storefront_models import BuyerProduct, Thumbnail
from service.bigcommerce.envelope import Document
from service.bigcommerce.models import to_text
from service.errors import CredentialsRefused, Refused
from service.orders.buyer_view.differences import EQUAL, Comparison, Difference, Kind
from service.orders.buyer_view.shown import Absent, NotShown, Shown, shown
from service.stores.field_types import is_loopback

MAX_CATALOG_READS = 20
"""Products whose images are read from the catalog for one view: each costs a call of the core API's quota."""


@dataclass(frozen=True, slots=True)
class ShownProduct:
    """A product with its thumbnail; Absent where neither API has one."""

    product: BuyerProduct
    thumbnail: Shown[Thumbnail]


def join_products(listed: Shown[list[BuyerProduct]], others: Iterable[BuyerProduct]) -> Shown[list[BuyerProduct]]:
    """The products that the buyer's list shows, with names and SKUs that only the ``others`` have."""
    if not isinstance(listed, list):
        return listed
    known = [each for each in others if each.product_id]
    return [_with_name(product, known) for product in listed]


def _with_name(product: BuyerProduct, known: Sequence[BuyerProduct]) -> BuyerProduct:
    same = [each for each in known if each.product_id == product.product_id]
    # The management API shows no variant: its rows count where they agree. Another variant's row never does.
    exact = [each for each in same if each.variant_id == product.variant_id is not None]
    loose = [each for each in same if each.variant_id is None or product.variant_id is None]

    def found(key: str) -> str | None:
        for rows in (exact, loose):
            values = {value for each in rows if (value := getattr(each, key))}
            if len(values) == 1:
                return str(values.pop())
        return None

    changes = {key: found(key) for key in ("name", "sku") if not getattr(product, key)}
    return product.model_copy(update={key: value for key, value in changes.items() if value})


def compare_products(ordered: Shown[list[BuyerProduct]], seen: Shown[list[BuyerProduct]]) -> Comparison:
    """Which products B2B Edition has in the order and the buyer does not see, and the reverse."""
    if isinstance(ordered, NotShown) and isinstance(seen, list):
        return Comparison((), (f"The record's products are unknown, so they were not compared: {ordered.reason}",))
    if not isinstance(ordered, list) or not isinstance(seen, list):
        return EQUAL  # an order that is not there is a difference of its own; what is not shown says so itself
    recorded, shown_ids = ({each.product_id: each for each in rows} for rows in (ordered, seen))
    missing = [_named(recorded[key]) for key in sorted(recorded.keys() - shown_ids.keys()) if key]
    more = [_named(shown_ids[key]) for key in sorted(shown_ids.keys() - recorded.keys()) if key]
    return Comparison(
        tuple(
            [Difference(Kind.PRODUCT, "", name, "") for name in missing]
            + [Difference(Kind.PRODUCT, "", "", name) for name in more]
        ),
        (),
    )


def _named(product: BuyerProduct) -> str:
    return f"{product.product_id} ({product.name})" if product.name else str(product.product_id)


def storefront_images(products: Sequence[BuyerProduct], rows: Iterable[Document], order_id: int) -> dict[int, str]:
    """The image of each product, by its id, from List Order Images, whose rows name the order but not the product.

    An image belongs to the product whose id its address names, as BigCommerce's addresses of images do, or to the
    order's only product. Others belong to nobody: a wrong picture is worse than none.
    """
    ids = {product.product_id for product in products}
    images = dict[int, str]()
    for row in rows:
        url = image_url(row.get("imageUrl"))
        if url is None or to_text(row.get("orderId")) != str(order_id):
            continue
        named = {int(number) for number in re.findall(r"/products/(\d{1,18})/", urlsplit(url).path)}
        owners = named & ids if named else ids
        if len(owners) == 1:
            images.setdefault(next(iter(owners)), url)
    return images


def image_url(value: Any) -> str | None:
    """An image's address, if it is one that a page may show: https, with a host and without credentials.

    A sandbox on this machine has http.
    """
    if not isinstance(value, str):
        return None
    try:
        parts = urlsplit(value)
    except ValueError:
        return None
    is_safe = parts.scheme == "https" or (parts.scheme == "http" and is_loopback(parts.hostname or ""))
    is_valid = is_safe and parts.hostname and "@" not in parts.netloc
    return value if is_valid else None


async def with_thumbnails(
    api: StoreApi, products: Sequence[BuyerProduct], images: Mapping[int, str], unread: NotShown | None = None
) -> tuple[ShownProduct, ...]:
    """The products with their thumbnails: the storefront's ``images``, by product, else the catalog's, read if needed.

    ``unread`` is why the storefront's images are unknown; it is told where the catalog has none either.
    """
    missing = dict.fromkeys(each.product_id for each in products if each.product_id not in images)
    to_read = list(missing)[:MAX_CATALOG_READS]
    # One after another: calls of the lowest priority that wait for the quota together keep each other waiting.
    found = {each: await _catalog_image(api, each) for each in to_read}

    def thumbnail(product: BuyerProduct) -> Shown[Thumbnail]:
        if url := images.get(product.product_id):
            return Thumbnail(url=url, source="storefront")
        if product.product_id not in found:
            return NotShown(f"The images of only {MAX_CATALOG_READS} products are read at a time.")
        image = found[product.product_id]
        return image or unread or Absent("The product has no image.")

    return tuple(ShownProduct(product, thumbnail(product)) for product in products)


async def _catalog_image(api: StoreApi, product_id: int) -> Shown[Thumbnail] | None:
    """The catalog's thumbnail of a product: the image that is marked so, else the first. None if there is no image."""
    rows = await shown(_catalog_images(api, product_id))
    if not isinstance(rows, list):
        return rows
    rows.sort(key=lambda row: (row.get("is_thumbnail") is not True, _order_of(row)))
    urls = (image_url(row.get("url_thumbnail")) or image_url(row.get("url_standard")) for row in rows)
    url = next((each for each in urls if each), None)
    return None if url is None else Thumbnail(url=url, source="catalog")


async def _catalog_images(api: StoreApi, product_id: int) -> list[Document]:
    try:
        return await api.core.product_images(product_id)
    except CredentialsRefused as error:
        if error.status != 403:
            raise
        why = f"{error.message}. The access token may lack the scope Products (read-only), which only pictures need"
        raise Refused(error.operation, why, status=403) from error


def _order_of(row: Document) -> int:
    order = row.get("sort_order")
    return order if isinstance(order, int) else 0
