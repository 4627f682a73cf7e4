"""What the buyer of an order sees, against the sandbox over HTTP."""

import asyncio
from typing import Any

import pytest

from service.bigcommerce.clients.storefront_models import BuyerOrder, Thumbnail
from service.bigcommerce.models import Record
from service.errors import NotFound
from service.orders.buyer_view.order_view import NobodyToLookAs, OrderView
from service.orders.buyer_view.shown import Absent, NotShown
from tests.service.orders.buyer_view.conftest import ACCOUNT_NO, BuyerStack

pytestmark = pytest.mark.integration

ADA, BEN, CLEO, SUE, ZOE, GUEST = 101, 102, 103, 150, 199, 0


def sentences(view: OrderView) -> list[str]:
    return [each.sentence for each in view.comparison.differences]


async def test_a_buyer_sees_po_number_extra_fields_products_and_images(stack: BuyerStack) -> None:
    view = await stack.view(await stack.place())

    assert isinstance(view.seen, BuyerOrder)
    assert (view.seen.po_number, view.seen.extra_fields) == ("A-1", ACCOUNT_NO)
    assert isinstance(view.products, tuple)
    ((product, image),) = ((each.product, each.thumbnail) for each in view.products)
    assert (product.product_id, product.name, product.sku, product.quantity) == (
        (111, "Shipping Carton, 50 pcs", "CARTON-50", 2)
    )
    assert isinstance(image, Thumbnail)
    assert (image.url.endswith("/products/111/images/1.svg"), image.source) == (True, "storefront")
    assert (view.comparison.differences, view.comparison.not_compared) == ((), ())
    assert view.is_known


async def test_a_po_that_the_record_holds_and_the_buyer_does_not_see_is_pointed_out(stack: BuyerStack) -> None:
    order_id = await stack.place(po=None)
    await stack.sandbox.write_record(order_id, po_number="A-2", changed_fields={"Cost Center": "CC-1"})
    await stack.sandbox.faults(storefront_lag=3600)

    assert sentences(await stack.view(order_id)) == [
        "The record holds the PO number A-2, and the buyer does not see it.",
        "The record holds the extra field Cost Center with CC-1, and the buyer does not see it.",
    ]


async def test_a_po_that_only_the_buyer_sees_is_pointed_out_too(stack: BuyerStack) -> None:
    order_id = await stack.place(po="A-1")
    await stack.sandbox.write_record(order_id, po_number="", extra_fields={"Account No": "other"})
    await stack.sandbox.faults(storefront_lag=3600)

    assert sentences(await stack.view(order_id)) == [
        "The buyer sees the PO number A-1, and the record does not hold it.",
        "The record holds the extra field Account No with other, and the buyer sees ERP-10001.",
    ]


async def test_an_order_for_another_company_is_not_seen_by_its_buyer_and_that_is_pointed_out(
    stack: BuyerStack,
) -> None:
    view = await stack.view(await stack.place(company_id=5003))

    assert isinstance(view.seen, Absent)
    assert "Order Does not Exist" in view.seen.reason
    assert isinstance(view.products, Absent)
    assert sentences(view) == [
        "B2B Edition has a record of the order with PO number A-1, and the buyer does not see the order."
    ]
    assert view.is_known


async def test_a_field_that_buyers_are_not_meant_to_see_is_no_difference(stack: BuyerStack) -> None:
    fields = [{"fieldName": "Cost Center", "visibleToEnduser": False}, {"fieldName": "Account No"}]
    people: dict[str, Any] = {
        "companies": [{"id": 5001, "name": "A"}],
        "users": [{"customer_id": ADA, "company_id": 5001}],
    }
    await stack.sandbox.put_store(extra_fields=fields, **people)
    view = await stack.view(await stack.place(buyer_extra_fields={"Cost Center": "CC-1", **ACCOUNT_NO}))

    assert isinstance(view.seen, BuyerOrder)
    assert view.seen.extra_fields == ACCOUNT_NO
    assert isinstance(view.record, Record)
    assert view.record.extra_fields == {"Cost Center": "CC-1", **ACCOUNT_NO}
    assert view.comparison.differences == ()


@pytest.mark.parametrize("customer_id", [GUEST, SUE, ZOE])
async def test_nobody_looks_as_a_guest_a_super_admin_or_a_shopper(stack: BuyerStack, customer_id: int) -> None:
    nobody = await stack.views.order(await stack.place(customer_id))

    assert isinstance(nobody, NobodyToLookAs)
    assert "Get a B2B Storefront Token" not in (await stack.calls())["b2b"]


async def test_an_order_that_is_not_there_is_an_error(stack: BuyerStack) -> None:
    with pytest.raises(NotFound):
        await stack.views.order(9999)


async def test_a_token_is_fetched_once_and_then_held(stack: BuyerStack) -> None:
    order_id = await stack.place()
    await stack.view(order_id)
    await stack.view(order_id)

    calls = await stack.calls()
    assert calls["b2b"]["Get a B2B Storefront Token"] == {"200": 1}
    assert calls["storefront"] == {
        name: {"200": 2} for name in ("Get Order Details", "Get Order Products", "Get Order Images")
    }


@pytest.mark.parametrize("options", [{"token_lifetime": 0.2}])
async def test_an_expired_token_is_fetched_anew_once(stack: BuyerStack) -> None:
    order_id = await stack.place()
    await stack.view(order_id)
    await asyncio.sleep(0.3)
    view = await stack.view(order_id)

    assert isinstance(view.seen, BuyerOrder)
    assert isinstance(view.products, tuple)
    assert (await stack.calls())["b2b"]["Get a B2B Storefront Token"] == {"200": 2}


async def test_a_buyer_whom_the_storefront_refuses_is_not_shown_anything(stack: BuyerStack) -> None:
    order_id = await stack.place()
    await stack.sandbox.faults(refuse_buyers=True)
    view = await stack.view(order_id)

    assert isinstance(view.seen, NotShown)
    assert "does not accept this customer" in view.seen.reason
    assert not view.is_known
    assert view.comparison.differences == ()
    (sentence,) = view.comparison.not_compared
    assert sentence.startswith("What the buyer sees is unknown, so nothing was compared: Get Order Details: 401")
    assert (await stack.calls())["b2b"]["Get a B2B Storefront Token"] == {"200": 2}


async def test_a_storefront_that_is_down_is_unknown_and_not_empty(stack: BuyerStack) -> None:
    order_id = await stack.place()
    await stack.sandbox.faults(error_rate=1, apis=["storefront"])
    view = await stack.view(order_id)

    assert isinstance(view.seen, NotShown)
    assert isinstance(view.products, NotShown)
    assert isinstance(view.record, Record)
    assert sentences(view) == []


@pytest.mark.parametrize("options", [{"storefront_images": False}])
async def test_where_the_storefront_has_no_image_the_catalogs_is_shown(stack: BuyerStack) -> None:
    products = [{"product_id": 111}, {"product_id": 112, "variant_id": 5}, {"product_id": 111, "variant_id": 9}]
    view = await stack.view(await stack.place(products=products))

    assert isinstance(view.products, tuple)
    thumbnails = [each.thumbnail for each in view.products]
    for product_id, thumbnail in zip((111, 112, 111), thumbnails, strict=True):
        assert isinstance(thumbnail, Thumbnail)
        assert thumbnail.url.endswith(f"/products/{product_id}/images/1.svg?size=thumbnail")
        assert thumbnail.source == "catalog"
    assert (await stack.calls())["core"]["List Product Images"] == {"200": 2}


@pytest.mark.parametrize("options", [{"storefront_fields_as": "object"}])
async def test_fields_in_an_object_are_the_same_fields(stack: BuyerStack) -> None:
    view = await stack.view(await stack.place())
    assert isinstance(view.seen, BuyerOrder)
    assert view.seen.extra_fields == ACCOUNT_NO
    assert view.comparison.differences == ()


async def test_another_channels_buyer_looks_with_a_token_of_that_channel(stack: BuyerStack) -> None:
    view = await stack.view(await stack.place(channel_id=7))
    assert isinstance(view.seen, BuyerOrder)
    assert view.channel_id == 7
