import pytest

from service.orders.create_window import Window


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
