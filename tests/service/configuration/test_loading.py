"""Loading the stores file together with its rules."""

import gc
import weakref
from pathlib import Path

import pytest

from service.configuration import load_configuration
from service.errors import ConfigError
from service.rules import pattern

GOOD = """
[bigcommerce]
api_url = "http://localhost:9100"

[stores.abc123]
access_token = "t"
client_secret = "env:SECRET"
po_number = "order.customer_message"
extra_fields."Cost Center" = { from = "metafields.checkout.cost_center", default = "UNASSIGNED" }

[stores.def456]
access_token = "env:SECRET"
client_secret = "env:SECRET"
po_number = { from = "user.email", match = "^[^@]+" }
"""


def test_each_store_has_its_rules(tmp_path: Path) -> None:
    path = tmp_path / "stores.toml"
    path.write_text(GOOD)
    configuration = load_configuration(path, {"SECRET": "s"})
    assert configuration.endpoints.api_url == "http://localhost:9100"
    assert configuration.literal_secrets == ("stores.abc123.access_token",)
    assert list(configuration.stores) == ["abc123", "def456"]
    first, second = configuration.stores.values()
    assert (first.store.hash, second.store.hash) == ("abc123", "def456")
    assert first.rules.needs.metafields
    evaluation = second.rules.evaluate({"user": {"email": "ada@example.com"}})
    assert evaluation.po_number == "ada"


def test_problems_of_the_file_and_of_its_rules_are_reported_together(tmp_path: Path) -> None:
    path = tmp_path / "stores.toml"
    path.write_text(
        GOOD.replace("env:SECRET", "env:NOPE", 1)
        .replace("order.customer_message", "ordr.customer_message")
        .replace("^[^@]+", "(?<=x)")
        .replace("default", "defalt")
    )
    with pytest.raises(ConfigError) as caught:
        load_configuration(path, {"SECRET": "s"})
    assert [problem.place.removeprefix(f"{path}: ") for problem in caught.value.problems] == [
        "[stores.abc123] client_secret",
        '[stores.abc123.extra_fields."Cost Center"] defalt',
        "[stores.abc123.po_number] from",
        "[stores.def456.po_number] match",
    ]


def test_a_bad_rule_in_a_valid_file_is_reported(tmp_path: Path) -> None:
    path = tmp_path / "stores.toml"
    path.write_text(GOOD.replace("user.email", "users.email"))
    with pytest.raises(ConfigError, match='Did you mean "user"'):
        load_configuration(path, {"SECRET": "s"})


def test_a_missing_file_is_reported(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="does not exist"):
        load_configuration(tmp_path / "none.toml", {})


@pytest.mark.parametrize(
    ("environ", "link", "expected"),
    [
        ({}, "", None),
        ({"ENRICH_CONSOLE_URL": "https://enrich.example.com/console/"}, "", "https://enrich.example.com/console"),
        ({"ENRICH_CONSOLE_URL": "https://a.example.com"}, 'link = "https://b.example.com"', "https://b.example.com"),
        ({"ENRICH_CONSOLE_URL": "no address"}, "", None),  # Settings.load reports it
    ],
)
def test_messages_link_to_the_console_unless_the_file_says_otherwise(
    tmp_path: Path, environ: dict[str, str], link: str, expected: str | None
) -> None:
    path = tmp_path / "stores.toml"
    path.write_text(f'[notify]\nslack = "https://hooks.slack.com/services/T/B/x"\n{link}\n{GOOD}')
    notify = load_configuration(path, {"SECRET": "s", **environ}).notify
    assert notify
    assert notify.link == expected


STORE = """
[stores.{store}]
access_token = "token-of-{store}"
client_secret = "s"
po_number = {{ from = ["order.customer_message", "order.staff_notes"], match = '{match}' }}
extra_fields."Cost Center" = "order.external_id"
"""


def test_stores_with_the_same_rules_share_them(tmp_path: Path) -> None:
    path = tmp_path / "stores.toml"
    written = {"a": r"PO (\d+)", "b": r"PO (\d+)", "c": r"PO:(\d+)"}
    path.write_text("".join(STORE.format(store=store, match=match) for store, match in written.items()))

    a, b, c = load_configuration(path).stores.values()

    assert a.rules is b.rules
    assert a.store.po_number is b.store.po_number
    assert a.store.extra_fields["Cost Center"] is c.store.extra_fields["Cost Center"]
    assert c.rules.rules[0].search.pattern is not a.rules.rules[0].search.pattern
    assert c.rules.rules[0].search.expressions[1] is a.rules.rules[0].search.expressions[1]
    message = {"order": {"customer_message": "PO 7, PO:8"}}
    assert [store.rules.evaluate(message).po_number for store in (a, b, c)] == ["7", "7", "8"]


def test_rules_that_nobody_uses_any_more_are_forgotten(tmp_path: Path) -> None:
    path = tmp_path / "stores.toml"
    path.write_text(STORE.format(store="a", match="nobody else has this (.*)"))
    rules = weakref.ref(load_configuration(path).stores["a"].rules)
    gc.collect()
    assert rules() is None
    assert "nobody else has this (.*)" not in pattern._IN_USE


def test_rules_that_differ_only_in_a_type_are_not_the_same(tmp_path: Path) -> None:
    path = tmp_path / "stores.toml"
    path.write_text(
        "".join(
            f'[stores.s{number}]\naccess_token = "t"\nclient_secret = "s"\npo_number = {{ value = {value} }}\n'
            for number, value in enumerate(["1", "true", '"1.0"', "1.5"])
        )
    )
    rules = [store.rules.evaluate({}).po_number for store in load_configuration(path).stores.values()]
    assert rules == ["1", "true", "1.0", "1.5"]
