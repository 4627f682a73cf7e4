"""A buyer's orders and ordered products, in pages, against the sandbox over HTTP."""

from datetime import date, timedelta
from typing import Any

import pytest

from service.bigcommerce.clients.storefront_models import Thumbnail
from service.bigcommerce.models import Page
from service.orders.buyer_view.as_json import buyer_page_as_dict
from service.orders.buyer_view.buyer_page import BuyerPage, Wanted, read_buyer_page
from service.orders.buyer_view.order_view import NobodyToLookAs
from service.orders.buyer_view.shown import NotShown
from tests.service.orders.buyer_view.conftest import ACCOUNT_NO, OLD, BuyerStack

pytestmark = pytest.mark.integration

ADA, BEN, CLEO, ZOE = 101, 102, 103, 199
YEAR = Wanted.of_last_year(date.today())  # noqa: DTZ011 - a day more or less does not matter here


async def read(stack: BuyerStack, customer_id: int = ADA, wanted: Wanted = YEAR) -> BuyerPage:
    page = await read_buyer_page(stack.views, customer_id, wanted)
    assert isinstance(page, BuyerPage)
    return page


def ids(page: BuyerPage) -> list[int]:
    assert isinstance(page.orders, Page)
    return [each.order.order_id for each in page.orders.items]


async def test_a_buyer_sees_own_orders_the_newest_first(stack: BuyerStack) -> None:
    first, second = await stack.place(age=OLD + 60), await stack.place(po="A-2")
    await stack.place(BEN)
    await stack.place(CLEO)
    page = await read(stack)

    assert ids(page) == [second, first]
    assert isinstance(page.orders, Page)
    assert [each.order.po_number for each in page.orders.items] == ["A-2", "A-1"]
    assert [each.order.extra_fields for each in page.orders.items] == [ACCOUNT_NO, ACCOUNT_NO]
    assert [each.comparison.differences for each in page.orders.items] == [(), ()]
    assert page.company_id == 5001


async def test_orders_and_products_come_in_pages(stack: BuyerStack) -> None:
    placed = [
        await stack.place(age=OLD - number, products=[{"product_id": 500 + number, "variant_id": number}])
        for number in range(5)
    ]
    first = await read(stack, wanted=Wanted(YEAR.since, limit=2))
    assert isinstance(first.orders, Page)
    assert (ids(first), first.orders.total, first.orders.next_offset) == ([placed[4], placed[3]], 5, 2)

    last = await read(stack, wanted=Wanted(YEAR.since, limit=2, orders_offset=4, products_offset=3))
    assert isinstance(last.orders, Page)
    assert isinstance(last.products, Page)
    assert (ids(last), last.orders.next_offset) == ([placed[0]], None)
    assert [each.product.product_id for each in last.products.items] == [501, 500]
    assert last.products.next_offset is None


async def test_ordered_products_tell_how_often_and_have_pictures(stack: BuyerStack) -> None:
    await stack.place()
    await stack.place(products=[{"product_id": 111, "variant_id": 211}, {"product_id": 112, "name": "Tape"}])
    page = await read(stack)

    assert isinstance(page.products, Page)
    shown = [(each.product.product_id, each.product.name, each.product.ordered_times) for each in page.products.items]
    assert shown == [(111, "Shipping Carton, 50 pcs", 2), (112, "Tape", 1)]
    assert [isinstance(each.thumbnail, Thumbnail) for each in page.products.items] == [True, True]
    assert "List Product Images" not in (await stack.calls())["core"]


async def test_a_po_that_the_record_holds_and_the_buyer_does_not_see_is_pointed_out(stack: BuyerStack) -> None:
    hidden, seen = await stack.place(po=None), await stack.place()
    await stack.sandbox.write_record(hidden, po_number="A-2")
    await stack.sandbox.faults(storefront_lag=3600)
    page = await read(stack)

    assert isinstance(page.orders, Page)
    assert {
        each.order.order_id: [one.sentence for one in each.comparison.differences] for each in page.orders.items
    } == {
        hidden: ["The record holds the PO number A-2, and the buyer does not see it."],
        seen: [],
    }
    # One list for all, and one record for the difference, which a list alone does not prove.
    b2b = (await stack.calls())["b2b"]
    assert (b2b["Get All Orders"], b2b["Get an Order"]) == ({"200": 1}, {"200": 1})


@pytest.mark.parametrize("options", [{"list_po_number": False, "list_extra_fields": "empty"}])
async def test_a_list_of_records_that_shows_no_values_makes_no_difference(stack: BuyerStack) -> None:
    await stack.place()
    page = await read(stack)
    assert isinstance(page.orders, Page)
    (listed,) = page.orders.items
    assert (listed.comparison.differences, listed.comparison.not_compared) == ((), ())
    assert (await stack.calls())["b2b"]["Get an Order"] == {"200": 1}


@pytest.mark.parametrize(("role", "seen"), [(0, 3), (1, 3), (2, 1)])
async def test_the_whole_companys_orders_are_for_admins_and_senior_buyers(
    stack: BuyerStack, role: int, seen: int
) -> None:
    await stack.sandbox.put_user(ADA, 5001, role=role)
    for customer_id in (ADA, BEN, BEN, CLEO):
        await stack.place(customer_id)

    assert len(ids(await read(stack))) == 1
    assert len(ids(await read(stack, wanted=Wanted(YEAR.since, whole_company=True)))) == seen


async def test_orders_before_the_day_are_left_out(stack: BuyerStack) -> None:
    old, new = await stack.place(age=40 * 86_400), await stack.place()
    assert ids(await read(stack)) == [new, old]
    assert ids(await read(stack, wanted=Wanted(YEAR.since + timedelta(days=355)))) == [new]


async def test_a_shopper_without_a_company_has_no_page(stack: BuyerStack) -> None:
    assert isinstance(await read_buyer_page(stack.views, ZOE, YEAR), NobodyToLookAs)


async def test_what_cannot_be_read_is_not_shown_and_hides_nothing_else(stack: BuyerStack) -> None:
    await stack.place()
    await stack.sandbox.faults(error_rate=1, apis=["storefront"], operations=["Get Ordered Product List"])
    page = await read(stack)

    assert isinstance(page.products, NotShown)
    assert len(ids(page)) == 1
    shown = buyer_page_as_dict(page)
    assert shown["products"] is None
    assert list(shown["not_shown"]) == ["products"]


async def test_json_has_everything_but_the_buyers_name_and_address(stack: BuyerStack) -> None:
    order_id = await stack.place()
    shown: dict[str, Any] = buyer_page_as_dict(await read(stack))

    (order,) = shown["orders"]["items"]
    assert (order["order_id"], order["po_number"], order["extra_fields"]) == (order_id, "A-1", ACCOUNT_NO)
    assert (shown["orders"]["total"], shown["orders"]["next_offset"]) == (1, None)
    assert shown["products"]["items"][0]["thumbnail"]["source"] == "storefront"
    assert shown["not_shown"] == {}
    assert not any(text in str(shown) for text in ("Ada", "ada@example.com", "Austin", "Market Street"))
