"""``enrich check``: find problems in the set-up before an order fails because of them."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from service.checks import (
    Finding,
    Level,
    Verdict,
    check_clock,
    check_file,
    check_notifications,
    check_processes,
    check_public_address,
    check_redis,
    check_redis_clock,
    check_stores,
    counted,
    unknown_webhook_findings,
    verdict,
    webhooks_of_last_hour,
)
from service.cli.common.options import AnyStoreOption, choose_stores
from service.cli.common.output import open_console, print_json
from service.cli.common.session import open_session
from service.configuration import ConfiguredStore
from service.settings import Settings

COLOURS = {Level.OK: "green", Level.WARNING: "yellow", Level.ERROR: "red"}


@dataclass(frozen=True, slots=True)
class Section:
    """The findings under one heading: of the stores file, of a store, of this machine."""

    heading: str
    findings: list[Finding]


@dataclass(frozen=True, slots=True)
class Report:
    """All findings by section, and what follows from them.

    ``scope`` says what was checked; it ends the summary's sentence.
    """

    sections: list[Section]
    scope: str
    verdict: Verdict

    @property
    def findings(self) -> list[Finding]:
        """All findings, in the order of the sections."""
        return [finding for section in self.sections for finding in section.findings]

    def count(self, level: Level) -> int:
        """How many findings are of this level."""
        return sum(finding.level is level for finding in self.findings)


def check(
    store: AnyStoreOption = None,
    offline: Annotated[
        bool, typer.Option("--offline", help="Check only the stores file: do not call BigCommerce or Redis.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON object instead of text.")] = False,
) -> None:
    """Check the set-up, and say how to fix each problem.

    The first line says whether orders would be enriched as things stand.

    Checks the stores file first (ENRICH_CONFIG, default stores.toml) and shows all its problems at once. Then checks
    each store at BigCommerce: access tokens and their scopes, extra fields against the rules, the rules on the last 20
    orders, webhooks and the public address that they go to, and the API quota that is left. Then checks this machine's
    clock, Redis (that of REDIS_URL, or of a running `enrich up`), and whether workers and receivers run.

    Changes nothing: keys that are written to test Redis are deleted. Each finding is one line. "error": orders cannot
    be enriched. "warning": some orders may not be enriched. "ok": this was checked and is right. Each store uses ten
    to thirty calls of its API quota, after those of orders.

    Exit code 0: no error. 1: an error was found. 2: wrong usage.

    \b
    Example: enrich check --store abc123
             enrich check --offline --json     (for CI: needs only the file and its secrets)
    """
    report = asyncio.run(_check(store, offline=offline))
    if as_json:
        print_json(_as_dict(report))
    else:
        _show(open_console(), report)
    if report.count(Level.ERROR):
        raise typer.Exit(1)


async def _check(wanted: str | None, *, offline: bool) -> Report:
    settings = Settings.load()
    file = str(settings.enrich_config)
    configuration, file_findings = check_file(settings.enrich_config)
    if configuration is None:
        judged = verdict(file_findings, (), offline=offline, has_redis=False)
        return Report([Section(file, file_findings)], f"{file}; its stores were not looked at", judged)
    names = choose_stores(wanted, list(configuration.stores))
    stores = [configuration.stores[name] for name in names]
    count = counted(len(names), "store")
    known = list(configuration.stores.values())
    live, machine, has_redis = ([[] for _ in stores], [], False) if offline else await _check_live(stores, known)
    sections = [
        Section(file, [finding for finding in file_findings if finding.store is None]),
        *(
            Section(
                _name(store), [*(finding for finding in file_findings if finding.store == store.store.hash), *findings]
            )
            for store, findings in zip(stores, live, strict=True)
        ),
        Section("this machine", machine),
    ]
    findings = [finding for section in sections for finding in section.findings]
    judged = verdict(findings, names, offline=offline, has_redis=has_redis)
    return Report(sections, f"{count}; BigCommerce was not asked" if offline else count, judged)


async def _check_live(
    stores: Sequence[ConfiguredStore], known: Sequence[ConfiguredStore]
) -> tuple[list[list[Finding]], list[Finding], bool]:
    """The findings at BigCommerce for each store, the findings on this machine, and whether there is a Redis."""
    async with open_session() as session:
        machine = await check_redis(session.redis) if session.redis else []
        with _progress(len(stores)) as progress:
            endpoints = session.configuration.endpoints
            live = await check_stores(
                session.transport,
                stores,
                endpoints,
                session.redis,
                known=known,
                on_progress=progress.done,
                on_step=progress.step,
                ask_address=check_public_address,
            )
        clock = session.transport.upstream_clock
        if session.redis:
            machine += await check_redis_clock(session.redis, clock.skew if clock.is_known else None)
            machine += await check_notifications(session.redis) if session.configuration.notify else []
            machine += await check_processes(session.redis)
            machine += unknown_webhook_findings(await webhooks_of_last_hour(session.redis))
        machine = [check_clock(clock.skew), *machine] if clock.is_known else machine
        return live, machine, session.redis is not None


@dataclass(slots=True)
class _Progress:
    """How many stores have been checked, and what is checked now. ``show`` gets it as a sentence."""

    stores: int
    show: Callable[[str], None]
    _done: int = 0
    _steps: dict[str, str] = field(default_factory=dict)

    def done(self, stores: int) -> None:
        self._done = stores
        self._show()

    def step(self, store: str, what: str) -> None:
        self._steps.pop(store, None)  # so that it is the newest
        self._steps[store] = what
        self._show()

    def _show(self) -> None:
        done = f"{self._done} of {counted(self.stores, 'store')} done" if self.stores > 1 else "Checking"
        store, what = next(reversed(self._steps.items()), ("", ""))
        self.show(f"{done}: {store}, {what} …" if what else f"{done} …")


@contextmanager
def _progress(stores: int) -> Iterator[_Progress]:
    """Show on a terminal how far the check is."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield _Progress(stores, lambda _: None)
        return
    with console.status(f"Checking {counted(stores, 'store')} …") as status:
        yield _Progress(stores, status.update)


def _name(configured: ConfiguredStore) -> str:
    store = configured.store
    return f"{store.hash} ({store.name})" if store.name else store.hash


def _as_dict(report: Report) -> dict[str, object]:
    return {
        "would_be_enriched": report.verdict.is_working,
        "verdict": report.verdict.sentence,
        "findings": [finding.as_dict() for finding in report.findings],
        "errors": report.count(Level.ERROR),
        "warnings": report.count(Level.WARNING),
    }


def _show(console: Console, report: Report) -> None:
    colours = {True: "green", False: "red", None: ""}
    console.print(Text(report.verdict.sentence, colours[report.verdict.is_working]))
    for section in report.sections:
        if section.findings:
            console.print(Text(section.heading, "bold"))
            console.print(_table(section.findings))
    errors, warnings = (counted(report.count(level), level.value) for level in (Level.ERROR, Level.WARNING))
    console.print(Text(f"{errors}, {warnings} in {report.scope}."))


def _table(findings: Sequence[Finding]) -> Table:
    table = Table(box=None, show_header=False, padding=(0, 0, 0, 2))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    table.add_column(overflow="fold")
    for finding in findings:
        # Text, because names of fields and BigCommerce's messages must not be read as rich's markup.
        table.add_row(
            Text(finding.level.value, COLOURS[finding.level]),
            Text(finding.subject),
            Text(f"{finding.message} {finding.cure}".rstrip()),
        )
    return table
