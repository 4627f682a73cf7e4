"""What a worker logs about clocks."""

from structlog.testing import capture_logs

from workers.clock_skew import SkewLog


def test_a_skew_is_logged_when_it_is_noticed_and_when_it_changes() -> None:
    skews = SkewLog()
    with capture_logs() as logs:
        for skew_s in (0.0, 1.2, -4.0, -4.9, -4.1, -9.0, 0.1, 0.0):
            skews.update("redis", skew_s)
        skews.update("bigcommerce", 61.0)
    assert [(line["log_level"], line["event"], line["against"], line["skew_ms"]) for line in logs] == [
        ("warning", "clock_skew", "redis", -4000),
        ("warning", "clock_skew", "redis", -9000),
        ("info", "clock_skew", "redis", 100),
        ("warning", "clock_skew", "bigcommerce", 61_000),
    ]
