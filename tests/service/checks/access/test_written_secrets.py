"""Secrets that cannot be right."""

import pytest
from pydantic import SecretStr

from service.checks.access.written_secrets import check_written_secrets
from tests.fakes.stacks.checks import lines
from tests.fakes.webhooks import a_store

QUOTED = "the secret has quotes around it, which become a part of it. Remove them where it is set"
PLACEHOLDER = "this is a placeholder, not a secret. Put the secret of the store's API account there."


@pytest.mark.parametrize(
    ("secret", "expected"),
    [
        ("5f2c0ffee", None),
        ('"5f2c0ffee"', QUOTED),
        ("'5f2c0ffee'", QUOTED),
        ("\u201c5f2c0ffee\u201d", QUOTED),
        (" 5f2c0ffee", "the secret has spaces around it."),
        ("env:OTHER", "the secret is itself a reference to another one."),
        ("${CLIENT_SECRET}", PLACEHOLDER),
        ("<client secret>", PLACEHOLDER),
        ("changeme", PLACEHOLDER),
        ("xxxxxxxx", PLACEHOLDER),
    ],
)
def test_a_client_secret_that_cannot_be_right_is_an_error(secret: str, expected: str | None) -> None:
    found = lines(check_written_secrets(a_store(client_secret=SecretStr(secret))))
    if expected is None:
        assert found == []
    else:
        (line,) = found
        assert line.startswith(f"error  client_secret  {expected}")
        assert "5f2c0ffee" not in line


def test_the_item_of_a_list_is_named() -> None:
    (line,) = lines(check_written_secrets(a_store(client_secret=[SecretStr("right"), SecretStr("'b'")])))
    assert line.startswith("error  client_secret (item 2)  the secret has quotes")


def test_one_secret_for_both_is_an_error() -> None:
    both = SecretStr("5f2c0ffee")
    (line,) = lines(check_written_secrets(a_store(client_secret=both, access_token=both)))
    assert line.startswith("error  client_secret  it is the same as access_token")
