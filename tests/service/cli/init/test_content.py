"""``enrich init``: what it writes."""

import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service.configuration import load_configuration
from service.sandbox.specs import SANDBOX_ACCESS_TOKEN
from service.stores.rule_templates import RECIPES, Place
from service.stores.writer import NewStore, as_toml, toml_text
from tests.fakes.cli import Enrich
from tests.service.cli.init.conftest import FLAGS, SECRETS, load


def test_the_file_loads_once_the_variables_are_set(enrich: Enrich, stores_file: Path) -> None:
    ran = enrich(*("init", *FLAGS, "--name", "Abc123", "--incomplete", "wait"))

    assert (ran.code, ran.out) == (0, "")
    configuration = load(stores_file)
    store = configuration.stores["abc123"].store
    assert configuration.literal_secrets == ()
    assert (store.name, store.incomplete_orders, store.existing_values) == ("Abc123", "wait", "keep")
    assert store.po_number
    assert store.po_number.sources == ("order.billing_address.form_fields[?name=='PO Number'].value | [0]",)


def test_next_steps_are_printed_on_stderr(enrich: Enrich) -> None:
    assert enrich("init", *FLAGS).err == (
        "Wrote stores.toml.\n"
        "Next, in this order:\n"
        "  1. Set these environment variables where `enrich` runs. Their values are in the store's API account:\n"
        "       ABC123_ACCESS_TOKEN\n"
        "       ABC123_CLIENT_SECRET\n"
        "  2. See what is wrong, and what to do (the webhooks do not exist yet):\n"
        "       enrich check\n"
        "  3. See what the rules give for your last orders; this sends nothing:\n"
        "       enrich preview --last 20\n"
        "  4. Run receiver and worker, and a proxy with a certificate in front of them:\n"
        "       enrich up\n"
        "  5. Register the webhooks, from another shell:\n"
        "       enrich hooks register --url https://<your host>\n"
    )


def test_comments_name_the_variables_and_explain_each_key(enrich: Enrich) -> None:
    text = enrich("init", *FLAGS, "--output", "-").out
    assert all(f"#   {name}" in text for name in SECRETS)
    assert all(
        key in text for key in ("# channels", "# required", "# name", "existing_values", "deploy/docs/recipes.md")
    )


def test_every_line_that_is_commented_out_is_valid(enrich: Enrich, stores_file: Path) -> None:
    keys = ("name", "channels", "required", "[stores", '"Cost')
    lines = enrich("init", *FLAGS, "--output", "-").out.splitlines()
    uncommented = [
        line.removeprefix("# ") if line.startswith(tuple(f"# {key}" for key in keys)) else line for line in lines
    ]
    stores_file.write_text("\n".join(uncommented))

    assert sum(line != taken for line, taken in zip(lines, uncommented, strict=True)) == len(keys)
    store = load(stores_file).stores["abc123"].store
    assert (store.name, store.channels, list(store.extra_fields)) == ("Great Buys", frozenset({1}), ["Cost Center"])
    assert store.po_number
    assert store.po_number.required


def test_secrets_may_be_files_of_a_folder(enrich: Enrich, folder: Path, stores_file: Path) -> None:
    (folder / "secrets").mkdir()
    ran = enrich("init", *FLAGS, "--secrets", f"file:{folder}/secrets/")
    named = [line.strip() for line in ran.err.splitlines() if "secrets/" in line]
    assert named == [f"{folder}/secrets/abc123_access_token", f"{folder}/secrets/abc123_client_secret"]
    for name in named:
        Path(name).write_text(f"{Path(name).name}\n")

    store = load(stores_file, {}).stores["abc123"].store
    assert [token.get_secret_value() for token in store.access_tokens] == ["abc123_access_token"]
    assert [secret.get_secret_value() for secret in store.client_secrets] == ["abc123_client_secret"]
    assert all(f"#   {name}" in stores_file.read_text() for name in named)


def test_secrets_of_docker_say_where_they_are_on_the_machine(enrich: Enrich) -> None:
    ran = enrich("init", *FLAGS, "--secrets", "file:/run/secrets")
    assert "with Docker, deploy/secrets/ on this machine" in ran.err


def test_a_file_for_the_sandbox_needs_nothing_else(enrich: Enrich, stores_file: Path) -> None:
    ran = enrich("init", "--sandbox")

    assert (ran.code, ran.out) == (0, "")
    configuration = load(stores_file, {})
    configured = configuration.stores["sandbox"]
    assert configuration.endpoints.is_local
    assert configuration.endpoints.b2b_api_url == configuration.endpoints.api_url == "http://127.0.0.1:9100"
    assert configured.rules.evaluate(document_with("PO Number", "A-1")).po_number == "A-1"
    assert [token.get_secret_value() for token in configured.store.access_tokens] == [SANDBOX_ACCESS_TOKEN]
    steps = [line.strip() for line in ran.err.splitlines() if line.startswith("       ")]
    assert [step.split()[0] for step in steps] == ["enrich", "enrich", "enrich", "curl", '\'{"customer_id":', "enrich"]


def test_extra_fields_are_written_in_their_order(enrich: Enrich, stores_file: Path) -> None:
    words = ("--extra-field", "Cost Center=metafields.checkout.cost_center", "--extra-field", "By=order.id == `1`")
    assert enrich("init", *FLAGS, *words).code == 0
    fields = load(stores_file).stores["abc123"].store.extra_fields
    assert [(name, rule.sources) for name, rule in fields.items()] == [
        ("Cost Center", ("metafields.checkout.cost_center",)),
        ("By", ("order.id == `1`",)),
    ]


@pytest.mark.parametrize(
    ("name", "prefix"),
    [
        (None, "ABC123"),
        ("Great Buys", "GREAT_BUYS"),
        ("Müller & Söhne, Köln", "MULLER_SOHNE_KOLN"),
        ("7 Seas", "STORE_7_SEAS"),
        ("株式会社", "ABC123"),
    ],
)
def test_variables_are_named_after_the_store(name: str | None, prefix: str) -> None:
    new = NewStore("abc123", name)
    assert (new.access_token, new.client_secret) == (f"{prefix}_ACCESS_TOKEN", f"{prefix}_CLIENT_SECRET")


def test_a_hash_that_begins_with_a_digit_still_makes_a_variable() -> None:
    assert NewStore("9abc").access_token == "STORE_9ABC_ACCESS_TOKEN"


# Any text but half a surrogate pair, which no terminal sends as UTF-8.
texts = st.text(st.characters(exclude_categories=["Cs"]))
named = texts.filter(str.strip)


@given(text=texts)
def test_any_text_is_the_same_after_toml(text: str) -> None:
    assert tomllib.loads(f"{toml_text(text)} = {toml_text(text)}") == {text: text}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], max_examples=50)
@given(
    name=named,
    place=st.sampled_from([place for place, recipe in RECIPES.items() if recipe.has_field]),
    field=named.filter(lambda text: "." not in text),
    fields=st.dictionaries(named, st.just("order.id"), max_size=3),
)
def test_any_names_can_be_written_and_lead_to_their_field(
    tmp_path: Path, name: str, place: Place, field: str, fields: dict[str, str]
) -> None:
    recipe = RECIPES[place]
    source = recipe.source(f"checkout.{field}" if place in (Place.METAFIELD, Place.CART_METAFIELD) else field)
    new = NewStore("abc123", name, po_number={"from": source}, extra_fields=fields)
    configuration = load_configuration(
        tmp_path / "stores.toml", {new.access_token: "token", new.client_secret: "secret"}, text=as_toml(new)
    )

    configured = configuration.stores["abc123"]
    assert (configured.store.name, list(configured.store.extra_fields)) == (name, list(fields))
    assert configured.rules.evaluate(document_with(field, "A-1")).po_number == "A-1"


def document_with(field: str, value: str) -> dict[str, Any]:
    """An order that has the value in a field of that name wherever there are fields."""
    address = {"form_fields": [{"name": "Other", "value": "no"}, {"name": field, "value": value}]}
    return {
        "order": {"id": 1, "billing_address": address},
        "shipping_addresses": [address],
        "products": [{"product_options": [{"display_name": field, "display_value": value}]}],
        "metafields": {"checkout": {field: value}},
        "cart": {"metafields": {"checkout": {field: value}}},
        "customer": {"attributes": {field: value}, "form_fields": {field: value}},
        "company": {"extraFields": {field: value}},
        "user": {"extraFields": {field: value}},
    }
