from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.cli.common.options import choose_store, choose_stores, parse_since
from service.errors import ConfigError

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("30m", NOW - timedelta(minutes=30)),
        ("12h", NOW - timedelta(hours=12)),
        ("7d", NOW - timedelta(days=7)),
        ("2026-01-30", datetime(2026, 1, 30, tzinfo=UTC)),
        ("2026-01-30T08:15", datetime(2026, 1, 30, 8, 15, tzinfo=UTC)),
        ("2026-01-30 08:15:30", datetime(2026, 1, 30, 8, 15, 30, tzinfo=UTC)),
        ("2026-01-30T08:15Z", datetime(2026, 1, 30, 8, 15, tzinfo=UTC)),
        ("2026-01-30T08:15-06:00", datetime(2026, 1, 30, 14, 15, tzinfo=UTC)),
    ],
)
def test_every_documented_time_format_is_parsed(text: str, moment: datetime) -> None:
    assert parse_since(text, now=NOW) == moment


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "7",
        "7w",
        "-7d",
        "7 d",
        "1.5h",
        "2026-13-01",
        "yesterday",
        "999999d",
        "0001-01-01T00:00+14:00",
        "9999-12-31T23:59-14:00",
    ],
)
def test_an_invalid_time_is_refused_with_examples(text: str) -> None:
    with pytest.raises(ConfigError, match=r"^--since .*: is not a valid time\. Write 2026-01-31, .* or 7d\.$"):
        parse_since(text, now=NOW)


@given(st.datetimes(timezones=st.timezones() | st.just(UTC)))
def test_any_time_in_iso_8601_is_read_back(moment: datetime) -> None:
    # A time zone may have been some seconds off once; the text says it, and so it is compared at a fixed offset.
    fixed = moment.replace(tzinfo=timezone(moment.utcoffset() or timedelta()))
    with suppress(ConfigError, OverflowError):
        assert parse_since(fixed.isoformat(), now=NOW) == fixed


@given(st.text() | st.from_regex(r"\A[0-9]+[mhd]\Z"))
def test_any_text_is_a_time_in_some_zone_or_refused(text: str) -> None:
    with suppress(ConfigError):
        moment = parse_since(text, now=NOW)
        assert moment.tzinfo is not None
        assert isinstance(moment.timestamp(), float)


def test_no_store_selects_all_and_an_empty_name_none() -> None:
    assert choose_stores(None, ["abc123", "def456"]) == ["abc123", "def456"]
    assert choose_stores("def456", ["abc123", "def456"]) == ["def456"]
    with pytest.raises(ConfigError, match=r"^--store : is not in the stores file\."):
        choose_stores("", ["abc123", "def456"])


def test_the_only_store_need_not_be_named() -> None:
    assert choose_store(None, ["abc123"]) == "abc123"


def test_a_store_that_is_named_is_taken() -> None:
    assert choose_store("def456", ["abc123", "def456"]) == "def456"


@pytest.mark.parametrize(
    ("wanted", "count", "cure"),
    [
        (None, 2, "One of: store0, store1."),
        ("qqq", 2, "One of: store0, store1."),
        ("stoer1", 2, "Did you mean store1?"),
        (None, 11, "store9, …"),
    ],
)
def test_an_unknown_or_ambiguous_store_is_refused_with_the_configured_ones(
    wanted: str | None, count: int, cure: str
) -> None:
    with pytest.raises(ConfigError) as refused:
        choose_store(wanted, [f"store{number}" for number in range(count)])
    assert str(refused.value).startswith("--store")
    assert str(refused.value).endswith(cure)
