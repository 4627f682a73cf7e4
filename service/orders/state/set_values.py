"""The values that a person has set for one order, as its entry keeps them."""

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Self

BY_HAND = "by_hand"
"""The source of orders that go on with values set by hand."""


@dataclass(frozen=True, slots=True)
class SetValue:
    """A value that a person has set for one order; ``at`` is in seconds since the epoch."""

    text: str
    who: str
    at: float


@dataclass(frozen=True, slots=True)
class ByHand:
    """The values set by hand for an order, by name: ``po_number``, a fieldName or a label. They go before the rules.

    ``id`` is another one each time that somebody sets or clears values. ``replace`` names those of the last time that
    may replace a value of somebody else, in one write.
    """

    id: str
    values: Mapping[str, SetValue]
    replace: tuple[str, ...] = ()

    @property
    def texts(self) -> dict[str, str]:
        """The values alone."""
        return {name: value.text for name, value in self.values.items()}

    def to_json(self) -> str:
        """What ``from_json`` reads."""
        values = {name: (value.text, value.who, value.at) for name, value in self.values.items()}
        return json.dumps({"id": self.id, "values": values, "replace": self.replace})

    @classmethod
    def from_json(cls, text: str) -> Self | None:
        """None, or no values, where another version of this program wrote something else."""
        known = None
        with suppress(ValueError, TypeError, KeyError, AttributeError):
            stored = json.loads(text)
            known = cls(stored["id"], {})  # an attempt that cannot read the values must still end
            values = {name: SetValue(*value[:3]) for name, value in stored["values"].items()}
            known = cls(stored["id"], values, tuple(stored["replace"]))
        return known
