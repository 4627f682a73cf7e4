"""Starts the process that evaluates rules, asks it, and says of which rule it died."""

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from service.rules.limited.child import CPU_LIMIT_S, NO_LIMITS
from service.rules.rule_evaluation import Evaluation, RuleSet, Trace

# A rule that neither ends nor uses the CPU cannot be; this is for a machine that stands still.
_STUCK_AFTER_S = 30.0

# Twenty values of 64 KiB, each character escaped, and some room.
_ANSWER_BYTES_MAX = 16 * 1024 * 1024

# What the process needs of the environment. It holds secrets that are nothing to a rule.
_ENVIRONMENT = ("PATH", "PYTHONPATH", "PYTHONHOME", "LANG", "LC_ALL")

_TOO_SLOW = f"took longer than {CPU_LIMIT_S:g} s for these orders"
_STUCK = f"did not end within {_STUCK_AFTER_S:g} s"
_NO_LIMITS = "cannot be tried: the system does not let a process limit its memory (setrlimit)"
_TOO_LARGE = "needed too much memory for these orders"


class LimitedEvaluator:
    """Evaluates rules in a child process, with a limit of time and memory for each. One request at a time.

    The process is started when it is needed first, and again after it died; ``close`` ends it.
    """

    def __init__(self) -> None:
        self._process: Process | None = None
        self._lock = asyncio.Lock()
        self._starting: asyncio.Task[None] | None = None

    def start_ahead(self) -> None:
        """Start the process in the background, if it does not run: whoever evaluates next need not wait for that."""
        if not self._is_running and (self._starting is None or self._starting.done()):
            self._starting = asyncio.create_task(self._start())

    @property
    def _is_running(self) -> bool:
        return self._process is not None and self._process.returncode is None

    async def _start(self) -> None:
        async with self._lock:
            if not self._is_running:
                self._process = await _start()

    async def evaluate(self, rules: RuleSet, documents: Sequence[Mapping[str, Any]]) -> list[Evaluation]:
        """The evaluation of each document. A rule that exceeds a limit has an error, and no value, for all of them."""
        results: list[list[tuple[Trace, str | None]]] = []
        async with self._lock:
            while len(results) < len(rules.rules):
                rest = RuleSet(rules.rules[len(results) :])
                failure = await self._apply(rest, documents, results)
                if failure is not None:
                    name = rules.rules[len(results)].name
                    results.append([(Trace(name, None, "none", None, None), failure)] * len(documents))
        return [rules.evaluation_of([result[index] for result in results]) for index in range(len(documents))]

    async def close(self) -> None:
        """End the process."""
        if self._starting is not None:
            await asyncio.gather(self._starting, return_exceptions=True)
        async with self._lock:
            await self._end()

    async def _apply(
        self,
        rules: RuleSet,
        documents: Sequence[Mapping[str, Any]],
        results: list[list[tuple[Trace, str | None]]],
    ) -> str | None:
        """Add the results of each rule; returns why the process died, if it did."""
        process = self._process
        if process is None or process.returncode is not None:
            process = self._process = await _start()
        assert process.stdin
        assert process.stdout
        request = json.dumps({"rules": rules.to_json(), "documents": documents}) + "\n"
        is_done = False
        try:
            with suppress(ConnectionError):
                process.stdin.write(request.encode())
                await process.stdin.drain()
            for rule in rules.rules:
                async with asyncio.timeout(_STUCK_AFTER_S):
                    line = await process.stdout.readline()
                if not line.endswith(b"\n"):
                    return await self._cause(process)
                results.append([_result(rule.name, *applied) for applied in json.loads(line)])
            is_done = True
        except TimeoutError:
            return _STUCK
        finally:
            if not is_done:  # also where the caller was cancelled: answers that nobody reads must not wait here
                await self._end()
        return None

    async def _cause(self, process: Process) -> str:
        code = await process.wait()
        return {-signal.SIGPROF: _TOO_SLOW, NO_LIMITS: _NO_LIMITS}.get(code, _TOO_LARGE)

    async def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None and process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()


def _result(
    name: str, kind: Any, source: str | None, text: str | None, place: int, failure: str | None
) -> tuple[Trace, str | None]:
    return Trace(name, source, kind, None, text, place), failure


async def _start() -> Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "service.rules.limited.child",
        stdin=PIPE,
        stdout=PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env={name: os.environ[name] for name in _ENVIRONMENT if name in os.environ},
        limit=_ANSWER_BYTES_MAX,
    )
