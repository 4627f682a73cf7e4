"""The statistics stay as small as the page on sizing says."""

import re

from arq import ArqRedis

from tests.bench.statistics_size import measure
from tests.fakes.pages import SIZING


async def test_a_day_and_an_hour_stay_compact(redis: ArqRedis) -> None:
    sizes = await measure(redis, days=2, orders_a_day=300)
    stated = re.search(r"statistics: ([\d.]+) kB a store and month", SIZING.text)
    assert stated
    assert 0 < sizes.month <= float(stated[1]) * 1000
