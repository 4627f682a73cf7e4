"""Which texts contain a store's hash."""

import pytest

from service.cli.init.store_hash import store_hash_in


@pytest.mark.parametrize(
    "text",
    [
        "abc123",
        "ABC123",
        " 'abc123' ",
        "store-abc123",
        "stores/abc123",
        "/stores/abc123/v2",
        "https://api.bigcommerce.com/stores/abc123/v3/",
        "https://api.bigcommerce.com/stores/abc123",
        "https://store-abc123.mybigcommerce.com/manage/dashboard",
        "store-abc123-1.mybigcommerce.com",
    ],
)
def test_the_hash_is_taken_out_of_what_people_paste(text: str) -> None:
    assert store_hash_in(text) == "abc123"


@pytest.mark.parametrize(
    "text", ["", "abc 123", "a/b", "www.greatbuys.com", "https://greatbuys.com/stores/", "abc_123"]
)
def test_a_text_without_a_hash_has_none(text: str) -> None:
    assert store_hash_in(text) is None
