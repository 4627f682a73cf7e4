"""Compiles a store's rules, and evaluates them on an order document."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any, Literal, Self
from weakref import WeakValueDictionary

from service.errors import ConfigError, Problem
from service.rules.expression import Reads
from service.rules.plain_text import clean, one_line
from service.rules.value_search import Search
from service.stores import Rule, Store, rule_place

PO_NUMBER = ("po_number",)
LATE_ROOTS = (("metafields",), ("transactions",))
"""Roots that apps write only once the order exists, a moment or minutes later. (Orders V3, metafields)"""

Kind = Literal["from", "value", "default", "none"]


@dataclass(frozen=True, slots=True)
class Needs:
    """Which parts of the document the rules read besides the order. Nothing else is fetched."""

    consignments: bool
    """Products or shipping addresses."""

    metafields: bool
    customer: bool
    customer_attributes: bool
    customer_form_fields: bool
    user: bool
    company: bool

    metafield_namespaces: frozenset[str] = frozenset()
    """The namespaces that the rules read; empty when they need all metafields."""

    customer_group: bool = False
    cart: bool = False
    quote: bool = False
    record: bool = False
    transactions: bool = False

    @property
    def is_order_enough(self) -> bool:
        """Whether nothing is read beside the order itself and its metafields."""
        people = self.customer or self.user or self.company
        return not (people or self.cart or self.quote or self.transactions)

    @classmethod
    def of(cls, reads: Iterable[Reads]) -> Self:
        """The needs of expressions with these reads."""
        all_reads = tuple(reads)

        def read(*path: str) -> bool:
            return any(path in reads for reads in all_reads)

        return cls(
            consignments=read("products") or read("shipping_addresses"),
            metafields=read("metafields"),
            customer=read("customer"),
            customer_attributes=read("customer", "attributes"),
            customer_form_fields=read("customer", "form_fields"),
            user=read("user"),
            company=read("company"),
            metafield_namespaces=cls._namespaces(all_reads),
            customer_group=read("customer", "group"),
            cart=read("cart"),
            quote=read("quote"),
            record=read("record"),
            transactions=read("transactions"),
        )

    def __or__(self, other: Self) -> Self:
        """What both need together."""
        both = {f.name: getattr(self, f.name) or getattr(other, f.name) for f in fields(self)}
        named = [needs.metafield_namespaces for needs in (self, other) if needs.metafields]
        both["metafield_namespaces"] = frozenset().union(*named) if all(named) else frozenset()
        return type(self)(**both)

    @staticmethod
    def _namespaces(all_reads: Iterable[Reads]) -> frozenset[str]:
        if any({(), ("metafields",)} & reads.whole for reads in all_reads):
            return frozenset()
        named = frozenset().union(*(reads.named for reads in all_reads))
        return frozenset(path[1] for path in named if path[0] == "metafields" and len(path) == 2)


@dataclass(frozen=True, slots=True)
class Trace:
    """How a rule got its value: ``source`` is the expression that gave it, ``kind`` the key of the rule.

    ``raw`` is the value as found, ``text`` the value as sent. Both may be personal data of the shopper. ``place`` is
    the expression's place in ``from``, from 0; the default comes after all of them.
    """

    name: str
    source: str | None
    kind: Kind
    raw: Any
    text: str | None
    place: int = 0


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The values that the rules gave for one order. Field keys are those of the stores file.

    ``missing`` are the required rules without a value: ``po_number`` or a field's key. ``errors`` maps a rule to why
    its expressions failed, when none of them gave a value. A default is used then, so a rule may have both an error
    and a value. No error contains anything from the order.
    """

    po_number: str | None
    fields: dict[str, str]
    missing: tuple[str, ...]
    errors: Mapping[str, str]
    traces: tuple[Trace, ...]


@dataclass(frozen=True, slots=True)
class CompiledRule:
    """One compiled rule."""

    name: str
    is_po_number: bool
    rule: Rule
    search: Search

    @property
    def may_wait(self) -> bool:
        """Whether it waits for a value that comes late: it reads such roots, unless its ``wait`` decides otherwise."""
        if self.rule.wait is not None:
            return self.rule.wait and bool(self.search.expressions)
        return any(root in reads for reads in self.reads for root in LATE_ROOTS)

    @property
    def reads(self) -> tuple[Reads, ...]:
        """What its expressions read."""
        return tuple(expression.reads for expression in self.search.expressions)

    @property
    def fingerprint(self) -> str:
        """A hash of ``from`` and ``match``: what it searches with."""
        return hashlib.sha256(json.dumps([self.rule.sources, self.rule.match]).encode()).hexdigest()[:8]

    def apply(self, document: Mapping[str, Any]) -> tuple[Trace, str | None]:
        """Evaluate the rule: its value as a trace, and why expressions failed when none of them gave a value."""
        if self.rule.value is not None:
            return self._trace("value", None, self.rule.value, clean(self.rule.value)), None
        found, failure = self.search.run(document)
        if found:
            return self._trace("from", found.source, found.raw, found.text, found.place), None
        if self.rule.default is not None:
            last = len(self.search.expressions)
            return self._trace("default", None, self.rule.default, clean(self.rule.default), last), failure
        return self._trace("none", None, None, ""), failure

    def text(self, text: str) -> str | None:
        """The text as sent: an extra field may have several lines, a PO number has one. None without any."""
        return (one_line(text) if self.is_po_number else text) or None

    def _trace(self, kind: Kind, source: str | None, raw: Any, text: str, place: int = 0) -> Trace:
        return Trace(self.name, source, kind, raw, self.text(text), place)


@dataclass(frozen=True)
class RuleSet:
    """The compiled rules of a store. What follows from the rules alone is worked out once, not for each order."""

    rules: tuple[CompiledRule, ...]

    @cached_property
    def needs(self) -> Needs:
        """Which parts of the order document these rules read."""
        return Needs.of([reads for rule in self.rules for reads in rule.reads])

    @cached_property
    def needed_roots(self) -> frozenset[str]:
        """The roots of the document that these rules read."""
        return frozenset(root for rule in self.rules for reads in rule.reads for root in reads.roots)

    @cached_property
    def version(self) -> str:
        """Identifies the rules: an order is followed with those that it was written with."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()[:16]

    @cached_property
    def fingerprints(self) -> Mapping[str, str]:
        """The rules whose values say whether their expressions are right, each with a hash of what it searches with.

        Constants always have one, and a rule that reads the record may get its value only after the order was written.
        """
        searching = (rule for rule in self.rules if rule.search.expressions and rule.name not in self.from_record)
        return {rule.name: rule.fingerprint for rule in searching}

    @cached_property
    def from_record(self) -> frozenset[str]:
        """The rules that read the record, which is there only after the Create: they may get their value then."""
        return frozenset(rule.name for rule in self.rules if any(("record",) in reads for reads in rule.reads))

    @cached_property
    def late(self) -> tuple[str, ...]:
        """The rules that wait for a value that comes late: names in their order."""
        return tuple(rule.name for rule in self.rules if rule.may_wait)

    def to_json(self) -> str:
        """The rules as written, for ``from_json``."""
        return json.dumps(
            [
                [rule.name, rule.is_po_number, rule.rule.model_dump(mode="json", by_alias=True, exclude_defaults=True)]
                for rule in self.rules
            ],
            sort_keys=True,
        )

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Compile the rules again. Raises ValueError and ConfigError when this version cannot read them."""
        rules = [(name, is_po_number, Rule.model_validate(written)) for name, is_po_number, written in json.loads(text)]
        return cls(
            tuple(
                CompiledRule(name, is_po_number, rule, Search.compile(rule, name)) for name, is_po_number, rule in rules
            )
        )

    def pending(self, evaluation: Evaluation) -> tuple[str, ...]:
        """The rules that found nothing, or only their default, and whose value may still come: names in their order."""
        if not self.late:
            return ()
        without_value = {trace.name for trace in evaluation.traces if trace.kind in ("default", "none")}
        return tuple(name for name in self.late if name in without_value)

    @cached_property
    def required(self) -> frozenset[str]:
        """The keys of the extra fields whose rule says ``required``."""
        return frozenset(rule.name for rule in self.rules if rule.rule.required and not rule.is_po_number)

    def evaluate(self, document: Mapping[str, Any]) -> Evaluation:
        """Evaluate every rule on an order document of plain JSON values. Never raises."""
        return self.evaluation_of([rule.apply(document) for rule in self.rules])

    def evaluation_of(self, applied: Sequence[tuple[Trace, str | None]]) -> Evaluation:
        """The evaluation that these results of ``CompiledRule.apply`` make, one for each rule."""
        outcomes = [(rule, *result) for rule, result in zip(self.rules, applied, strict=True)]
        texts = [(rule, trace.text) for rule, trace, _ in outcomes if trace.text is not None]
        return Evaluation(
            po_number=next((text for rule, text in texts if rule.is_po_number), None),
            fields={rule.name: text for rule, text in texts if not rule.is_po_number},
            missing=tuple(rule.name for rule, trace, _ in outcomes if rule.rule.required and trace.text is None),
            errors={rule.name: failure for rule, _, failure in outcomes if failure is not None},
            traces=tuple(trace for _, trace, _ in outcomes),
        )


def compile_rules(store: Store, file: str = "stores.toml") -> RuleSet:
    """Compile a store's rules: one object for all stores that have the same.

    Raises ConfigError with the problems of all rules; ``file`` is shown in their places.
    """
    problems: list[Problem] = []
    rules: list[CompiledRule] = []
    for keys, rule in _rules_of(store):
        try:
            search = Search.compile(rule, rule_place(file, store.hash, *keys))
        except ConfigError as error:
            problems += error.problems
        else:
            rules.append(CompiledRule(keys[-1], keys == PO_NUMBER, rule, search))
    if problems:
        raise ConfigError(*problems)
    return _IN_USE.setdefault(tuple(rules), RuleSet(tuple(rules)))


_IN_USE: WeakValueDictionary[tuple[CompiledRule, ...], RuleSet] = WeakValueDictionary()


def _rules_of(store: Store) -> Iterator[tuple[tuple[str, ...], Rule]]:
    if store.po_number:
        yield PO_NUMBER, store.po_number
    for key, rule in store.extra_fields.items():
        yield ("extra_fields", key), rule
