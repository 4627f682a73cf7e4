"""The way of one order through the spans of receiver and worker: rows whose microseconds add up to the whole."""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

from tests.bench.profile.recorded import ACCEPT, CLAIM, CREATE, RECEIVER_ROOT, WAKE, WORKER_ROOT
from tests.bench.profile.spans import Span

Key = tuple[str, ...]
"""The names of a row and of those that it is inside of; a name that comes again has its number."""

ON_ITS_WAY = "webhook on its way to the receiver"
NOTIFICATION = "the notification on its way, or the rest of a poll"
REST = "woken: the rest before the next claim"
STARTS = "claimed: the job's task starts"


@dataclass(slots=True)
class Row:
    """One row of an order: when it began, in seconds from the webhook's first byte, and how many it took.

    ``on_path`` is the time for which the order waited for this and for nothing inside it; ``whole`` includes that and
    what ran at the same time.
    """

    key: Key
    began: float
    on_path: float = 0.0
    whole: float = 0.0


@dataclass(slots=True)
class Recorded:
    """The spans of one receiver and one worker, by order."""

    receiver: Sequence[Span]
    worker: Sequence[Span]
    _children: dict[str, dict[int, list[Span]]] = field(default_factory=dict)
    _wakes: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        for name in ("receiver", "worker"):
            children = self._children[name] = {}
            for each in getattr(self, name):
                children.setdefault(each.parent, []).append(each)
        self._wakes = sorted(each.began for each in self.worker if each.name == WAKE)

    def path(self, order: str, sent: float) -> tuple[list[Row], float]:
        """The rows of an order, in the order of their begin, and the seconds from ``sent`` to Create's answer.

        Raises AssertionError when a part of its way was not recorded.
        """
        received = self._tree("receiver", RECEIVER_ROOT, order)
        working = self._tree("worker", WORKER_ROOT, order)
        accept = next((each for each in received if each.name == ACCEPT), None)
        creates = [each for each in working if each.name == CREATE]
        claim = next((each for each in self.worker if each.order == order and each.name == CLAIM), None)
        assert accept, f"{order}: that it was accepted was not recorded"
        assert claim, f"{order}: the claim of its job was not recorded"
        assert creates, f"{order}: its Create was not recorded"
        ended = max(each.ended for each in creates)
        position = bisect_right(self._wakes, accept.began)
        # A poll can find the order before the notification comes.
        woken = min(self._wakes[position] if position < len(self._wakes) else claim.began, claim.began)
        left = min(accept.ended, woken)

        first = received[0].began
        steps = [
            Span(-1, 0, ON_ITS_WAY, sent, first),
            *_clipped(received, left),
            Span(-2, 0, NOTIFICATION, left, woken),
            Span(-3, 0, REST, woken, claim.began),
            Span(-4, 0, CLAIM, claim.began, claim.ended),
            Span(-5, 0, STARTS, claim.ended, working[0].began),
            # Ids of the two processes must not meet.
            *(replace(each, id=-each.id - 10, parent=-each.parent - 10) for each in _clipped(working, ended)),
        ]
        return _rows(steps, sent), ended - sent

    def _tree(self, process: str, root_name: str, order: str) -> list[Span]:
        """The outermost span of an order's first attempt, and all inside it."""
        children = self._children[process]
        found = [each for each in children.get(0, ()) if each.order == order and each.name == root_name][:1]
        for each in found:  # the list grows
            found += children.get(each.id, ())
        assert found, f"{order}: the {process} has recorded nothing"
        return found


def _clipped(spans: Iterable[Span], end: float) -> list[Span]:
    """What of the spans lies before ``end``. One that has not ended, such as that of a stopped process, ends there."""
    return [replace(each, ended=min(each.ended or end, end)) for each in spans if each.began < end]


def _rows(spans: Sequence[Span], sent: float) -> list[Row]:
    keys = _keys(spans)
    rows = {each.id: Row(keys[each.id], each.began - sent, whole=each.ended - each.began) for each in spans}
    times = sorted({time for each in spans for time in (each.began, each.ended)})
    for begin, end in pairwise(times):
        active = [each for each in spans if each.began <= begin and each.ended >= end]
        busy = {each.parent for each in active}
        innermost = [each for each in active if each.id not in busy]
        if innermost:
            # Of what runs at the same time, the order waits for the one that ends last.
            rows[max(innermost, key=lambda each: each.ended).id].on_path += end - begin
    return sorted(rows.values(), key=lambda row: row.began)


def _keys(spans: Sequence[Span]) -> dict[int, Key]:
    keys: dict[int, Key] = {}
    seen: dict[Key, int] = {}
    for each in sorted(spans, key=lambda span: (span.began, -span.ended)):
        key = (*keys.get(each.parent, ()), each.name)
        number = seen[key] = seen.get(key, 0) + 1
        keys[each.id] = key if number == 1 else (*key[:-1], f"{each.name} ({number})")
    return keys
