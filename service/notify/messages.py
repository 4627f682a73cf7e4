"""The messages that people get: what began or ended, where, since when, what to do, and a link to a page."""

import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict

from service.notify.alert_state import Change
from service.notify.alerts import DEFINITIONS, AlertKind
from service.stores import Notify, Store

RUNBOOK = "deploy/docs/operations.md"

# A message names so many stores, and says how many more there are.
MAX_STORES = 10
# Of one sentence. Texts of BigCommerce may have any length; channels take a few thousand characters.
MAX_TEXT = 300

# What a terminal, a mail header or a reader's eye would take for something else than text.
_CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff]+")


class AboutStore(BaseModel):
    """One store in a message: its hash, its name for people, and a sentence."""

    model_config = ConfigDict(frozen=True)

    store: str
    name: str | None
    summary: str

    @property
    def label(self) -> str:
        """``Great Buys (abc123)``, or only the hash."""
        return f"{self.name} ({self.store})" if self.name else self.store


class Message(BaseModel):
    """One message, as JSON in Redis. Times are seconds since the epoch.

    ``id`` stays the same however often it is sent. ``link`` is a URL, or the place in the runbook if there is no
    console; ``more_stores`` are not named. All texts are on one line, without control characters, at most ``MAX_TEXT``
    characters long, and not escaped: each channel does that in its own way.
    """

    model_config = ConfigDict(frozen=True)

    id: str
    alert: str
    event: Literal["began", "more", "ended", "test"]
    severity: Literal["critical", "warning", "info"]
    title: str
    summary: str
    stores: tuple[AboutStore, ...] = ()
    more_stores: int = 0
    since: float
    at: float
    what_to_do: str = ""
    link: str = ""

    @property
    def headline(self) -> str:
        """``CRITICAL: A webhook does not work: Great Buys (abc123)``."""
        mark = {"ended": "OVER", "test": "TEST"}.get(self.event, self.severity.upper())
        match self.stores, self.more_stores:
            case (), _:
                about = ""
            case (only,), 0:
                about = f": {only.label}"
            case named, more:
                about = f": {len(named) + more} stores"
        return f"{mark}: {self.title}{about}"

    @property
    def lines(self) -> list[str]:
        """The sentences below the headline."""
        lines = [self.summary] if self.summary else []
        lines += [f"{about.label}: {about.summary}".removesuffix(": ") for about in self.stores]
        if self.more_stores:
            lines.append(f"… and {self.more_stores} more.")
        if self.event in ("began", "more"):
            lines.append(f"Since {moment(self.since)}.")
        elif self.event == "ended":
            lines.append(f"From {moment(self.since)} to {moment(self.at)}.")
        if self.what_to_do:
            lines.append(f"What to do: {self.what_to_do}")
        return lines

    @property
    def link_is_url(self) -> bool:
        """Whether ``link`` can be opened."""
        return self.link.startswith(("https://", "http://"))


@dataclass(frozen=True, slots=True)
class Changed:
    """An alert of a store (None: of all) that has changed, since when it held, and a sentence about it.

    ``told_until``: where there is more of it, up to when people knew.
    """

    kind: AlertKind
    store: str | None
    change: Change
    since: float
    summary: str
    told_until: float = 0.0


def messages_for(
    changes: Sequence[Changed], stores: Mapping[str, Store], notify: Notify, *, now: float
) -> list[Message]:
    """One message for each kind of alert that began, one for each that has more, one for each that ended: about all
    its stores."""
    groups: dict[tuple[AlertKind, Change], list[Changed]] = {}
    for changed in changes:
        groups.setdefault((changed.kind, changed.change), []).append(changed)
    return [_message(kind, change, group, stores, notify, now) for (kind, change), group in groups.items()]


def _message(
    kind: AlertKind, change: Change, group: Sequence[Changed], stores: Mapping[str, Store], notify: Notify, now: float
) -> Message:
    definition, goes_on = DEFINITIONS[kind], change is not Change.ENDED
    about = [
        AboutStore(
            store=changed.store,
            name=_name(stores.get(changed.store)),
            summary=plain(changed.summary) if goes_on else "",
        )
        for changed in group
        if changed.store is not None
    ]
    of_all = [changed for changed in group if changed.store is None]
    only = about[0].store if len(about) == 1 else None
    return Message(
        id=new_id(),
        alert=kind.value,
        event=change.value,
        severity=definition.severity,
        title={Change.BEGAN: definition.begun, Change.MORE: definition.more, Change.ENDED: definition.ended}[change],
        summary=plain(of_all[0].summary) if of_all and goes_on else "",
        stores=tuple(about[:MAX_STORES]),
        more_stores=max(0, len(about) - MAX_STORES),
        since=min(changed.since for changed in group),
        at=now,
        what_to_do=definition.what_to_do if goes_on else "",
        link=_link(notify.link, definition.page, definition.runbook, only),
    )


def a_test_message(notify: Notify, *, now: float) -> Message:
    """What ``enrich notify test`` sends."""
    about = "all stores" if notify.stores is None else ", ".join(notify.stores)
    summary = f"Sent by `enrich notify test`. Alerts about {about} come the same way. Nothing needs to be done."
    return Message(
        id=new_id(),
        alert="Test",
        event="test",
        severity="info",
        title="Messages of the order enrichment arrive here",
        summary=plain(summary),
        since=now,
        at=now,
        link=f"{notify.link}/" if notify.link else f"{RUNBOOK}#what-to-do",
    )


def _link(base: str | None, page: str, runbook: str, store: str | None) -> str:
    if base is None:
        return f"{RUNBOOK}#{runbook}"
    match page, store:
        case "failures", None:
            return f"{base}/failures"
        case "failures", _:
            return f"{base}/failures?store={quote(str(store))}"
        case "store", str():
            return f"{base}/stores/{quote(store)}"
        case _:
            return f"{base}/"


def plain(text: str) -> str:
    """The text on one line, without characters that are not to be seen, and cut to ``MAX_TEXT`` characters."""
    text = " ".join(_CONTROLS.sub(" ", text).split())
    return text if len(text) <= MAX_TEXT else f"{text[: MAX_TEXT - 1]}…"


def moment(at: float) -> str:
    """``2026-01-10 21:00 UTC``."""
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M} UTC"


def new_id() -> str:
    """A message id, in the form of Standard Webhooks."""
    return f"msg_{secrets.token_hex(16)}"


def _name(store: Store | None) -> str | None:
    return plain(store.name) if store and store.name else None
