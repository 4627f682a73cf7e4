"""Secrets in Redis open only with the stores file's secret, and only where they were put."""

import pytest
from pydantic import SecretStr

from service.redis.sealing import Seal

OLD, NEW = SecretStr("old-access-token"), SecretStr("new-access-token")
TEXT = SecretStr("buyer-token")


def seal(*secrets: SecretStr, purpose: str = "test") -> Seal:
    return Seal(secrets, purpose=purpose)


def test_a_sealed_text_opens_in_its_place() -> None:
    sealed = seal(OLD).seal(TEXT, place="key:1")
    assert seal(OLD).open(sealed, place="key:1") == TEXT
    assert b"buyer-token" not in sealed


def test_each_sealed_text_is_another() -> None:
    assert seal(OLD).seal(TEXT, place="key:1") != seal(OLD).seal(TEXT, place="key:1")


def test_it_does_not_open_in_another_place_with_another_secret_or_for_another_purpose() -> None:
    sealed = seal(OLD).seal(TEXT, place="key:1")
    assert seal(OLD).open(sealed, place="key:2") is None
    assert seal(NEW).open(sealed, place="key:1") is None
    assert seal(OLD, purpose="other").open(sealed, place="key:1") is None


def test_it_opens_while_secrets_are_rotated_and_not_once_its_own_is_gone() -> None:
    sealed = seal(OLD).seal(TEXT, place="key:1")
    assert seal(NEW, OLD).open(sealed, place="key:1") == TEXT
    renewed = seal(NEW, OLD).seal(TEXT, place="key:1")
    assert seal(NEW).open(renewed, place="key:1") == TEXT


@pytest.mark.parametrize("place", range(4))
def test_a_changed_text_does_not_open(place: int) -> None:
    sealed = bytearray(seal(OLD).seal(TEXT, place="key:1"))
    sealed[(0, 1, 14, len(sealed) - 1)[place]] ^= 1
    assert seal(OLD).open(bytes(sealed), place="key:1") is None


@pytest.mark.parametrize("sealed", [b"", b"\x01", b"\x01short", b"buyer-token", b'{"token": "x"}'])
def test_what_is_not_sealed_does_not_open(sealed: bytes) -> None:
    assert seal(OLD).open(sealed, place="key:1") is None
