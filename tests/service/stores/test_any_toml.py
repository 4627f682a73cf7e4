"""Property tests with any TOML, mostly like a stores file: it is read or refused, and no secret is shown."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from service.configuration import load_configuration
from service.errors import ConfigError
from service.stores import Store

SECRET = "hunter2-Sesame"
SECRETS = st.sampled_from(
    [SECRET, f" {SECRET}", f"{SECRET}\n", f"{SECRET}\x00ü", "env:S", "env:B", "env:U", "file:s", "file:.", "file:é\x00"]
)
PLAIN = (
    st.sampled_from(["order.id", "order.[", "ordr.id", "a(", "enrich", "keep", "http://localhost:1"])
    | st.text(max_size=8)
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.dates()
)
# Messages show rules as written, so no secret is put into a rule.
RULE_KEYS = ["po_number", "extra_fields", "from", "value", "match", "default", "required", "name"]
OTHER_KEYS = [
    *("bigcommerce", "stores", "api_url", "b2b_api_url", "access_token", "client_secret", "webhook_headers", "hash"),
    *("incomplete_orders", "channels", "existing_values", "acces_token", "[key]", "", "a b", "X-Key", "abc"),
]


def nested(scalars: st.SearchStrategy[Any], keys: st.SearchStrategy[str]) -> st.SearchStrategy[Any]:
    return st.recursive(
        scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=4), max_leaves=12
    )


KEYS = st.sampled_from(OTHER_KEYS) | st.text(max_size=5)
VALUES = nested(PLAIN | SECRETS | st.just(f"https://u:{SECRET}@h"), KEYS)
PLAIN_VALUES = nested(PLAIN, KEYS | st.sampled_from(RULE_KEYS))
RULES = PLAIN_VALUES | st.fixed_dictionaries({}, optional=dict.fromkeys(RULE_KEYS, PLAIN_VALUES))
STORES = VALUES | st.fixed_dictionaries(
    {},
    optional={
        "access_token": SECRETS | st.lists(SECRETS, max_size=2) | VALUES,
        "client_secret": SECRETS | st.lists(SECRETS, max_size=2) | VALUES,
        "webhook_headers": st.dictionaries(KEYS, SECRETS, max_size=2) | VALUES,
        "channels": st.lists(st.integers(), max_size=2) | VALUES,
        "po_number": RULES,
        "extra_fields": st.dictionaries(KEYS, RULES, max_size=2) | PLAIN_VALUES,
        "incomplete_orders": VALUES,
        "hash": VALUES,
    },
)
DESTINATIONS = SECRETS | st.sampled_from(
    [
        *(
            f"https://h.example/{SECRET}",
            f"http://{SECRET}.example",
            f"https://u:{SECRET}@h.example/#x",
            "https://[::1",
        ),
        *(f"smtps://u:{SECRET}@h.example?to=a@b.example&from=a@b.example", f"smtp://u:{SECRET}/x@h.example?a={SECRET}"),
        *(f"smtps://h.example?to={SECRET}", f"smtps://{SECRET}@h.example?to=a@b.example", f"whsec_{SECRET}"),
    ]
)
NOTIFY = VALUES | st.fixed_dictionaries(
    {},
    optional={
        **dict.fromkeys(
            ("webhook", "secret", "slack", "teams", "mail"), DESTINATIONS | st.lists(DESTINATIONS, max_size=2) | VALUES
        ),
        "link": VALUES,
        "stores": st.lists(st.sampled_from(["abc", "A", "other"]), max_size=2) | VALUES,
    },
)
DOCUMENTS = st.dictionaries(KEYS, VALUES, max_size=2) | st.fixed_dictionaries(
    {"stores": st.dictionaries(st.sampled_from(["abc", "A", "1"]), STORES, max_size=2)},
    optional={"bigcommerce": VALUES, "notify": NOTIFY},
)


def toml(value: Any) -> str:
    match value:
        case bool():
            return str(value).lower()
        case str():
            return '"' + "".join(c if c.isascii() and c.isalnum() else f"\\U{ord(c):08X}" for c in value) + '"'
        case list():
            return f"[{', '.join(map(toml, value))}]"
        case dict():
            return "{" + ", ".join(f"{toml(key)} = {toml(item)}" for key, item in value.items()) + "}"
        case _:
            return str(value)


def shown_and_problems(path: Path) -> tuple[str, list[str]]:
    """Everything that can be shown of a valid file, or of a refused one."""
    try:
        return repr(load_configuration(path, {"S": SECRET, "B": f"{SECRET}\x00"})), []
    except ConfigError as error:
        return str(error) + repr(error), [str(problem) for problem in error.problems]


@given(DOCUMENTS)
@example({"stores": {"abc": {"access_token": SECRET, "client_secret": [SECRET, 3], "webhook_headers": {"A": SECRET}}}})
@example({"stores": {"abc": {"access_token": SECRET, "client_secret": "file:s", "po_number": "order.id"}}})
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_any_toml_is_read_or_refused_without_showing_a_secret(tmp_path: Path, document: dict[str, Any]) -> None:
    (tmp_path / "s").write_text(SECRET)
    path = tmp_path / "stores.toml"
    path.write_text("\n".join(f"{toml(key)} = {toml(value)}" for key, value in document.items()))
    shown, problems = shown_and_problems(path)
    assert SECRET not in shown
    assert all(problem.startswith(str(path)) and "\n" not in problem for problem in problems)


@given(VALUES)
@settings(deadline=None)
def test_no_validation_error_shows_the_value(value: Any) -> None:
    with pytest.raises(ValidationError) as caught:
        Store.model_validate({"hash": "a", "access_token": [SECRET, value, 3], "client_secret": {"a": SECRET}})
    assert SECRET not in str(caught.value)
