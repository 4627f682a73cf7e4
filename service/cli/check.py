"""``enrich check``: what is wrong with a set-up, before an order shows it."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from service.checks import Finding, Level, check_file, check_redis, check_stores, counted, of_clock
from service.cli.common.options import AnyStoreOption, choose_stores
from service.cli.common.output import open_console, print_json
from service.cli.common.session import open_session
from service.configuration import ConfiguredStore
from service.settings import Settings

COLOURS = {Level.OK: "green", Level.WARNING: "yellow", Level.ERROR: "red"}


@dataclass(frozen=True, slots=True)
class Section:
    """Findings under one heading: the stores file's, a store's, this machine's."""

    heading: str
    findings: list[Finding]


@dataclass(frozen=True, slots=True)
class Report:
    """Everything that was found, and in what: ``looked_at`` ends the summary's sentence."""

    sections: list[Section]
    looked_at: str

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
        bool, typer.Option("--offline", help="The stores file alone: BigCommerce and Redis are not asked.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="A JSON object instead of text.")] = False,
) -> None:
    """Find what keeps orders from being enriched, and say what to do.

    First the stores file (ENRICH_CONFIG, default stores.toml), all its problems at once. Then each store live: are its
    access tokens accepted and may they do what the rules need, do its extra fields and the rules agree, do its
    webhooks arrive, how much of its API quota is left. Then this machine's clock, and Redis where REDIS_URL is set.

    Nothing is changed anywhere: the keys that are written to try Redis are deleted. One line a finding: "error" keeps
    orders from being enriched, "warning" may, "ok" says what was looked at. A store costs about ten calls of its quota.

    Exit code 0: no error. 1: an error was found. 2: the command was used wrongly.

    \b
    Example: enrich check --store abc123
             enrich check --offline --json     (for CI: needs nothing but the file and its secrets)
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
    configuration, found = check_file(settings.enrich_config)
    if configuration is None:
        return Report([Section(file, found)], f"{file}; its stores were not looked at")
    names = choose_stores(wanted, list(configuration.stores))
    stores = [configuration.stores[name] for name in names]
    count = counted(len(names), "store")
    live, around = ([[] for _ in stores], []) if offline else await _look(stores)
    sections = [
        Section(file, [finding for finding in found if finding.store is None]),
        *(
            Section(_name(store), [*(finding for finding in found if finding.store == store.store.hash), *findings])
            for store, findings in zip(stores, live, strict=True)
        ),
        Section("this machine", around),
    ]
    return Report(sections, f"{count}; BigCommerce was not asked" if offline else count)


async def _look(stores: Sequence[ConfiguredStore]) -> tuple[list[list[Finding]], list[Finding]]:
    """What is found live: for each store, and around them."""
    async with open_session() as session:
        around = await check_redis(session.redis) if session.redis else []
        with _progress(len(stores)) as tell:
            endpoints = session.configuration.endpoints
            live = await check_stores(session.transport, stores, endpoints, session.redis, tell=tell)
        clock = session.transport.upstream_clock
        return live, [of_clock(clock.skew), *around] if clock.is_known else around


@contextmanager
def _progress(stores: int) -> Iterator[Callable[[int], None]]:
    """How many stores are done, on a terminal."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda _: None
        return
    with console.status(f"Looking at {counted(stores, 'store')} …") as status:
        yield lambda done: status.update(f"{done} of {counted(stores, 'store')} done …")


def _name(configured: ConfiguredStore) -> str:
    store = configured.store
    return f"{store.hash} ({store.name})" if store.name else store.hash


def _as_dict(report: Report) -> dict[str, object]:
    return {
        "findings": [finding.as_dict() for finding in report.findings],
        "errors": report.count(Level.ERROR),
        "warnings": report.count(Level.WARNING),
    }


def _show(console: Console, report: Report) -> None:
    for section in report.sections:
        if section.findings:
            console.print(Text(section.heading, "bold"))
            console.print(_table(section.findings))
    errors, warnings = (counted(report.count(level), level.value) for level in (Level.ERROR, Level.WARNING))
    console.print(Text(f"{errors}, {warnings} in {report.looked_at}."))


def _table(findings: Sequence[Finding]) -> Table:
    table = Table(box=None, show_header=False, padding=(0, 0, 0, 2))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    table.add_column(overflow="fold")
    for finding in findings:
        # Names of fields and BigCommerce's words are not rich's markup.
        table.add_row(
            Text(finding.level.value, COLOURS[finding.level]),
            Text(finding.subject),
            Text(f"{finding.message} {finding.cure}".rstrip()),
        )
    return table
