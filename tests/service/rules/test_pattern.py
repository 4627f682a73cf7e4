"""Patterns on shopper text."""

import time

import pytest

from service.errors import ConfigError
from service.rules.pattern import Pattern


def find(source: str, text: str) -> str | None:
    return Pattern.compile(source, "place").find(text)


@pytest.mark.parametrize(
    ("source", "text", "found"),
    [
        (r"PO[\s#:]*([A-Z0-9-]+)", "please use PO #: A-17, thanks", "A-17"),
        (r"ship:(\S+)", "ship:2026-W03 ship:never", "2026-W03"),
        (r"[0-9]{4}", "order 12345", "1234"),
        (r"(?i)po-\w+", "PO-x", "PO-x"),
        (r"(?:PO|REF) (\d+)", "REF 7", "7"),
        (r"(a)|(b)", "b", None),
        (r"x*", "aaa", ""),
        (r"PO", "order", None),
        (r"^b$", "a\nb", None),
        (r"(?m)^b$", "a\nb", "b"),
        ("ü(.)", "üé\N{GRINNING FACE}", "é"),
    ],
)
def test_the_first_group_or_the_whole_match_is_found(source: str, text: str, found: str | None) -> None:
    assert find(source, text) == found


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        (r"PO(?=\d)", "invalid perl operator: (?="),
        (r"(?<!x)PO", "invalid perl operator: (?<!"),
        (r"(a)\1", r"invalid escape sequence: \1"),
        (r"PO\Z", r"invalid escape sequence: \Z"),
        ("PO(", "missing ): PO("),
        ("a{5000}", "invalid repetition size: {5000}"),
    ],
)
def test_an_invalid_pattern_is_refused_with_the_reason(
    source: str, reason: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ConfigError) as caught:
        find(source, "")
    (problem,) = caught.value.problems
    assert str(problem).startswith(f"place: this is not a valid RE2 pattern: {reason}. RE2 has no look-")
    assert "backreferences" in problem.cure
    assert capfd.readouterr() == ("", "")


def test_catastrophic_backtracking_does_not_happen() -> None:
    started = time.process_time()
    assert find(r"(a+)+$", "a" * 100_000 + "b") is None
    assert time.process_time() - started < 5  # milliseconds; a backtracking engine would need 2**100000 steps
