"""``enrich orders set``: values by hand for one order."""

import asyncio
from typing import Annotated

import typer
from rich.text import Text

from service import audit
from service.cli.common.options import StoreOption
from service.cli.common.output import open_console, print_json
from service.cli.common.session import Session, open_session
from service.cli.common.writes import note_if_not_written
from service.cli.orders.requeue import (
    RequeueItem,
    RequeueOptions,
    RequeueResult,
    TimeoutOption,
    WaitOption,
    exit_on_failure,
    show_results,
    wait_for,
)
from service.errors import ConfigError, Problem
from service.orders.by_hand import OrderValues, Outcome
from service.orders.values.merge import PO_NUMBER


def set_values(
    order_id: Annotated[int, typer.Argument(metavar="ORDER", help="The ID of the order in the store.", min=1)],
    po: Annotated[str | None, typer.Option("--po", metavar="TEXT", help="The PO number.")] = None,
    fields: Annotated[
        list[str] | None,
        typer.Option(
            "--field", metavar="NAME=TEXT", help="An extra field, by its fieldName or its label. May be repeated."
        ),
    ] = None,
    replace: Annotated[
        bool,
        typer.Option(
            "--replace",
            help="Put these values in place of somebody else's, in one write. Default: as existing_values says.",
        ),
    ] = False,
    clear: Annotated[
        bool, typer.Option("--clear", help="Forget all values set by hand for this order: the rules decide again.")
    ] = False,
    store: StoreOption = None,
    wait: WaitOption = False,
    timeout: TimeoutOption = 60.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON array instead of text.")] = False,
) -> None:
    """Set the PO number or extra fields of one order by hand.

    The values are for this order only. They go before the rules, now and at every retry, and no later change of the
    order replaces them. They are checked and written like any others: what somebody else has written on the record
    stays, unless you say --replace. Values that you set before stay; name one again to change it. `enrich orders show`
    tells who set what, and when.

    It works on an order with any outcome. One that waits for a value goes on at once; one that is in progress does not
    finish without these values. After --clear, a value that no rule gives stays on the record. Needs Redis.

    Exit code 1 with --wait if the order failed or was not finished in time.

    \b
    Example: enrich orders set 1002 --po 4711-D --field "Cost Center=CC-1" --wait
             enrich orders set 1002 --clear
    """
    texts = _texts(po, fields or [])
    _check_options(texts, replace=replace, clear=clear)
    options = RequeueOptions(dry_run=False, wait_s=timeout if wait else None, as_json=as_json)
    item = asyncio.run(_run(store, order_id, texts, replace, options))
    if as_json:
        print_json([item.as_dict()])
    show_results([item], options)
    exit_on_failure([item], options)


def _texts(po: str | None, fields: list[str]) -> dict[str, str]:
    """The values by name. Raises ConfigError with all mistakes."""
    texts = {} if po is None else {PO_NUMBER: po}
    problems = []
    for written in fields:
        name, sign, text = written.partition("=")
        name = name.strip()
        if not sign or not name:
            cure = 'Write NAME=TEXT in quotes, such as --field "Cost Center=CC-1".'
            problems.append(Problem(f'--field "{written}"', "has no name and text.", cure))
        elif name == PO_NUMBER:
            problems.append(Problem(f"--field {name}", "is not an extra field.", "Use --po for the PO number."))
        elif name in texts:
            problems.append(Problem(f'--field "{name}"', "is given twice.", "Give it once."))
        else:
            texts[name] = text
    if problems:
        raise ConfigError(*problems)
    return texts


def _check_options(texts: dict[str, str], *, replace: bool, clear: bool) -> None:
    if clear and (texts or replace):
        raise ConfigError(Problem("--clear", "cannot be combined with --po, --field or --replace.", "Use it alone."))
    if not clear and not texts:
        raise ConfigError(Problem("orders set", "has nothing to set.", "Give --po, --field, or --clear."))


async def _run(
    wanted: str | None, order_id: int, texts: dict[str, str], replace: bool, options: RequeueOptions
) -> RequeueItem:
    async with open_session(needs_redis=True) as session:
        assert session.redis is not None
        configured = session.store(wanted)
        name, who = configured.store.hash, audit.system_user()
        values = OrderValues(session.redis, configured, session.api(configured))
        if texts:
            outcome = await values.set(order_id, texts, who=who, replace=replace)
        else:
            outcome = await values.clear(order_id, who=who)
        await _tell(session, name, order_id, outcome, options, is_cleared=not texts)
        item = RequeueItem(name, order_id, RequeueResult(outcome.result.value))
        (item,) = await wait_for(session.redis, [item], options)
    return item


async def _tell(
    session: Session, store: str, order_id: int, outcome: Outcome, options: RequeueOptions, *, is_cleared: bool
) -> None:
    done = "values by hand are cleared" if is_cleared else "values are set"
    then = {"queued": "it is queued", "on_its_way": "it is in progress, and takes this up before it finishes"}
    if not options.as_json:
        message = f"order {order_id} of {store}: {done}; {then[outcome.result.value]}."
        open_console().print(Text(message), soft_wrap=True)
    if not outcome.are_checked:
        typer.echo(
            "BigCommerce did not answer, so the values were not checked against the field settings. "
            "The workers check them before they write.",
            err=True,
        )
    assert session.redis is not None
    await note_if_not_written(session.redis, [session.store(store)])
