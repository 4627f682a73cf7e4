"""The page of the stores file against the code: its example, keys, rules and roots."""

import re
from pathlib import Path
from typing import Any

import pytest

from service.configuration import Configuration, load_configuration
from service.errors import ConfigError
from service.rules.expression import ROOTS
from service.sandbox.demo import DEMO_STORE_HASH
from service.sandbox.specs import SANDBOX_ACCESS_TOKEN, SANDBOX_CLIENT_SECRET
from service.stores import Endpoints, Notify, PersonRights, Rule, Store
from service.stores.models import ConsoleTable
from tests.fakes.pages import STORES_FILE, names


@pytest.fixture
def example(tmp_path: Path) -> Configuration:
    text = STORES_FILE.block("toml")
    environ = dict.fromkeys(re.findall(r'"env:(\w+)"', text), "a-secret")
    path = tmp_path / "stores.toml"
    path.write_text(text)
    return load_configuration(path, environ)


def test_example_is_a_stores_file_without_secrets_in_it(example: Configuration) -> None:
    assert list(example.stores) == ["abc123"]
    assert example.literal_secrets == ()
    assert example.endpoints == Endpoints()


def test_example_gives_the_values_that_a_reader_expects(example: Configuration) -> None:
    document = {
        "order": {
            "billing_address": {"form_fields": [{"name": "PO Number", "value": " A-1 "}]},
            "customer_message": "by Friday, ship:2026-W05 please",
        },
        "metafields": {},
        "company": {"extraFields": {"ERP Account": "ERP-10001"}},
    }
    evaluation = example.stores["abc123"].rules.evaluate(document)
    assert evaluation.po_number == "A-1"
    assert evaluation.fields == {
        "Cost Center": "UNASSIGNED",
        "Ship Window": "2026-W05",
        "Source": "web",
        "Account No": "ERP-10001",
    }


def test_shown_expression_lets_one_rule_read_a_comment_and_a_form_field(tmp_path: Path) -> None:
    (pattern,) = [span for span in STORES_FILE.spans if span.startswith("match = ")]
    (form_field,) = [span for span in STORES_FILE.spans if "['PO', value]" in span]
    path = tmp_path / "stores.toml"
    path.write_text(
        f'''
        [stores.abc123]
        access_token = "token"
        client_secret = "secret"
        [stores.abc123.po_number]
        from = ["{form_field}", "order.customer_message"]
        {pattern}
        '''
    )
    rules = load_configuration(path).stores["abc123"].rules
    for value, po_number in (("A-1", "A-1"), (4711, "4711"), (["A-2"], "A-2")):
        filled = {"billing_address": {"form_fields": [{"name": "PO Number", "value": value}]}}
        assert rules.evaluate({"order": filled}).po_number == po_number
    addresses: list[dict[str, list[Any]] | None] = [{"form_fields": []}, None]
    for address in addresses:
        found = rules.evaluate({"order": {"billing_address": address, "customer_message": "Our PO: 4711-D"}})
        assert (found.po_number, found.errors) == ("4711-D", {})


def test_every_key_of_the_stores_file_is_explained() -> None:
    explained = {name for row in STORES_FILE.rows("key") for name in names(row[0])}
    models = (Endpoints, ConsoleTable, Notify, PersonRights, Store, Rule)
    known = {field.alias or name for model in models for name, field in model.model_fields.items()}
    assert explained == (known | {"console"}) - {"hash"}


def test_shown_mistake_is_reported_in_these_words(tmp_path: Path) -> None:
    path = tmp_path / "stores.toml"
    path.write_text('[stores.abc123]\nacess_token = "env:NAME"\n')
    with pytest.raises(ConfigError) as raised:
        load_configuration(path)
    shown = next(span for span in STORES_FILE.spans if span.startswith("stores.toml: "))
    assert shown in {str(problem).replace(str(path), path.name) for problem in raised.value.problems}


def test_every_root_of_the_order_document_is_explained() -> None:
    assert {re.split(r"\.", name)[0] for row in STORES_FILE.rows("root") for name in names(row[0])} == set(ROOTS)


def test_access_to_the_sandbox_is_shown_as_it_is() -> None:
    assert {DEMO_STORE_HASH, SANDBOX_ACCESS_TOKEN, SANDBOX_CLIENT_SECRET} <= set(STORES_FILE.spans)
