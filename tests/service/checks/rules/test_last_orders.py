"""Rules are tried on the store's last orders."""

from pathlib import Path
from typing import Any

import pytest

from service.bigcommerce import StoreApi
from service.checks.rules.last_orders import check_last_orders
from service.configuration import ConfiguredStore
from tests.fakes.stacks.checks import configuration, lines
from tests.fakes.stacks.loader_stack import LoaderStack

HEAD = """
[stores.sandbox]
access_token = "sandbox-access-token"
client_secret = "s"
"""


def store(folder: Path, rules: str, keys: str = "") -> ConfiguredStore:
    return configuration(folder, f"{HEAD}{keys}\n{rules}").stores["sandbox"]


async def found(
    stack: LoaderStack, folder: Path, rules: str, keys: str = "", misses: dict[str, int] | None = None
) -> list[str]:
    await stack.calls()
    api = StoreApi(stack.transport, stack.account)
    return lines(await check_last_orders(api, store(folder, rules, keys), misses))


async def place(stack: LoaderStack, count: int, **fields: Any) -> int:
    """Place so many orders within a minute; returns the id of the last one."""
    return (await stack.place(count, **fields))[-1]


def preview(order_id: int) -> str:
    return f"`enrich preview {order_id} --document` shows all that the rule can read."


METAFIELD = 'po_number = "metafields.{}.po_number"'
CHECKOUT = {"checkout": {"po_number": "4711"}}


async def test_a_rule_that_finds_values_is_ok(stack: LoaderStack, tmp_path: Path) -> None:
    await place(stack, 3)
    await place(stack, 9, customer_message="PO 1")
    assert await found(stack, tmp_path, 'po_number = "order.customer_message"') == [
        "ok  po_number  found in 9 of 12 orders."
    ]
    assert await stack.calls() == {"Get All Orders": 1}


async def test_a_typo_is_found_with_the_name_that_orders_have(stack: LoaderStack, tmp_path: Path) -> None:
    last = await place(stack, 6, metafields=CHECKOUT)
    assert await found(stack, tmp_path, METAFIELD.format("chekout")) == [
        'warning  po_number  found in 0 of 5 orders. These orders have no metafield in the namespace "chekout" that'
        f' this token may see. Did you mean "checkout"? {preview(last)}'
    ]
    assert await stack.calls() == {"Get All Orders": 1, "Get Order Metafields": 5}


async def test_metafields_of_orders_that_lie_apart_come_from_one_list(stack: LoaderStack, tmp_path: Path) -> None:
    for age in range(8):
        await stack.place(age=(8 - age) * 7200.0, metafields=CHECKOUT)
    assert await found(stack, tmp_path, METAFIELD.format("checkout")) == ["ok  po_number  found in 8 of 8 orders."]
    assert await stack.calls() == {"Get All Orders": 1, "Get All Order Metafields": 1}


async def test_what_takes_a_call_for_each_order_is_read_for_the_newest_five(stack: LoaderStack, tmp_path: Path) -> None:
    last = await place(stack, 20, customer_message="PO 1")
    rules = """
    po_number = "order.customer_message"
    extra_fields = { "Acc" = 'company.extraFields."ERP Acount"' }
    """
    assert await found(stack, tmp_path, rules) == [
        "ok  po_number  found in 20 of 20 orders.",
        'warning  rule "Acc"  found in 0 of 5 orders. company.extraFields has no "ERP Acount". Did you mean'
        f' "ERP Account"? {preview(last)}',
    ]
    assert await stack.calls() == {"Get All Orders": 1}
    b2b = (await stack.sandbox.calls())["b2b"]
    assert sum(sum(counts.values()) for counts in b2b.values()) == 2, "one buyer, one Company"


@pytest.mark.parametrize(
    ("rule", "reason"),
    [
        (
            "{ from = 'order.customer_message', match = 'PO-([0-9]+)' }",
            "There is text in 5 orders, but match finds nothing in it. Only its case is wrong: with (?i)"
            " at its beginning, it finds 5.",
        ),
        ("'order.staff_notes'", "The names in it are right, but these orders have no value there."),
        ("'order.customer_mesage'", 'order has no "customer_mesage". Did you mean "customer_message"?'),
        ("'abs(order.customer_message)'", "It fails: abs(order.customer_message): abs() takes number, but was given"),
    ],
)
async def test_each_reason_is_said(stack: LoaderStack, tmp_path: Path, rule: str, reason: str) -> None:
    await place(stack, 5, customer_message="po-1", staff_notes="")
    (line,) = await found(stack, tmp_path, f"po_number = {rule}")
    assert line.startswith(f"warning  po_number  found in 0 of 5 orders. {reason}")


async def test_too_few_orders_say_nothing_but_a_typo_is_a_typo(stack: LoaderStack, tmp_path: Path) -> None:
    await place(stack, 2, staff_notes="")
    assert await found(stack, tmp_path, "po_number = 'order.staff_notes'") == [
        "ok  po_number  found in 0 of 2 orders. Too few to tell."
    ]
    (line,) = await found(stack, tmp_path, "po_number = 'order.staff_note'")
    assert line.startswith('warning  po_number  found in 0 of 2 orders. order has no "staff_note". Did you mean')


async def test_a_useless_item_of_a_list_is_told_although_others_give_values(stack: LoaderStack, tmp_path: Path) -> None:
    await place(stack, 2, customer_message="PO 1")
    rules = "po_number = { from = ['order.staff_note', 'order.customer_message'] }"
    assert await found(stack, tmp_path, rules) == [
        'ok  po_number  found in 2 of 2 orders. Never by item 1: order has no "staff_note". Did you mean "staff_notes"?'
    ]


async def test_what_production_has_seen_is_said_too(stack: LoaderStack, tmp_path: Path) -> None:
    await place(stack, 5, staff_notes="")
    (line,) = await found(stack, tmp_path, "po_number = 'order.staff_notes'", misses={"po_number": 61})
    assert line.startswith(
        "warning  po_number  found in 0 of 5 orders. In production: 0 of the last 61. The names in it"
    )


async def test_orders_that_would_be_skipped_do_not_count(stack: LoaderStack, tmp_path: Path) -> None:
    await place(stack, 1, customer_message="PO 1")
    for _ in range(3):
        await stack.sandbox.place_order(customer_id=0)
    rules = "po_number = 'order.customer_message'"
    assert await found(stack, tmp_path, rules) == ["ok  po_number  found in 1 of 1 order."]
    assert await found(stack, tmp_path, rules, keys="channels = [99]") == [
        "warning  last orders  all of the last 4 would be skipped (4 channel). Is this the right store?"
        " Check channels and incomplete_orders, and that buyers are signed in."
    ]


async def test_constants_and_rules_that_read_the_record_are_not_tried(stack: LoaderStack, tmp_path: Path) -> None:
    await place(stack, 5)
    assert await found(stack, tmp_path, 'po_number = "record.referenceNumber"') == []
    assert await found(stack, tmp_path, 'po_number = { value = "web" }') == []
    assert (await stack.calls()) == {}


async def test_a_store_without_orders_has_nothing_to_try(stack: LoaderStack, tmp_path: Path) -> None:
    assert await found(stack, tmp_path, 'po_number = "order.customer_message"') == [
        "ok  last orders  the store has no orders to try the rules on."
    ]
