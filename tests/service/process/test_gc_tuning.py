"""Tuning of the garbage collector."""

import gc
from collections.abc import Iterator

import pytest

from service.process.gc_tuning import YOUNG_OBJECTS, tune_gc


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    threshold = gc.get_threshold()
    yield
    gc.unfreeze()
    gc.set_threshold(*threshold)


def test_objects_from_startup_are_excluded_from_garbage_collection() -> None:
    existing, before = {"a": [0]}, gc.get_freeze_count()
    tune_gc()
    assert gc.get_freeze_count() > before
    assert not any(found is existing for found in gc.get_objects())


def test_garbage_is_collected_less_often_than_by_default() -> None:
    gc.set_threshold(700, 11, 12)
    tune_gc()
    assert gc.get_threshold() == (YOUNG_OBJECTS, 11, 12)
