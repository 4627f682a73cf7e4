"""Restores logging after a test that configured it."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import stamina.instrumentation
import structlog

from service import logs


@contextmanager
def restore_logging() -> Iterator[None]:
    """Restore logging on exit: ``configure`` changes the whole process, which belongs to pytest."""
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
