"""Tunes the garbage collector of a long-running process."""

import gc


def freeze_gc() -> None:
    """Exclude all existing objects from garbage collection. Call it at the end of a process's startup.

    Modules and models stay anyway. Scanning them takes two thirds of each full collection, which stops the event loop
    for 40 ms.
    """
    gc.collect()
    gc.freeze()
