"""The fields of an entry that change when an order is queued again."""

from collections.abc import Mapping
from types import MappingProxyType

START_OVER: Mapping[str, object] = MappingProxyType(
    {
        "start_over": True,
        "reason": None,
        "woken_by": None,
        "verified": None,
        "kept": [],
        "dropped": {},
        "checks": 0,
        "repaired": False,
        "trouble": None,
        "follows": False,
        "awaits_record": False,
        "put_back": [],
        "restoring": [],
    }
)
"""The order is read and its values are resolved again. What was sent is kept."""

NEW_VALUES: Mapping[str, object] = MappingProxyType(
    {
        "follows": True,
        "start_over": False,
        "composed": True,
        "reason": None,
        "verified": None,
        "kept": [],
        "checks": 0,
        "repaired": False,
        "restoring": [],
        "trouble": None,
    }
)
"""The order gets new values, which are not resolved again: they are only compared with its record."""
