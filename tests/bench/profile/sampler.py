"""``python -m tests.bench.profile.sampler``: a worker that samples its own stack, and writes the stacks when it ends.

The timer counts CPU time, so that a worker that waits is not sampled. It is a signal and not a thread: a thread gets
its turn between uvloop's callbacks, and would never see one of them run. What C code does counts for the Python code
that called it, and the event loop's own work for ``asyncio.Runner``.

Signals: SIGUSR1 begins, SIGUSR2 ends. The stacks go into the file that ``BENCH_STACKS`` names, in the folded format of
flame graphs: ``module:function;module:function;… samples``.
"""

import os
import signal
import sys
from collections import Counter
from pathlib import Path
from types import FrameType

from service.process.lean_imports import import_lean_libraries

STACKS = "BENCH_STACKS"
INTERVAL_S = 0.001
"""Of CPU time. The kernel's own timer is coarser on many machines: 4 ms."""

_stacks: Counter[tuple[str, ...]] = Counter()


def sample(_: int, frame: FrameType | None) -> None:
    """Count the stack that is running."""
    stack = []
    while frame is not None:
        stack.append(f"{frame.f_globals.get('__name__', '?')}:{frame.f_code.co_qualname}")
        frame = frame.f_back
    _stacks[tuple(reversed(stack))] += 1


def begin(*_: object) -> None:
    """Sample from now on."""
    signal.setitimer(signal.ITIMER_PROF, INTERVAL_S, INTERVAL_S)


def end(*_: object) -> None:
    """Sample no more."""
    signal.setitimer(signal.ITIMER_PROF, 0)


def _main() -> int:
    from workers.startup import main

    signal.signal(signal.SIGPROF, sample)
    signal.signal(signal.SIGUSR1, begin)
    signal.signal(signal.SIGUSR2, end)
    code = main()
    end()
    Path(os.environ[STACKS]).write_text("".join(f"{';'.join(stack)} {count}\n" for stack, count in _stacks.items()))
    return code


if __name__ == "__main__":
    import_lean_libraries()
    sys.exit(_main())
