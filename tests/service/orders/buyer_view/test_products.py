"""Products and their pictures: whose picture it is, and what is unknown."""

from typing import Any

import pytest

from service.bigcommerce import StoreApi
from service.bigcommerce.clients.storefront_models import BuyerProduct, Thumbnail
from service.orders.buyer_view.products import (
    MAX_CATALOG_READS,
    compare_products,
    image_url,
    join_products,
    storefront_images,
    with_thumbnails,
)
from service.orders.buyer_view.shown import Absent, NotShown
from tests.fakes.upstream import FakeUpstream, store_api

CDN = "https://cdn8.bigcommerce.com/s-x/products"


def product(product_id: int, **fields: Any) -> BuyerProduct:
    return BuyerProduct(product_id=product_id, **fields)


def image(url: Any, order_id: Any = 1) -> dict[str, Any]:
    return {"orderId": order_id, "imageUrl": url}


@pytest.mark.parametrize(
    ("products", "rows", "images"),
    [
        ([5], [image(f"{CDN}/5/images/1/a.jpg")], {5: f"{CDN}/5/images/1/a.jpg"}),
        ([5, 6], [image(f"{CDN}/6/images/1/a.jpg")], {6: f"{CDN}/6/images/1/a.jpg"}),
        ([5, 6], [image(f"{CDN}/5/a.jpg"), image(f"{CDN}/5/b.jpg")], {5: f"{CDN}/5/a.jpg"}),
        ([5], [image("https://shop.test/media/a.jpg")], {5: "https://shop.test/media/a.jpg"}),
        ([5, 6], [image("https://shop.test/media/a.jpg")], {}),
        ([5], [image(f"{CDN}/7/images/1/a.jpg")], {}),
        ([5], [image(f"{CDN}/5/a.jpg", order_id=2)], {}),
        ([5], [image(f"{CDN}/5/a.jpg", order_id="1")], {5: f"{CDN}/5/a.jpg"}),
        ([5], [image(None), {"orderId": 1}, image(""), image(["x"])], {}),
    ],
)
def test_an_image_belongs_to_the_product_that_its_address_names_or_to_the_only_one(
    products: list[int], rows: list[dict[str, Any]], images: dict[int, str]
) -> None:
    assert storefront_images([product(each) for each in products], rows, 1) == images


@pytest.mark.parametrize(
    "url",
    [
        "http://x.test/a.jpg",
        "javascript:alert(1)",
        "data:image/png;base64,x",
        "//x.test/a.jpg",
        "https://user:pass@x.test/a.jpg",
        "https://[x/a.jpg",
        "https:///a.jpg",
        7,
        None,
    ],
)
def test_an_address_that_a_page_may_not_show_is_none(url: Any) -> None:
    assert image_url(url) is None


async def test_the_catalogs_thumbnail_is_the_marked_one_else_the_first() -> None:
    marked = [{"url_thumbnail": f"{CDN}/5/1.jpg", "sort_order": 0}]
    marked += [{"url_thumbnail": f"{CDN}/5/2.jpg", "sort_order": 1, "is_thumbnail": True}]
    unmarked = [{"url_thumbnail": f"{CDN}/6/2.jpg", "sort_order": 1}, {"url_standard": f"{CDN}/6/1.jpg"}]
    upstream = FakeUpstream()
    upstream.on("GET /v3/catalog/products/5/images", {"data": marked})
    upstream.on("GET /v3/catalog/products/6/images", {"data": unmarked})
    async with store_api(upstream) as api:
        found = await with_thumbnails(api, [product(5), product(6)], {})
    assert [each.thumbnail for each in found] == [
        Thumbnail(url=f"{CDN}/5/2.jpg", source="catalog"),
        Thumbnail(url=f"{CDN}/6/1.jpg", source="catalog"),
    ]


async def test_a_product_without_image_is_told_from_one_whose_images_are_unknown() -> None:
    upstream = FakeUpstream()
    upstream.on("GET /v3/catalog/products/5/images", {"data": []})
    upstream.on("GET /v3/catalog/products/6/images", {"data": "x"})
    upstream.on("GET /v3/catalog/products/7/images", (404, {"status": 404, "title": "Not found", "type": "x"}))
    async with store_api(upstream) as api:
        none, unknown, deleted = await with_thumbnails(api, [product(5), product(6), product(7)], {})
        assert none.thumbnail == Absent("The product has no image.")
        assert isinstance(unknown.thumbnail, NotShown)
        assert isinstance(deleted.thumbnail, Absent)

        (unread,) = await with_thumbnails(api, [product(5)], {}, NotShown("429"))
        assert unread.thumbnail == NotShown("429")


async def test_only_some_products_are_looked_up_in_the_catalog(api: StoreApi, upstream: FakeUpstream) -> None:
    products = [product(number) for number in range(1, MAX_CATALOG_READS + 3)]
    for each in products:
        upstream.on(f"GET /v3/catalog/products/{each.product_id}/images", {"data": []})
    found = await with_thumbnails(api, products, {})
    assert len(upstream.requests) == MAX_CATALOG_READS
    assert [type(each.thumbnail) for each in found] == [Absent] * MAX_CATALOG_READS + [NotShown] * 2


def test_names_come_from_where_they_are_shown() -> None:
    listed = [product(5, variant_id=1), product(5, variant_id=2), product(6, name="Own name")]
    details = [product(5, variant_id=1, name="Small"), product(5, variant_id=2, name="Large", sku="L")]
    joined = join_products(listed, [*details, product(6, name="Other name", sku="S")])
    assert isinstance(joined, list)
    assert [(each.name, each.sku) for each in joined] == [("Small", None), ("Large", "L"), ("Own name", "S")]


def test_a_name_that_may_be_another_variants_is_not_taken() -> None:
    joined = join_products(
        [product(5, variant_id=3)], [product(5, name="Shirt", sku="S"), product(5, name="Shirt", sku="L")]
    )
    assert isinstance(joined, list)
    assert [(each.name, each.sku) for each in joined] == [("Shirt", None)]


def test_products_on_one_side_only_are_pointed_out() -> None:
    compared = compare_products([product(5, name="Carton"), product(6)], [product(6), product(7)])
    assert [each.sentence for each in compared.differences] == [
        "The record holds the product 5 (Carton), and the buyer does not see it.",
        "The buyer sees the product 7, and the record does not hold it.",
    ]


@pytest.mark.parametrize("unknown", [NotShown("down"), Absent("404")])
def test_unread_products_do_not_differ(unknown: Any) -> None:
    assert compare_products(unknown, [product(5)]).differences == ()
    assert compare_products([product(5)], unknown).differences == ()


def test_that_the_records_products_are_unknown_is_said() -> None:
    (sentence,) = compare_products(NotShown("down"), [product(5)]).not_compared
    assert sentence == "The record's products are unknown, so they were not compared: down"
