"""Tuning of the garbage collector."""

import gc

from service.process.gc_tuning import freeze_gc


def test_objects_from_startup_are_excluded_from_garbage_collection() -> None:
    existing, before = {"a": [0]}, gc.get_freeze_count()
    try:
        freeze_gc()
        assert gc.get_freeze_count() > before
        assert not any(found is existing for found in gc.get_objects())
    finally:
        gc.unfreeze()
