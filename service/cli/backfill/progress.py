"""Progress display of a backfill on stderr: a bar on a terminal, else a line every few seconds."""

import time
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.text import Text

from service.orders.backfill.progress import BackfillProgress

# Between two lines where there is no terminal, so that a log file stays short.
PRINT_INTERVAL_S = 10.0


class ProgressDisplay:
    """Shows the progress that is passed to ``show``."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._bar = Progress(
            TextColumn("{task.fields[doing]}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=self._console,
            disable=not self._console.is_terminal,
        )
        self._task: TaskID = self._bar.add_task("", total=None, doing="orders")
        self._printed_at = 0.0
        self._has_workers = True
        self._trouble: str | None = None
        self._has_started = False

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def show(self, progress: BackfillProgress) -> None:
        """Update the display. A problem and its end are separate lines."""
        if not self._has_started and progress.began_after:
            self._print(resume_message(progress.began_after))
        self._has_started = True
        if bool(progress.workers) != self._has_workers:
            self._has_workers = bool(progress.workers)
            self._print(
                "Workers are running again." if progress.workers else "No worker is running. Start one to continue."
            )
        if progress.trouble != self._trouble:
            self._trouble = progress.trouble
            if progress.trouble:
                self._print(f"No order was finished for a while. Order {min(progress.in_flight)}: {progress.trouble}")
        total = None if progress.total is None else max(progress.total, progress.seen)
        doing = f"orders, {len(progress.in_flight)} in progress"
        self._bar.update(self._task, completed=progress.done, total=total, doing=doing)
        if not self._console.is_terminal and time.monotonic() - self._printed_at >= PRINT_INTERVAL_S:
            self._printed_at = time.monotonic()
            of = "" if total is None else f" of {total}"
            self._print(f"{progress.done}{of} orders done, {len(progress.in_flight)} in progress")

    def _print(self, line: str) -> None:
        self._console.print(Text(line), soft_wrap=True)


def resume_message(began_after: int) -> str:
    """The message that an earlier run is continued."""
    return f"Continuing after order {began_after}, where an earlier run stopped."
