"""What ordinary answers teach."""

from typing import Any

import pytest
from arq import ArqRedis

from service.bigcommerce.models import ExtraFieldConfig, Record
from service.orders.document.cache import Cache
from service.orders.facts.fact import Fact
from service.orders.facts.learning import learn_from_finished, options_place, shown_name
from service.orders.facts.store_facts import Facts
from service.orders.state.order_entry import Entry, Sent, Stage, Status
from service.orders.values.values_to_send import read_configs
from tests.fakes.upstream import STORE_HASH, FakeUpstream, store_api
from tests.fakes.webhooks import a_store

DROPDOWN: dict[str, Any] = {"fieldName": "D", "fieldType": 3}


@pytest.mark.parametrize(
    ("rows", "place"),
    [
        ([], None),
        ([{"fieldName": "text", "fieldType": 0, "listOfValues": ["A"]}], None),
        ([DROPDOWN | {"listOfValues": ["A"]}], "listOfValues"),
        ([DROPDOWN | {"listOfValue": ["A"]}], "listOfValue"),
        ([DROPDOWN | {"listOfValues": [], "listOfValue": ["A"]}], "listOfValue"),
        ([DROPDOWN | {"valueConfig": {"listOfValue": ["A"]}}], "valueConfig"),
        ([DROPDOWN | {"valueConfigs": [None, {"listOfValues": ["A"]}]}], "valueConfigs"),
        ([DROPDOWN], "nowhere"),
        ([DROPDOWN | {"listOfValues": ["A"]}, DROPDOWN | {"listOfValue": ["A"]}], None),
    ],
)
def test_where_the_options_of_dropdowns_are(rows: list[dict[str, Any]], place: str | None) -> None:
    configs = [ExtraFieldConfig.model_validate(row) for row in rows]
    assert options_place(configs) == place
    cached = [ExtraFieldConfig.model_validate(config.model_dump(mode="json")) for config in configs]
    assert cached == configs, "the cache keeps it"


@pytest.mark.parametrize("is_sure", [True, False])
async def test_an_order_that_does_not_say_when_it_was_made_teaches_no_age(redis: ArqRedis, is_sure: bool) -> None:
    """As a bulk import does, whose orders are dated back by hours."""
    facts, made_at = Facts(redis), 1_768_078_800.0
    for number in range(3):
        entry = Entry(
            STORE_HASH,
            number,
            status=Status.CREATED,
            source="webhook",
            sent=Sent("create", "PO1", {}, answered=True),
            create_age=7201.0,
            window_opened_at=None if is_sure else made_at,
            times={Stage.CREATED: made_at, Stage.WEBHOOK_SENT: made_at, Stage.RECEIVED: made_at + 7200.0},
        )
        facts._observed_at.clear()  # as if a minute had passed
        await learn_from_finished(facts, entry)

    known = set((await facts.of(STORE_HASH)).known)
    assert known == ({Fact.CREATE_TAKEN_UNTIL, Fact.WEBHOOK_DELAY} if is_sure else set())


@pytest.mark.parametrize(
    ("shown", "name"),
    [
        ({"cc": "1"}, "fieldName"),
        ({"Cost Center": "1"}, "label"),
        ({"cc": "1", "Cost Center": "1"}, None),
        ({}, None),
        ({"F": "1"}, None),
    ],
)
def test_by_which_name_a_record_shows_our_fields(shown: dict[str, str], name: str | None) -> None:
    sent = Sent("create", None, {"cc": "1", "F": "1"}, labels={"cc": "Cost Center", "dept": "Department"})
    record = Record.model_validate({"extraFields": shown | {"Department": "theirs"}})
    assert shown_name(record, sent) == name


async def test_only_answers_of_bigcommerce_teach_where_options_are_not_the_cache(redis: ArqRedis) -> None:
    facts, upstream = Facts(redis), FakeUpstream()
    rows = {"code": 200, "data": [DROPDOWN | {"listOfValue": ["A"]}], "meta": {}}
    upstream.on("GET /api/v3/io/orders/extra-fields", rows)
    store = a_store(extra_fields={"D": {"value": "A"}})

    async def read(*, refresh: bool) -> None:
        async with store_api(upstream) as api:
            await read_configs(api, Cache(redis, STORE_HASH), store, refresh=refresh, facts=facts)
        facts._observed_at.clear()

    await read(refresh=True)
    for _ in range(5):
        await read(refresh=False)
    assert (await facts.of(STORE_HASH)).value(Fact.DROPDOWN_OPTIONS) is None
    for _ in range(2):
        await read(refresh=True)
    assert (await facts.of(STORE_HASH)).value(Fact.DROPDOWN_OPTIONS) == "listOfValue"
