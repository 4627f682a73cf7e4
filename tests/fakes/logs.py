"""Logging as the product sets it up, and put back as it was."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import stamina.instrumentation
import structlog

from service import logs


@contextmanager
def logging_put_back() -> Iterator[None]:
    """What ``configure`` changes is the whole process's, and this one is pytest's."""
    root = logging.getLogger()
    handlers, levels = root.handlers[:], {name: logging.getLogger(name).level for name in ("", *logs._QUIET)}
    config = structlog.get_config() if structlog.is_configured() else None
    try:
        yield
    finally:
        root.handlers[:] = handlers
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)
        structlog.reset_defaults()
        if config is not None:
            structlog.configure(**config)
        structlog.contextvars.clear_contextvars()
        stamina.instrumentation.set_on_retry_hooks(None)
