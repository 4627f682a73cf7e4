"""The rules of a store: edited beside what they give for its last orders, saved into the stores file, taken back.

For admins only, also to look at: the page shows what shoppers wrote, and whole orders.
"""

import asyncio
import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from starlette.responses import Response

from service.audit import ActionName
from service.configuration import ConfiguredStore, rules_file
from service.configuration.in_force import ConfigurationsInForce
from service.configuration.rules_file import RulesFile, UnreadableFile
from service.console.people.access import Role
from service.console.routes import Action, Page, Visit, render
from service.console.rules.comparison import ENTRY_FIELDS, RuleComparison, compare_rules
from service.console.rules.editor import Edit, begin, read_form
from service.console.rules.recent_orders import HeldOrders
from service.errors import ConfigError, EnrichError, Problem
from service.orders.state.ledger import Ledger
from service.orders.state.per_store.rules_history import RulesHistory, RulesVersion
from service.redis.client import TRANSIENT_ERRORS
from service.rules.expression_finder import Finding, find_text
from service.stores.editing.file_replacement import FileChanged, NotReplaceable
from service.stores.editing.rule_rows import RuleRow
from service.stores.editing.rules_text import LayoutError

PATH = "/rules/{store:store}"

# A comparison waits so long for the orders, then it shows how far their reading is.
_WAIT_S = 1.5

# A page that opens is shown at once, and fetches the comparison when the orders are there.
_OPENING_WAIT_S = 0.1

_SHOWN_FIRST = "This is what the rules would change. Look at it, then save."
_NOTHING_TO_SAVE = "These are the rules of the file: there is nothing to save."
_NOT_COMPARED = "The last orders are not read yet, so nothing was saved: first see what the rules would change."


@dataclass(slots=True)
class RulesPage:
    """The editor. ``blocked`` says why rules cannot be edited here; then nothing else is shown.

    ``notice`` is what became of a save. ``paste`` says why the file cannot be written: then the text is to be pasted.
    ``in_force`` has the digest of each process; ``file`` is the stores file as it is now, ``today`` the store in it.
    """

    store: str
    store_name: str
    file_name: str
    blocked: str = ""
    file: RulesFile | None = None
    today: ConfiguredStore | None = None
    edit: Edit = field(default_factory=lambda: Edit("", ""))
    held: HeldOrders | None = None
    comparison: RuleComparison | None = None
    findings: Sequence[Finding] = ()
    find_note: str = ""
    versions: Sequence[RulesVersion] = ()
    in_force: Mapping[str, str] = field(default_factory=dict)
    notice: str = ""
    paste: str = ""
    done: str = ""

    @property
    def path(self) -> str:
        return f"/rules/{self.store}"

    @property
    def rows(self) -> list[RuleRow]:
        """The rows of the form: the PO number first, and a blank one at the end."""
        rows = list(self.edit.rows or ())
        if not any(row.is_po_number for row in rows):
            rows.insert(0, RuleRow(is_po_number=True))
        return [*rows, RuleRow()]

    @property
    def is_changed(self) -> bool:
        """Whether the edited rules are written differently from those of the file."""
        return self.file is not None and self.edit.text != self.file.rules

    @property
    def is_outdated(self) -> bool:
        """Whether the file has changed since the page was opened."""
        return self.file is not None and self.edit.opened != self.file.digest

    @property
    def processes_in_force(self) -> int:
        """How many processes go by the file as it is now."""
        return sum(self.file is not None and digest == self.file.digest for digest in self.in_force.values())

    @property
    def version(self) -> RulesVersion | None:
        """The version that is being taken back."""
        return next((version for version in self.versions if version.id == self.edit.version), None)

    @property
    def diff(self) -> list[str]:
        """The lines that differ from the file's rules, each with its sign."""
        before = self.file.rules if self.file else ""
        lines = difflib.unified_diff(before.splitlines(), self.edit.text.splitlines(), n=1, lineterm="")
        return [line for line in lines if not line.startswith(("---", "+++"))]


async def load(visit: Visit) -> RulesPage:
    """The rules of the file, or the version that the query names, beside what they give."""
    return await _load(visit, _WAIT_S)


async def load_shown(visit: Visit) -> RulesPage:
    """As ``load``, without waiting long for the orders."""
    return await _load(visit, _OPENING_WAIT_S)


async def _load(visit: Visit, wait_s: float) -> RulesPage:
    query = visit.request.query_params
    page = await _open(visit)
    if page.file is None:
        return page
    version = await _version(visit, page, query.get("version", ""))
    text = version.text if version else page.file.rules
    as_toml = query.get("as") == "toml"
    page.edit = begin(page.file.digest, text, page.store, as_toml=as_toml, version=version.id if version else "")
    page.done = query.get("done", "")
    await _fill(visit, page, again=query.get("read") == "again", wait_s=wait_s)
    return page


async def _version(visit: Visit, page: RulesPage, wanted: str) -> RulesVersion | None:
    if not wanted:
        return None
    found = await RulesHistory(visit.redis).find(page.store, wanted)
    if found is None:
        page.notice = "That version is not kept any more. These are the rules of the file."
    return found


async def compare(visit: Visit) -> Response:
    """What the edited rules would change. Writes nothing."""
    return _html(visit, await _edited(visit, await _posted(visit)))


async def save(visit: Visit) -> Response:
    """Save the edited rules into the stores file, if what they change was shown before."""
    edit = await _posted(visit)
    store: str = visit.request.path_params["store"]
    editor = visit.console.rules
    if edit.problems or not editor.was_shown(visit.person.who, store, edit.opened, edit.text):
        page = await _edited(visit, edit)
        page.notice = "" if page.edit.problems else _SHOWN_FIRST if page.comparison else _NOT_COMPARED
        return _html(visit, page)
    page = await _open(visit)
    if page.file is not None and edit.text == page.file.rules:
        page = await _edited(visit, edit)
        page.notice = _NOTHING_TO_SAVE
        return _html(visit, page)
    try:
        saved = await asyncio.to_thread(rules_file.save, editor.live, store, edit.text, edit.opened)
    except FileChanged as changed:
        page = await _edited(visit, edit, opens_again=True)
        page.notice = f"{changed} Your rules are still here, beside what is in the file now. Look again, then save."
        return _html(visit, page)
    except NotReplaceable as refused:
        page = await _edited(visit, edit)
        page.paste = str(refused)
        return _html(visit, page)
    except (ConfigError, LayoutError, UnreadableFile):
        return _html(visit, await _edited(visit, edit))  # which finds the same problems
    visit.log_action(ActionName.TAKE_BACK_RULES if edit.version else ActionName.SAVE_RULES, store)
    editor.live.request_reload()
    try:
        history = RulesHistory(visit.redis)
        await history.add(store, visit.person.who, edit.text, saved.digest, before=saved.before.rules)
    except TRANSIENT_ERRORS:
        return visit.back(f"/rules/{store}", "saved_without_version")
    return visit.back(f"/rules/{store}", "saved")


def _html(visit: Visit, page: RulesPage) -> Response:
    return render(visit, "rules/rules.html", {"page": page})


async def _posted(visit: Visit) -> Edit:
    return read_form(await visit.form(), visit.request.path_params["store"])


async def _open(visit: Visit) -> RulesPage:
    """The page with the file as it is now."""
    store: str = visit.request.path_params["store"]
    live = visit.console.live
    page = RulesPage(store, visit.store_name(store), live.path.name)
    try:
        page.file, configuration = await asyncio.to_thread(rules_file.read, live, store)
        page.today = configuration.stores[store]
    except (LayoutError, UnreadableFile) as error:
        page.blocked = str(error)
    return page


async def _edited(visit: Visit, edit: Edit, *, opens_again: bool = False) -> RulesPage:
    """The page with what somebody has typed. ``opens_again``: from now on on top of the file as it is now."""
    page = await _open(visit)
    page.edit = replace(edit, opened=page.file.digest) if opens_again and page.file else edit
    if page.file is not None:
        await _fill(visit, page)
        if edit.wants_find:
            await _find(visit, page)
    return page


async def _fill(visit: Visit, page: RulesPage, *, again: bool = False, wait_s: float = _WAIT_S) -> None:
    """Add the comparison, the versions and what is in force."""
    assert page.file
    assert page.today
    editor, store, edit, today = visit.console.rules, page.store, page.edit, page.today
    live = editor.live
    editor.evaluator.start_ahead()
    page.versions, page.in_force = await asyncio.gather(
        RulesHistory(visit.redis).list(store), ConfigurationsInForce(visit.redis).read()
    )
    roots = edit.read | today.rules.needed_roots
    page.held = held = await editor.orders.of(today, roots, again=again, wait_s=wait_s)
    edited = today
    if not edit.problems and page.is_changed:
        try:
            edited = (await asyncio.to_thread(rules_file.check, live, page.file, edit.text)).stores[store]
        except ConfigError as error:
            page.edit = edit = replace(edit, problems=error.problems)
        except LayoutError as error:
            page.edit = edit = replace(edit, problems=[Problem(page.file_name, str(error))])
    if edit.problems or not held.is_complete:
        return
    entries = await Ledger(visit.redis).get_parts([(store, loaded.order_id) for loaded in held.orders], ENTRY_FIELDS)
    page.comparison = await compare_rules(editor.evaluator, held, today, edited, entries)
    if not page.is_outdated:
        editor.note_shown(visit.person.who, store, edit.opened, edit.text)


async def _find(visit: Visit, page: RulesPage) -> None:
    """Search the whole document of one order for a text."""
    held, edit = page.held, page.edit
    if not edit.find:
        page.find_note = "Write the text that you look for, such as a PO number that you know."
        return
    newest = held.orders[0].order_id if held and held.orders else None
    order_id = int(edit.find_order) if edit.find_order.isascii() and edit.find_order.isdigit() else newest
    if held is None or not order_id:
        page.find_note = "Write the number of an order that has the text."
        return
    try:
        loaded = await visit.console.rules.orders.whole(visit.store(page.store), held, order_id)
    except EnrichError as error:
        page.find_note = f"Order {order_id} cannot be read: {error}"
        return
    page.findings = await asyncio.to_thread(find_text, loaded.document, edit.find)
    unread = ", ".join(sorted(held.unread_of_whole(loaded)))
    count = len(page.findings)
    found = f"Order {order_id} has it in {count} {'place' if count == 1 else 'places'}."
    page.find_note = found if count else f"Order {order_id} does not have it."
    if unread:
        page.find_note += f" Not read: {unread}."


def as_dict(page: RulesPage) -> dict[str, Any]:
    """The rules for scripts: the text, the versions, and what the rules give for the last orders."""
    return {
        "store": page.store,
        "file": page.file_name,
        "blocked": page.blocked or None,
        "rules": page.edit.text,
        "digest": page.file.digest if page.file else None,
        "in_force": {
            process: page.file is not None and digest == page.file.digest for process, digest in page.in_force.items()
        },
        "orders_error": page.held.error or None if page.held else None,
        "comparison": page.comparison.as_dict() if page.comparison else None,
        "versions": [
            {"id": version.id, "saved_at": version.saved_at, "who": version.who, "rules": version.text}
            for version in page.versions
        ],
    }


PAGE = Page(PATH, "rules/rules.html", load, as_dict, needs=Role.ADMIN, load_shown=load_shown)
ACTIONS = (Action(f"{PATH}/compare", compare, needs=Role.ADMIN), Action(f"{PATH}/save", save, needs=Role.ADMIN))
