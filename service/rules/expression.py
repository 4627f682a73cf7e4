"""Compiles JMESPath expressions, and finds out which parts of the order document each of them reads."""

import warnings
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

import jmespath
from jmespath.exceptions import JMESPathError, JMESPathTypeError, ParseError
from jmespath.functions import TYPES_MAP
from jmespath.parser import ParsedResult
from jmespath.visitor import Visitor

from service.errors import ConfigError, Problem
from service.rules.functions import OPTIONS, RuleFunctions
from service.stores import did_you_mean

if TYPE_CHECKING:
    from jmespath.visitor import _TreeNode as Node  # in the type stubs only

ROOTS = (
    "order",
    "products",
    "shipping_addresses",
    "metafields",
    "customer",
    "user",
    "company",
    "cart",
    "quote",
    "record",
    "transactions",
)
"""The top-level keys of the order document."""

_CART_KEYS = ("metafields",)
"""The keys of the root ``cart``: only the metafields of a cart outlive its checkout."""

Path = tuple[str, ...]
"""The path of a part of the document: ``()`` for the document, ``("customer",)``, ``("customer", "attributes")``.
Deeper names do not decide what is fetched, and are left out."""

Paths = frozenset[Path]

_NOTHING: Paths = frozenset()
_DOCUMENT: Paths = frozenset({()})


class ExpressionError(Exception):
    """Why an expression could not be evaluated. The message contains nothing from the document."""


@dataclass(frozen=True, slots=True)
class Reads:
    """Which parts of the document are read: ``named`` are passed through, ``whole`` are read with all they contain."""

    named: Paths
    whole: Paths

    @property
    def roots(self) -> frozenset[str]:
        """The top-level keys that are read; all of them when the whole document is."""
        paths = self.named | self.whole
        return frozenset(ROOTS) if () in self.whole else frozenset(path[0] for path in paths if path)

    def __contains__(self, path: Path) -> bool:
        return path in self.named or any(path[:length] in self.whole for length in range(len(path) + 1))


@dataclass(frozen=True, slots=True, weakref_slot=True)
class Expression:
    """A compiled JMESPath expression. Those of equal text are one object as long as one of them is in use.

    Its run time is bounded. JMESPath has no loops, no recursion and no variables, and a nested expression sees only
    the element it is given. So each step passes over its input once (``sort`` and the like: n log n). The input is
    one order from BigCommerce, and the number of steps is the length of the admin's expression. (An admin can write
    an expression whose output doubles with each step, ``[@, @] | [@, @] | …``. A shopper cannot, because a shopper's
    text is never run as an expression.)
    """

    source: str
    reads: Reads
    _parsed: ParsedResult

    @classmethod
    def compile(cls, source: str, place: str) -> "Expression":
        """Compile the expression written at ``place``. Raises ConfigError with all its problems."""
        if (known := _IN_USE.get(source)) is not None:
            return known
        if not source.strip():
            raise ConfigError(Problem(place, "the expression is empty.", "For example: order.customer_message."))
        try:
            parsed = _parse(source, place)
            reader = _Reader()
            reader.read(parsed.parsed, _DOCUMENT)
        except RecursionError:
            raise ConfigError(Problem(place, "the expression is nested too deeply.", "Make it simpler.")) from None
        if reader.mistakes:
            raise ConfigError(
                *(Problem(place, f"{message}, in {_shown(source)}.", cure) for message, cure in reader.mistakes.items())
            )
        return _IN_USE.setdefault(source, cls(source, Reads(frozenset(reader.named), frozenset(reader.whole)), parsed))

    @property
    def tree(self) -> "Node":
        """The parsed expression, as jmespath represents it."""
        node: Node = self._parsed.parsed
        return node

    def search(self, document: Mapping[str, Any]) -> Any:
        """Evaluate the expression on a document. Raises ExpressionError."""
        try:
            return self._parsed.search(document, options=OPTIONS)
        except RecursionError:
            raise ExpressionError("the order is nested too deeply") from None
        except JMESPathTypeError as error:
            # The library's own message would show the value.
            found = TYPES_MAP.get(error.actual_type, error.actual_type)
            expected = " or ".join(error.expected_types)
            raise ExpressionError(f"{error.function_name}() takes {expected}, but was given {found}") from None
        except Exception as error:
            # The library does not catch Python's own errors: 1 < 'a', a slice with step 0, ceil of infinity.
            raise ExpressionError(f"cannot be evaluated for this order ({type(error).__name__})") from None


# Thousands of stores have the same rules: each expression is compiled and kept once.
_IN_USE: WeakValueDictionary[str, Expression] = WeakValueDictionary()


def _parse(source: str, place: str) -> ParsedResult:
    cure = (
        "Put text in single quotes, and a name with characters other than letters, digits and _ in double quotes:"
        " company.extraFields.\"ERP Account\", [?name=='PO Number']."
    )
    try:
        with warnings.catch_warnings():
            # The old literal syntax, `text` in backticks without quotes, is still accepted.
            warnings.simplefilter("ignore", PendingDeprecationWarning)
            return jmespath.compile(source)
    except ParseError as error:
        # A lexer error has its text in another attribute; an error at the end of the expression has none.
        reason = getattr(error, "message", None) or (error.msg if error.token_type else "it ends too early")
        where = f"column {error.lex_position + 1} of {_shown(source)}"
        raise ConfigError(Problem(place, f"this is not JMESPath: {reason}, at {where}.", cure)) from None
    except (JMESPathError, ValueError, IndexError):
        raise ConfigError(Problem(place, f"this is not JMESPath: {_shown(source)}.", cure)) from None


def _shown(source: str) -> str:
    """The source on one line, with each character in its column."""
    return "".join(char if char.isprintable() else " " for char in source)


class _Reader(Visitor):
    """Visits a parsed expression like the interpreter, with paths into the document instead of values.

    Each method returns the parts of the document that the node may evaluate to when it is evaluated on ``current``.
    After a projection, in a filter's condition and in an ``&expression``, names belong to some element, not to a
    known path. Then the part that the element comes from counts as read whole.
    """

    def __init__(self) -> None:
        super().__init__()
        self.named: set[Path] = set()
        self.whole: set[Path] = set()
        self.mistakes: dict[str, str] = {}

    def read(self, node: "Node", current: Paths) -> Paths:
        """Mark all that the node evaluates to as read whole: its value is used, and its path ends here."""
        self.whole |= self.visit(node, current)
        return _NOTHING

    def default_visit(self, node: "Node", current: Paths) -> Paths:  # type: ignore[override]
        # Syntax of a newer JMESPath: better fetch everything than too little.
        self.whole |= _DOCUMENT
        return _NOTHING

    def visit_field(self, node: "Node", current: Paths) -> Paths:
        name = node["value"]
        if () in current:
            self._check_name("the order document", name, ROOTS)
        if ("cart",) in current:
            self._check_name("the cart", name, _CART_KEYS)
        found = frozenset((*path, name)[:2] for path in current)
        self.named |= found
        return found

    def visit_identity(self, node: "Node", current: Paths) -> Paths:
        return current

    visit_current = visit_identity

    def visit_literal(self, node: "Node", current: Paths) -> Paths:
        return _NOTHING

    def visit_subexpression(self, node: "Node", current: Paths) -> Paths:
        for child in node["children"]:
            current = self.visit(child, current)
        return current

    visit_pipe = visit_index_expression = visit_subexpression

    def visit_or_expression(self, node: "Node", current: Paths) -> Paths:
        return frozenset().union(*(self.visit(child, current) for child in node["children"]))

    visit_and_expression = visit_or_expression

    def visit_index(self, node: "Node", current: Paths) -> Paths:
        return current - _DOCUMENT  # an object has no items: null

    visit_slice = visit_index

    def visit_flatten(self, node: "Node", current: Paths) -> Paths:
        self.whole |= self.visit(node["children"][0], current) - _DOCUMENT  # as in visit_index
        return _NOTHING

    def visit_projection(self, node: "Node", current: Paths) -> Paths:
        self.visit_flatten(node, current)
        return self._of_elements(node["children"][1:])

    visit_filter_projection = visit_projection

    def visit_value_projection(self, node: "Node", current: Paths) -> Paths:
        self.read(node["children"][0], current)
        return self._of_elements(node["children"][1:])

    def visit_expref(self, node: "Node", current: Paths) -> Paths:
        # Without a function that takes it, it would be a value that is not JSON.
        cure = "Use & only in an argument of map(), sort_by(), min_by() and max_by()."
        self.mistakes["an & is used where no function takes an expression"] = cure
        return _NOTHING

    def visit_function_expression(self, node: "Node", current: Paths) -> Paths:
        children = node["children"]
        takes_expression = self._checked_function(node["value"], len(children))
        for position, child in enumerate(children):
            if child["type"] == "expref" and position in takes_expression:
                self._of_elements(child["children"])
            else:
                self.read(child, current)
        return _NOTHING

    def visit_comparator(self, node: "Node", current: Paths) -> Paths:
        for child in node["children"]:
            self.read(child, current)
        return _NOTHING

    visit_not_expression = visit_key_val_pair = visit_comparator
    visit_multi_select_list = visit_multi_select_dict = visit_comparator

    def _of_elements(self, nodes: Iterable["Node"]) -> Paths:
        # No path of the document can be known here; function names and arguments are still checked.
        for node in nodes:
            self.visit(node, _NOTHING)
        return _NOTHING

    def _check_name(self, owner: str, name: str, known: Sequence[str]) -> None:
        if name not in known:
            self.mistakes[f'{owner} has no "{name}"'] = did_you_mean(name, known) or f"It has {', '.join(known)}."

    def _checked_function(self, name: str, given: int) -> Collection[int]:
        """Check a function's name and number of arguments; the positions of arguments that are an ``&expression``."""
        function = RuleFunctions.FUNCTION_TABLE.get(name)
        if function is None:
            names = sorted(RuleFunctions.FUNCTION_TABLE)
            cure = did_you_mean(name, names) or f"The functions are {', '.join(names)}."
            self.mistakes[f"there is no function {name}()"] = cure
            return ()
        signature = function["signature"]
        wanted, variadic = len(signature), signature[-1].get("variadic", False)
        if given < wanted or (given > wanted and not variadic):
            counted = f"{'at least ' * variadic}{wanted} argument{'s' * (wanted > 1)}"
            self.mistakes[f"{name}() takes {counted}, but has {given}"] = "See the list of functions on jmespath.org."
        return [position for position, argument in enumerate(signature) if "expref" in argument["types"]]
