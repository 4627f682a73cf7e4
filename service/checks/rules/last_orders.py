"""Tries the rules on the store's last orders: one that finds nothing in any of them has a typo, most likely."""

from collections import Counter
from collections.abc import Mapping, Sequence

from service.bigcommerce import StoreApi
from service.checks.findings import Finding, Level, counted
from service.checks.rules.subject import rule_subject
from service.configuration import ConfiguredStore
from service.errors import ConfigError, EnrichError, UpstreamError
from service.orders.document.cache import Cache
from service.orders.document.last_orders import load_last_orders
from service.orders.document.partial_loader import LoadedOrder
from service.orders.values.skip import skip_reason
from service.rules.expression import Expression
from service.rules.near_names import Stop, find_stop
from service.rules.pattern import Pattern
from service.rules.rule_evaluation import CompiledRule
from service.rules.value_search import Search

MIN_ORDERS = 5
"""Fewer orders than this may have no value by chance."""

MAX_NAMES = 8

_SUBJECT = "last orders"


async def check_last_orders(
    api: StoreApi, configured: ConfiguredStore, misses: Mapping[str, int] | None = None
) -> list[Finding]:
    """One finding for each rule that searches. ``misses`` are the rules that workers found to be without values."""
    store = configured.store
    skipped: Counter[str] = Counter()

    def is_wanted(order: Mapping[str, object]) -> bool:
        reason = skip_reason(order, store)
        skipped.update([reason] if reason else [])
        return reason is None

    if not any(rule.search.expressions for rule in configured.rules.rules):
        return []
    try:
        last = await load_last_orders(api, Cache(None, store.hash), configured.rules.needs, is_wanted=is_wanted)
    except UpstreamError:
        return []  # the check of the token says what is wrong
    if not last.orders:
        return [_no_orders(store.hash, last.listed, skipped)]
    rules = [rule for rule in configured.rules.rules if rule.search.expressions]
    findings = [rule_finding(store.hash, rule, last.orders, (misses or {}).get(rule.name)) for rule in rules]
    return [finding for finding in findings if finding is not None]


def _no_orders(store: str, listed: int, skipped: Mapping[str, int]) -> Finding:
    if not listed:
        message = "the store has no orders to try the rules on."
        return Finding(Level.OK, store, _SUBJECT, message)
    reasons = ", ".join(f"{count} {reason}" for reason, count in skipped.items())
    message = f"all of the last {listed} would be skipped ({reasons})."
    cure = "Is this the right store? Check channels and incomplete_orders, and that buyers are signed in."
    return Finding(Level.WARNING, store, _SUBJECT, message, cure)


def rule_finding(
    store: str, rule: CompiledRule, orders: Sequence[LoadedOrder], misses: int | None = None
) -> Finding | None:
    """What the rule finds in these orders; None when none of them has what it reads."""
    tried = [order for order in orders if _is_read(rule, order.gaps)]
    if not tried:
        return None
    documents = [order.document for order in tried]
    found = sum(rule.search.run(document)[0] is not None for document in documents)
    subject = rule_subject(rule)
    message = f"found in {found} of {counted(len(tried), 'order')}."
    if found:
        return Finding(Level.OK, store, subject, f"{message}{_useless(rule, documents)}")
    before = f" In production: 0 of the last {misses}." if misses else ""
    reason, is_sure = _reason(rule, documents)
    if not is_sure and len(tried) < MIN_ORDERS:
        return Finding(Level.OK, store, subject, f"{message} Too few to tell.{before}")
    return Finding(Level.WARNING, store, subject, f"{message}{before} {reason}", _cure(rule, tried[0]))


def _useless(rule: CompiledRule, documents: Sequence[Mapping[str, object]]) -> str:
    """The expressions of a list that stop at a name which no order has, though others of the list give values."""
    stops = [(item, each, find_stop(each, documents)) for item, each in enumerate(rule.search.expressions, start=1)]
    return "".join(f" Never by item {item}: {stop_sentence(each, stop)}" for item, each, stop in stops if stop)


def _is_read(rule: CompiledRule, gaps: Mapping[str, EnrichError]) -> bool:
    """Whether all that the rule reads is known. For a buyer without a Company, ``user`` and ``company`` are not."""
    return not any(root in gaps for reads in rule.reads for root in reads.roots)


def _cure(rule: CompiledRule, order: LoadedOrder) -> str:
    return f"`enrich preview {order.order_id} --document` shows all that the rule can read."


def _reason(rule: CompiledRule, documents: Sequence[Mapping[str, object]]) -> tuple[str, bool]:
    """Why nothing was found, as far as the orders show it, and whether that is sure."""
    texts = 0
    reasons: list[str] = []
    for expression in rule.search.expressions:
        with_text = sum(Search((expression,), None).run(document)[0] is not None for document in documents)
        texts += with_text
        if with_text:
            continue
        if stop := find_stop(expression, documents):
            reasons.append(stop_sentence(expression, stop))
    if texts:
        return (
            f"There is text in {counted(texts, 'order')}, but match finds nothing in it. {_case(rule, documents)}",
            True,
        )
    if reasons:
        return " ".join(dict.fromkeys(reasons)), True
    _, failure = rule.search.run(documents[0])
    if failure:
        return f"It fails: {failure}.", True
    return "The names in it are right, but these orders have no value there.", False


def _case(rule: CompiledRule, documents: Sequence[Mapping[str, object]]) -> str:
    """Whether ``match`` would find something if it ignored case."""
    try:
        ignoring = Search(rule.search.expressions, Pattern.compile(f"(?i){rule.rule.match}", ""))
    except ConfigError:
        return "Try it with `enrich preview --try`."
    found = sum(ignoring.run(document)[0] is not None for document in documents)
    if not found:
        return "Try it with `enrich preview --try`."
    return f"Only its case is wrong: with (?i) at its beginning, it finds {found}."


def stop_sentence(expression: Expression, stop: Stop) -> str:
    """What is not there, and what is."""
    near = f' Did you mean "{stop.near}"?' if stop.near else _known(stop)
    match stop.kind:
        case "field of a list":
            name = stop.near or stop.name
            return f"{stop.owner} is a list: write {stop.owner}[].{name} | [0]."
        case "text in double quotes":
            right = stop.near or stop.name
            return f"\"{stop.name}\" in double quotes is the name of a field. Write text in single quotes: '{right}'."
        case "text":
            return f'No {stop.owner} is "{stop.name}".{near}'
        case _ if stop.owner == "metafields":
            return f'These orders have no metafield in the namespace "{stop.name}" that this token may see.{near}'
        case _:
            return f'{stop.owner} has no "{stop.name}".{near}'


def _known(stop: Stop) -> str:
    if not stop.known:
        return ""
    more = ", …" if len(stop.known) > MAX_NAMES else ""
    return f" There is {', '.join(stop.known[:MAX_NAMES])}{more}."
