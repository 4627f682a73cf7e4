"""The page of recipes: every rule on it is applied to an order that is placed in the sandbox and read back."""

import json
import re
import shlex
import tomllib
from dataclasses import dataclass
from typing import Any

import pytest
from pydantic import SecretStr

from service.bigcommerce import Account, StoreApi, Transport
from service.bigcommerce.models import Record
from service.orders.document.cache import Cache
from service.orders.document.loading import Document, read_order, read_people
from service.orders.document.sources import read_sources
from service.orders.values.merge import PO_NUMBER, merge
from service.orders.values.values_to_send import ResolvedValues, read_configs, resolve_values
from service.redis.client import connect
from service.rules import RuleSet, compile_rules
from service.sandbox.demo import DEMO_STORE_HASH
from service.sandbox.specs import SANDBOX_ACCESS_TOKEN, SANDBOX_CLIENT_SECRET
from service.stores import Store
from service.stores.rule_templates import RECIPES, Place
from tests.fakes.cli import Enrich, enrich, folder
from tests.fakes.pages import RECIPES as RECIPES_PAGE
from tests.fakes.sandbox import RunningSandbox, StillClock, called_sandbox

__all__ = ["enrich", "folder"]

PAGE = RECIPES_PAGE.text
CUSTOMER, COMPANY, GROUP = 101, 5001, 21

CLAIMED_EXAMPLE = re.compile(
    r"^```json\n(\{.*?\n)```\n\n((?:Gives|Fails with|Waits for) [^\n]+)$", re.DOTALL | re.MULTILINE
)


@dataclass(frozen=True, slots=True)
class Recipe:
    """One section: its rules, the extra-field settings of the store, and its examples with their claims."""

    title: str
    text: str

    @property
    def table(self) -> dict[str, Any]:
        """The store's table."""
        (block,) = self._blocks("toml")
        stores: dict[str, dict[str, Any]] = tomllib.loads(block)["stores"]
        (table,) = stores.values()
        return table

    @property
    def settings(self) -> list[dict[str, Any]]:
        """The extra-field settings as the page shows them, else a text field for each rule."""
        shown = [json.loads(block) for block in self._blocks("json") if block.startswith("[")]
        return shown[0] if shown else [{"fieldName": name} for name in self.table.get("extra_fields", {})]

    @property
    def examples(self) -> list[tuple[dict[str, Any], str]]:
        """What the rules read, and the line that says what they give."""
        return [(json.loads(data), claim) for data, claim in CLAIMED_EXAMPLE.findall(self.text)]

    @property
    def commands(self) -> list[list[str]]:
        """The words behind ``enrich`` of each command that writes rules."""
        return [shlex.split(command)[1:] for command in re.findall(r"`(enrich init --po-from [^`]+)`", self.text)]

    def _blocks(self, language: str) -> list[str]:
        return re.findall(rf"^```{language}\n(.*?)^```$", self.text, re.DOTALL | re.MULTILINE)


RECIPES_ON_PAGE = [
    Recipe(*section.split("\n", 1))
    for chapter in re.split(r"^## ", PAGE, flags=re.MULTILINE)
    for section in re.split(r"^### ", chapter, flags=re.MULTILINE)[1:]
]
EXAMPLES = [
    pytest.param(recipe, data, claim, id=f"{recipe.title} {number}")
    for recipe in RECIPES_ON_PAGE
    for number, (data, claim) in enumerate(recipe.examples, start=1)
]


# ── the page itself ─────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("recipe", RECIPES_ON_PAGE, ids=lambda recipe: recipe.title)
def test_a_recipe_has_a_rule_an_example_and_says_when_to_use_it(recipe: Recipe) -> None:
    assert recipe.table
    assert recipe.examples
    assert re.search(r"^When: ", recipe.text, re.MULTILINE)
    assert re.search(r"^Pitfalls?: ", recipe.text, re.MULTILINE)


def test_every_block_of_the_page_belongs_to_a_recipe_and_is_run() -> None:
    run = sum(1 + len(recipe.examples) for recipe in RECIPES_ON_PAGE)
    settings = len(re.findall(r"^```json\n\[", PAGE, re.MULTILINE))
    assert len(re.findall(r"^```\w+$", PAGE, re.MULTILINE)) == run + settings


# ── each example, placed as an order ────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("recipe", "data", "claim"), EXAMPLES)
async def test_an_example_gives_what_the_page_claims(
    recipe: Recipe, data: dict[str, Any], claim: str, redis_url: str
) -> None:
    seen = {root: part for root, part in data.items() if root != "record"}  # rules do not see the record
    store = Store.model_validate(
        {
            "hash": DEMO_STORE_HASH,
            "access_token": SecretStr(SANDBOX_ACCESS_TOKEN),
            "client_secret": SecretStr(SANDBOX_CLIENT_SECRET),
            **recipe.table,
        }
    )
    document, resolved, there = await placed_and_read(store, seen, recipe.settings, data.get("record"), redis_url)

    assert holds(document, seen), "rules read something else than the page shows"
    assert outcome(resolved, store, there) == claimed(claim)


async def placed_and_read(
    store: Store, data: dict[str, Any], settings: list[dict[str, Any]], record: dict[str, Any] | None, redis_url: str
) -> tuple[Document, ResolvedValues, Record | None]:
    """Place an order that carries the data; what rules see, what they give, and the record as it is by then."""
    rules: RuleSet = compile_rules(store)
    async with (
        called_sandbox(StillClock()) as sandbox,
        connect(redis_url) as redis,
        sandbox.api._transport as http,
    ):
        await put_people(sandbox, data, settings)
        placed = await sandbox.place_order(**placement(data, record))
        transport = Transport(http, core_url=sandbox.url, b2b_url=sandbox.url)
        api, cache = StoreApi(transport, Account(store.hash, store.access_tokens)), Cache(redis, store.hash)
        document = await read_order(api, placed["id"], rules.needs)
        document |= await read_people(api, cache, CUSTOMER, rules.needs)
        document |= await read_sources(api, cache, document["order"], rules.needs)
        resolved = resolve_values(rules, document, await read_configs(api, cache, store))
        return document, resolved, await api.b2b.order(placed["id"]) if record else None


async def put_people(sandbox: RunningSandbox, data: dict[str, Any], settings: list[dict[str, Any]]) -> None:
    extra = {who: data.get(who, {}).get("extraFields", {}) for who in ("user", "company")}
    customer = {"id": CUSTOMER, **data.get("customer", {})}
    groups = [{"id": GROUP, **customer.pop("group")}] if "group" in customer else []
    await sandbox.put_store(
        extra_fields=settings,
        customers=[{**customer, "customer_group_id": GROUP if groups else 0}],
        customer_groups=groups,
        companies=[{"id": COMPANY, "name": "Great Buys", "extra_fields": extra["company"]}],
        users=[{"customer_id": CUSTOMER, "company_id": COMPANY, "extra_fields": extra["user"]}],
    )


def placement(data: dict[str, Any], record: dict[str, Any] | None) -> dict[str, Any]:
    """The order as the sandbox takes it: the clock decides when it was placed."""
    order = {key: value for key, value in data.get("order", {}).items() if key != "date_created"}
    same: dict[str, Any] = {
        key: data[key] for key in ("products", "shipping_addresses", "metafields", "transactions") if key in data
    }
    if cart := data.get("cart"):
        same["cart_metafields"] = cart["metafields"]
    if quote := dict(data.get("quote", {})):
        same["quote"] = {**quote.pop("salesRepInfo", {}), **quote}
    own = {"buyer_po": record["poNumber"], "record_after": 0} if record else {}
    return {"customer_id": CUSTOMER, **order, **same, **own}


def holds(whole: Any, part: Any) -> bool:
    """Whether all that the part shows is there."""
    if isinstance(part, dict):
        return isinstance(whole, dict) and all(key in whole and holds(whole[key], part[key]) for key in part)
    if isinstance(part, list):
        return isinstance(whole, list) and len(whole) == len(part) and all(map(holds, whole, part))
    return bool(whole == part)


def outcome(resolved: ResolvedValues, store: Store, record: Record | None) -> dict[str, str] | str:
    """The values that the record has in the end, or why the order waits or fails."""
    if why := resolved.missing or resolved.failure:
        return why
    values, po_number, fields = resolved.values, resolved.values.po_number, dict(resolved.values.extra_fields)
    if record:
        kept = merge(record, values, {}, store.existing_values).kept
        po_number = record.po_number if PO_NUMBER in kept else po_number
        fields |= {name: record.extra_fields[name] for name in kept if name != PO_NUMBER}
    return ({PO_NUMBER: po_number} if po_number else {}) | fields


def claimed(line: str) -> dict[str, str] | str:
    """``Gives `a = 1`, `b = 2` ``, ``Gives nothing``, ``Fails with `why` `` or ``Waits for `rule` ``."""
    spans = re.findall(r"`([^`]+)`", line)
    if line.startswith(("Fails with ", "Waits for ")):
        (reason,) = spans
        return str(reason)
    return dict(span.split(" = ", 1) for span in spans)


# ── the page and `enrich init` ──────────────────────────────────────────────────────────────────────────────────


def test_the_page_has_a_command_for_every_place_that_init_offers() -> None:
    shown = [command[command.index("--po-from") + 1] for recipe in RECIPES_ON_PAGE for command in recipe.commands]
    assert sorted(shown) == sorted(Place)
    assert set(RECIPES) == set(Place) - {Place.NONE}


@pytest.mark.parametrize(
    ("recipe", "command"),
    [
        pytest.param(recipe, command, id=" ".join(command[2:]))
        for recipe in RECIPES_ON_PAGE
        for command in recipe.commands
    ],
)
def test_the_command_writes_the_rule_that_is_below_it(enrich: Enrich, recipe: Recipe, command: list[str]) -> None:
    ran = enrich(*command, "--store", "abc123", "--output", "-")
    assert ran.code == 0, ran.err
    written = tomllib.loads(ran.out)["stores"]["abc123"]

    shown = recipe.table
    if "none" in command:
        del shown["po_number"]
    assert {key: written[key] for key in ("po_number", "extra_fields") if key in written} == {
        key: shown[key] for key in ("po_number", "extra_fields") if key in shown
    }


@pytest.mark.parametrize(
    ("comment", "po_number"),
    [
        ("PO 4711", "4711"),
        ("po: a-17/3", "a-17/3"),
        ("PO#4711-D.", "4711-D"),
        ("P.O. 4711", "4711"),
        ("PO-4711", "4711"),
        ("PO Number 4711", "4711"),
        ("PO no: 4711", "4711"),
        ("P.O. No. 4711", "4711"),
        ("by post 24", None),
        ("POST 24", None),
        ("Depot 7, Port 3", None),
        ("PO Box 12", None),
        ("no PO yet", None),
    ],
)
def test_the_pattern_for_free_text_finds_pos_and_nothing_else(comment: str, po_number: str | None) -> None:
    assert from_template(Place.COMMENT, {"order": {"customer_message": comment}}) == po_number


@pytest.mark.parametrize(
    ("value", "po_number"),
    [
        ("A-1", "A-1"),
        (4711, "4711"),
        (4711.5, "4711.5"),
        (["Budget", "Legal"], "Budget, Legal"),
        (["Budget"], "Budget"),
        ([4711, 4712], "4711, 4712"),
        *((nothing, None) for nothing in ("", " ", None, [], [""])),
    ],
)
@pytest.mark.parametrize("place", [Place.FORM_FIELD, Place.SHIPPING_FORM_FIELD, Place.CUSTOMER_FORM_FIELD])
def test_form_fields_may_hold_texts_numbers_and_lists(place: Place, value: Any, po_number: str | None) -> None:
    address = {"form_fields": [{"name": "Floor", "value": 3}, {"name": "PO Number", "value": value}]}
    document = {
        "order": {"billing_address": address},
        "shipping_addresses": [{"form_fields": []}, address],
        "customer": {"form_fields": {"PO Number": value}},
    }
    assert from_template(place, document) == po_number


def from_template(place: Place, document: Document) -> str | None:
    """The PO number that the rule of ``enrich init`` gives."""
    recipe = RECIPES[place]
    store = Store.model_validate(
        {
            "hash": "abc123",
            "access_token": SecretStr("token"),
            "client_secret": SecretStr("secret"),
            "po_number": {"from": recipe.source(recipe.usual), "match": recipe.match},
        }
    )
    evaluation = compile_rules(store).evaluate(document)
    assert evaluation.errors == {}
    return evaluation.po_number
