"""What the attempts at an order did: a bounded list in its entry, written with it and never by itself."""

import json
from typing import NamedTuple

KEPT = 20
"""So many are kept: the first ones, which tell how it began, and the last ones."""

_FIRST_KEPT = 2
_RESULT_LENGTH_MAX = 160


class AttemptNote(NamedTuple):
    """One attempt, or one verification of the record (``number`` is 0: it shares its call with other orders).

    ``at`` is when it began, in seconds since the epoch; ``ms`` is how long it took; ``calls`` those to BigCommerce;
    ``result`` is in words.
    """

    number: int
    at: float
    ms: int
    calls: int
    result: str


def add_note(notes: list[AttemptNote], note: AttemptNote) -> None:
    """Add a note, and drop one from the middle when there are too many."""
    result = note.result
    short = result if len(result) <= _RESULT_LENGTH_MAX else f"{result[: _RESULT_LENGTH_MAX - 1]}…"
    notes.append(note._replace(at=round(note.at, 3), result=short))
    if len(notes) > KEPT:
        del notes[_FIRST_KEPT]


def decode_notes(text: str) -> list[AttemptNote]:
    """Read notes. Those of a newer version may hold more."""
    return [AttemptNote(*row[: len(AttemptNote._fields)]) for row in json.loads(text)]
