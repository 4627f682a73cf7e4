"""The keys for Creates over the storefront API."""

import pytest

from tests.fakes.stores_file import folder, load, problem, problems, store_with

__all__ = ["folder"]

pytestmark = pytest.mark.usefixtures("folder")


def test_defaults() -> None:
    store = load(store_with("")).stores["abc123"]
    assert (store.overflow, store.order_comment, store.creates_as_buyer) == ("off", False, False)


@pytest.mark.parametrize("keys", ['overflow = "storefront"', "order_comment = true"])
def test_either_key_lets_creates_go_as_the_buyer(keys: str) -> None:
    assert load(store_with(keys)).stores["abc123"].creates_as_buyer


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ('overflow = "on"', "overflow: expected 'off' or 'storefront'"),
        ("overflow = true", "overflow: expected 'off' or 'storefront'"),
        ('order_comment = "yes"', "order_comment: expected true or false"),
        ('strategy = "merge"\noverflow = "storefront"', 'overflow: has no effect with strategy = "merge"'),
        ('strategy = "merge"\norder_comment = true', 'order_comment: has no effect with strategy = "merge"'),
    ],
)
def test_mistakes(keys: str, expected: str) -> None:
    assert expected in problem(store_with(keys))


def test_both_mistakes_are_reported() -> None:
    assert len(problems(store_with('strategy = "merge"\noverflow = "storefront"\norder_comment = true'))) == 2
