"""Orders whose rules read the cart, the quote or the payments, from the webhook to the record."""

from typing import Any

import pytest

from service.orders.state.order_entry import Status
from tests.workers.stacks.stack import ADA, RULES, ZOE, Stack
from workers.orders.result_types import Finished, RetryLater

FIELD = '[extra_fields]\n"Account No" = { from = \'company.extraFields."ERP Account"\' }\n'
CREATED = Finished(Status.CREATED, verified=True)
SOURCES = {"Get Cart Metafields", "Get All Quotes", "Get Quote Details", "Get Transactions"}


def rules(expression: str) -> str:
    return f'[po_number]\nfrom = "{expression}"\n{FIELD}'


@pytest.mark.parametrize(
    ("expression", "po_number"),
    [
        ("cart.metafields.checkout.po_number", "A-26"),
        ("parse_json(cart.metafields.checkout.purchase).po", "A-27"),
        ("quote.referenceNumber", "PO-2026-31"),
        ("transactions[].offline.display_name | [0]", "Net 30"),
    ],
)
async def test_the_value_is_in_the_create(stack: Stack, expression: str, po_number: str) -> None:
    order_id = await stack.place(
        po_number=None,
        cart_metafields={"checkout": {"po_number": "A-26", "purchase": '{"po": "A-27"}'}},
        quote={"referenceNumber": "PO-2026-31"},
        transactions=[{"offline": {"display_name": "Net 30"}}],
    )
    assert await stack.finish(stack.entry(order_id), rules(expression)) == CREATED
    assert await stack.record(order_id) == (po_number, {"Account No": "ERP-10001"})
    assert await stack.writes(order_id) == (1, 0)


async def test_the_record_gives_nothing_before_the_create(stack: Stack) -> None:
    order_id = await stack.place(po_number=None)
    assert await stack.finish(stack.entry(order_id), rules("record.poNumber")) == CREATED
    assert await stack.record(order_id) == (None, {"Account No": "ERP-10001"})


async def test_other_orders_cost_no_more_calls(stack: Stack) -> None:
    entry = stack.entry(await stack.place(quote={}, transactions=[{}], cart_metafields={"a": {"b": "c"}}))
    assert await stack.finish(entry, RULES) == CREATED
    assert entry.upstream_calls == 6  # order, metafields, user, Company, configs, create
    calls = await stack.sandbox.calls()
    assert not SOURCES & {*calls["core"], *calls["b2b"]}


async def test_rules_that_name_only_the_order_read_only_the_order(stack: Stack) -> None:
    people: dict[str, Any] = {
        "companies": [{"id": 5001, "name": "A"}],
        "users": [{"customer_id": ADA, "company_id": 5001}],
    }
    await stack.sandbox.put_store(**people)
    entry = stack.entry(await stack.place(quote={}, cart_metafields={"a": {"b": "c"}}))
    await stack.attempt(entry, '[po_number]\nfrom = "order.customer_message || order.id"')
    calls = await stack.sandbox.calls()
    assert (set(calls["core"]), set(calls["b2b"])) == ({"Get an Order"}, {"Create an Order"})
    assert entry.upstream_calls == 2


async def test_an_order_that_is_skipped_reads_no_sources(stack: Stack) -> None:
    for customer_id in (0, ZOE):
        entry = stack.entry(await stack.place(customer_id, quote={}))
        await stack.attempt(entry, rules("quote.referenceNumber || cart.metafields.a.b"))
    entry = stack.entry(await stack.place(0, quote={}))
    before = await stack.sandbox.calls()
    assert (await stack.attempt(entry, rules("quote.referenceNumber"))) == Finished(Status.SKIPPED, "guest")
    assert (await stack.sandbox.calls())["b2b"] == before["b2b"]


async def test_a_source_that_cannot_be_read_keeps_the_order_waiting(stack: Stack) -> None:
    order_id = await stack.place(po_number=None, cart_metafields={"checkout": {"po_number": "A-26"}})
    await stack.sandbox.faults(error_rate=1, operations=["Get Cart Metafields"])
    entry = stack.entry(order_id)
    assert isinstance(await stack.attempt(entry, rules("cart.metafields.checkout.po_number")), RetryLater)
    assert await stack.writes(order_id) == (0, 0)

    await stack.sandbox.faults()
    stack.clock.tick(10)  # until B2B Edition has made its own record
    result = await stack.finish(entry, rules("cart.metafields.checkout.po_number"))
    assert (result.status, result.verified) == (Status.UPDATED, True)
    assert (await stack.record(order_id))[0] == "A-26"


async def test_one_attempt_lists_the_quotes_once(stack: Stack) -> None:
    entry = stack.entry(await stack.place(po_number=None, quote={"referenceNumber": "Q-1"}))
    await stack.finish(entry, rules("quote.referenceNumber"))
    assert (await stack.sandbox.calls())["b2b"]["Get All Quotes"] == {"200": 1}
