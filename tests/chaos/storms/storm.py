"""A storm: faults of every kind, drawn from a seeded random generator, several of them at the same time.

The same seed draws the same faults in the same order. How they meet the orders depends on the machine.
"""

import asyncio
import random
import signal
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from tests.fakes.deployment import Deployment, Process

WORKERS = 2

LATENCY_S = 0.05
"""Of each call, also before and after the storm."""

CALM_S = (0.2, 1.5)
"""Between two faults of a track."""

# Longer than a call's timeout of 3 s, so the caller has given up when the call is carried out or answered.
HANG_S = 4.0

Rng = random.Random
Fault = Callable[[Rng], Awaitable[None]]


class Storm:
    """Injects the faults of a seed into a deployment; ``log`` says when each of them began.

    Each track draws one fault after the other from a shuffled deck of its kinds. A supervisor restarts what has died.
    """

    def __init__(self, deployment: Deployment, seed: int) -> None:
        self.log: list[str] = []
        self._deployment = deployment
        self._seed = seed
        self._began = self._ends = 0.0
        self._platform: dict[str, Any] = {}
        self._webhooks: dict[str, Any] = {}

    async def run(self, duration_s: float) -> None:
        """Inject faults for so long, then heal everything."""
        self._began = time.monotonic()
        self._ends = self._began + duration_s
        tracks: Mapping[str, Sequence[Fault]] = {
            "processes": [self._kill_worker, self._freeze_worker, self._kill_receiver, self._freeze_receiver],
            "redis": [self._kill_redis, self._freeze_redis],
            "platform": [self._fault_of(draw) for draw in PLATFORM_FAULTS],
            "webhooks": [
                self._drop_webhooks,
                self._duplicate_webhooks,
                self._delay_webhooks,
                self._switch_hooks_off,
            ],
        }
        async with asyncio.TaskGroup() as running:
            running.create_task(self._supervise(self._rng("supervisor")))
            for name, kinds in tracks.items():
                running.create_task(self._track(self._rng(name), kinds))
        await self._heal()

    @property
    def faults(self) -> int:
        """How many faults there were."""
        return sum(" restarted" not in line for line in self.log)

    def _rng(self, name: str) -> Rng:
        return random.Random(f"{self._seed} {name}")

    async def _track(self, rng: Rng, kinds: Sequence[Fault]) -> None:
        deck: list[Fault] = []
        while True:
            await self._sleep(rng.uniform(*CALM_S))
            if self._left_s() <= 0:
                return
            deck = deck or rng.sample(kinds, len(kinds))
            await deck.pop()(rng)

    async def _supervise(self, rng: Rng) -> None:
        """Restart processes that have died, after a moment, as systemd or Kubernetes do."""
        while self._left_s() > 0:
            await asyncio.sleep(0.05)
            for name in self._dead():
                await self._sleep(rng.uniform(0.1, 2.0))
                self._restart(name)

    def _workers(self) -> list[Process]:
        return [worker for worker in self._deployment.workers if worker.returncode is None]

    def _dead(self) -> list[str]:
        web = ["receiver"] if self._deployment.web.returncode is not None else []
        return web + ["worker"] * (WORKERS - len(self._workers()))

    def _restart(self, name: str) -> None:
        if name == "receiver":
            self._deployment.start_web()
        else:
            self._deployment.start_worker()
        self._note(f"{name} restarted")

    async def _heal(self) -> None:
        """End the faults of BigCommerce, and restart what is dead. The other faults have ended with their tracks."""
        await self._set_faults()
        await self._deployment.sandbox.switch_hooks(self._deployment.stores[0], on=True)
        for name in self._dead():
            self._restart(name)

    # ── processes and Redis ─────────────────────────────────────────────────────────────────────────────────

    async def _kill_worker(self, rng: Rng) -> None:
        which = rng.random()
        if workers := self._workers():
            worker = workers[int(which * len(workers))]
            self._note(f"kill -9 of {worker.name}")
            worker.kill()

    async def _freeze_worker(self, rng: Rng) -> None:
        which, seconds = rng.random(), rng.uniform(0.5, 5.0)
        if workers := self._workers():
            await self._freeze(workers[int(which * len(workers))], seconds)

    async def _kill_receiver(self, _: Rng) -> None:
        self._note("kill -9 of the receiver")
        self._deployment.web.kill()

    async def _freeze_receiver(self, rng: Rng) -> None:
        await self._freeze(self._deployment.web, rng.uniform(0.5, 3.0))

    async def _freeze(self, process: Process, seconds: float) -> None:
        self._note(f"SIGSTOP of {process.name} for {seconds:.1f} s")
        process.signal(signal.SIGSTOP)
        await self._sleep(seconds)
        process.signal(signal.SIGCONT)

    async def _kill_redis(self, rng: Rng) -> None:
        seconds = rng.uniform(0.1, 2.0)
        self._note(f"kill -9 of Redis, down for {seconds:.1f} s")
        self._deployment.redis.kill()
        await self._sleep(seconds)
        await self._deployment.redis.restart()

    async def _freeze_redis(self, rng: Rng) -> None:
        seconds = rng.uniform(0.5, 3.0)
        self._note(f"SIGSTOP of Redis for {seconds:.1f} s")
        self._deployment.redis.pause()
        await self._sleep(seconds)
        self._deployment.redis.resume()

    # ── BigCommerce ─────────────────────────────────────────────────────────────────────────────────────────

    def _fault_of(self, draw: Callable[[Rng], dict[str, Any]]) -> Fault:
        async def fault(rng: Rng) -> None:
            self._platform = draw(rng)
            await self._with_faults(self._platform, rng.uniform(1.5, 5.0))
            self._platform = {}
            await self._set_faults()

        return fault

    async def _drop_webhooks(self, rng: Rng) -> None:
        await self._webhook_fault({"webhook_drop_rate": rng.choice((0.3, 1.0))}, rng)

    async def _duplicate_webhooks(self, rng: Rng) -> None:
        await self._webhook_fault({"webhook_duplicate_rate": rng.choice((0.5, 1.0))}, rng)

    async def _delay_webhooks(self, rng: Rng) -> None:
        await self._webhook_fault({"webhook_delay": rng.choice((1.0, 4.0, 12.0))}, rng)

    async def _webhook_fault(self, fault: dict[str, Any], rng: Rng) -> None:
        self._webhooks = fault
        await self._with_faults(fault, rng.uniform(1.0, 4.0))
        self._webhooks = {}
        await self._set_faults()

    async def _switch_hooks_off(self, rng: Rng) -> None:
        """They stay off: the hook monitor switches them on again."""
        self._note("webhooks switched off")
        await self._deployment.sandbox.switch_hooks(self._deployment.stores[0], on=False)
        await self._sleep(rng.uniform(1.0, 4.0))

    async def _with_faults(self, fault: dict[str, Any], seconds: float) -> None:
        self._note(f"{fault} for {seconds:.1f} s")
        await self._set_faults()
        await self._sleep(seconds)

    async def _set_faults(self) -> None:
        faults = {"latency": LATENCY_S, "hang_seconds": HANG_S} | self._platform | self._webhooks
        await self._deployment.sandbox.faults(**faults, seed=self._seed)

    # ── time ────────────────────────────────────────────────────────────────────────────────────────────────

    def _left_s(self) -> float:
        return self._ends - time.monotonic()

    async def _sleep(self, seconds: float) -> None:
        """Sleep, but not beyond the end of the storm."""
        await asyncio.sleep(max(0.0, min(seconds, self._left_s())))

    def _note(self, what: str) -> None:
        self.log.append(f"{time.monotonic() - self._began:5.1f} s  {what}")


def _apis(rng: Rng) -> dict[str, Any]:
    return {"apis": rng.choice((["core"], ["b2b"], ["core", "b2b"]))}


def _errors(rng: Rng) -> dict[str, Any]:
    return {"error_rate": rng.choice((0.2, 0.5, 1.0)), **_apis(rng)}


def _hangs(rng: Rng) -> dict[str, Any]:
    return {"hang_rate": rng.choice((0.1, 0.4)), **_apis(rng)}


def _lost_answers(rng: Rng) -> dict[str, Any]:
    return {"lost_answer_rate": rng.choice((0.2, 0.6)), "lost_answer_as": "either", **_apis(rng)}


def _late_answers(rng: Rng) -> dict[str, Any]:
    return {"lost_answer_rate": rng.choice((0.1, 0.4)), "lost_answer_as": "late", **_apis(rng)}


def _slow_answers(rng: Rng) -> dict[str, Any]:
    return {"latency": rng.choice((0.5, 1.5)), "latency_jitter": 0.4}


def _read_lag(rng: Rng) -> dict[str, Any]:
    return {"read_lag": rng.choice((0.5, 1.5, 3.0))}


def _refused_credentials(_: Rng) -> dict[str, Any]:
    return {"refuse_credentials": ["sandbox"]}


def _no_quota(rng: Rng) -> dict[str, Any]:
    return {"exhausted": rng.choice((["core"], ["b2b"], ["core", "b2b"]))}


def _b2b_edition_down(_: Rng) -> dict[str, Any]:
    return {"b2b_down": True}


def _nonsense(rng: Rng) -> dict[str, Any]:
    return {"nonsense_rate": rng.choice((0.1, 0.3, 1.0)), **_apis(rng)}


def _nonsense_with_200(rng: Rng) -> dict[str, Any]:
    kinds = rng.choice((["error_in_200"], ["other_endpoint"]))
    return {"nonsense_rate": rng.choice((0.1, 0.3)), "nonsense_as": kinds, **_apis(rng)}


PLATFORM_FAULTS = (
    _errors,
    _hangs,
    _lost_answers,
    _late_answers,
    _slow_answers,
    _read_lag,
    _refused_credentials,
    _no_quota,
    _b2b_edition_down,
    _nonsense,
    _nonsense_with_200,
)
