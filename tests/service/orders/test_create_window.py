import pytest

from service.orders.create_window import Dated, Window, judge_date


def test_window_closes_ten_seconds_after_date_created() -> None:
    window = Window.of_order("Wed, 10 Jan 2018 21:05:30 +0000")

    assert window.opened_at == 1515618330
    assert window.closes_at == 1515618340
    assert window.is_open(1515618339.999)
    assert not window.is_open(1515618340)


def test_left_is_never_negative() -> None:
    assert Window(100.0).left(103.5) == 6.5
    assert Window(100.0).left(200.0) == 0.0


def test_a_zone_of_minus_zero_is_utc() -> None:
    assert Window.of_order("Wed, 10 Jan 2018 21:05:30 -0000").opened_at == 1515618330


@pytest.mark.parametrize("text", ["", "None", "yesterday", "2018-01-10"])
def test_text_that_is_no_rfc_2822_date_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        Window.of_order(text)


NOW = 1_700_000_000.0
MINUTE, HOUR, DAY = 60.0, 3600.0, 86_400.0


@pytest.mark.parametrize(
    ("ago", "announced_ago", "before_ago", "expected"),
    [
        # The webhook confirms the date.
        (1.0, 0.0, None, Dated(Window(NOW - 1))),
        (70.0, 69.0, None, Dated(Window(NOW - 70))),
        (2 * DAY, 2 * DAY - 30, None, Dated(Window(NOW - 2 * DAY))),
        (30.0, 0.0, 0.0, Dated(Window(NOW - 30))),
        # Years back, and a webhook of now.
        (6 * 365 * DAY, 1.0, None, Dated(Window(NOW - 1), is_certain=False)),
        (DAY + HOUR, 1.0, None, Dated(Window(NOW - 1), is_certain=False)),
        # An order with a smaller id has a later date.
        (2 * HOUR, 1.0, 5.0, Dated(Window(NOW - 1), is_certain=False)),
        (2 * HOUR, 1.0, 2 * HOUR - 61, Dated(Window(NOW - 1), is_certain=False)),
        # Nothing proves it: the order may be new.
        (2 * HOUR, 1.0, 2 * HOUR - 60, Dated(Window(NOW - 2 * HOUR), is_certain=False, is_open_perhaps=True)),
        (2 * HOUR, 1.0, 3 * HOUR, Dated(Window(NOW - 2 * HOUR), is_certain=False, is_open_perhaps=True)),
        (2 * HOUR, 1.0, None, Dated(Window(NOW - 2 * HOUR), is_certain=False, is_open_perhaps=True)),
        # Its window has closed all the same.
        (2 * HOUR, 11.0, None, Dated(Window(NOW - 2 * HOUR))),
        # Ahead.
        (-HOUR, 1.0, None, Dated(Window(NOW - 1), is_certain=False)),
        (-30.0, 0.0, None, Dated(Window(NOW), is_certain=False)),
        (-1.0, 0.0, None, Dated(Window(NOW + 1))),
        (-HOUR, None, None, Dated(Window(NOW), is_certain=False)),
        (-HOUR, -5.0, None, Dated(Window(NOW), is_certain=False)),
        # It was dated ahead: the webhook is older.
        (HOUR, 2 * HOUR, None, Dated(Window(NOW - 2 * HOUR), is_certain=False)),
        # Without a webhook.
        (6 * 365 * DAY, None, None, Dated(Window(NOW - 6 * 365 * DAY))),
        (2 * HOUR, None, 5.0, Dated(Window(NOW - 2 * HOUR))),
    ],
)
def test_date_created_stands_unless_it_is_proved_wrong(
    ago: float, announced_ago: float | None, before_ago: float | None, expected: Dated
) -> None:
    judged = judge_date(
        Window(NOW - ago),
        announced_at=None if announced_ago is None else NOW - announced_ago,
        is_new=False,
        date_before=None if before_ago is None else NOW - before_ago,
        now=NOW,
    )
    assert judged == expected


@pytest.mark.parametrize(("before_ago", "is_open_perhaps"), [(5.0, True), (3 * HOUR, False), (None, False)])
def test_an_order_that_reconciling_finds_may_be_new_if_an_earlier_one_has_a_later_date(
    before_ago: float | None, is_open_perhaps: bool
) -> None:
    judged = judge_date(
        Window(NOW - 2 * HOUR),
        announced_at=None,
        is_new=True,
        date_before=None if before_ago is None else NOW - before_ago,
        now=NOW,
    )
    assert judged == Dated(Window(NOW - 2 * HOUR), not is_open_perhaps, is_open_perhaps)


@pytest.mark.parametrize(("now", "age"), [(12.5, 2.5), (9.0, 0.0), (5.5, 0.0), (5.0, None), (-350.0, None)])
def test_an_age_is_never_negative_and_unknown_where_a_clock_has_jumped(now: float, age: float | None) -> None:
    assert Window(10.0).age(now) == age
