"""The tables of the stores file, validated strictly: unknown keys and values of another type are refused."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit
from weakref import WeakValueDictionary

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    SecretStr,
    Strict,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    field_validator,
    model_validator,
)

from service.stores.field_types import Table, Url, is_loopback
from service.stores.messages import EXAMPLES, refused
from service.stores.notify_table import Notify
from service.stores.secrets import HeaderSecrets, Secrets, listed

_UNIT_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}

# The ledger keeps an order's entry for 30 days. What is not known any more cannot be followed.
MAX_FOLLOW_S = 30 * 86_400.0


def plain_number(number: float | Decimal) -> str | None:
    """Format a number as plain decimal text: no exponent, no extra zeros, no ``-0``. None if it is not finite."""
    # repr is the shortest text that gives the same float. Decimal does not limit the digits of an int.
    exact = Decimal(repr(number)) if isinstance(number, float) else Decimal(number)
    if not exact.is_finite():
        return None
    text = format(exact, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def _not_blank(text: str) -> str:
    if not text.strip():
        raise refused("the text is empty", "Write something, or leave the key out.")
    return text


def _constant(written: Any) -> Any:
    """A constant as text. TOML numbers and true/false are accepted."""
    if isinstance(written, bool):
        return str(written).lower()
    if isinstance(written, int | float):
        text = plain_number(written)
        if text is None:
            raise refused("expected a finite number", "Write the number itself, or text in quotes.")
        return text
    return written


def _seconds(written: Any) -> float:
    """A duration as seconds: ``500ms``, ``6s``, ``30m``, ``24h``, ``2d``."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)", written) if isinstance(written, str) else None
    if match is None:
        raise refused("expected a duration in quotes", 'For example: "6s", "500ms" or "24h".')
    return float(match[1]) * _UNIT_S[match[2]]


def _follow(seconds: float) -> float:
    if seconds > MAX_FOLLOW_S:
        cure = f"The service forgets an order after 30 days. For example: {EXAMPLES['follow']}."
        raise refused("expected 30 days or less", cure)
    return seconds


def _header_name(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", name):
        raise refused("this is not a valid HTTP header name", "Use letters, digits and hyphens.", kind="key")
    return name


def _field_key(key: str) -> str:
    if not key.strip():
        raise refused("the field has no name", "Write its fieldName or its label.", kind="key")
    return key


def _store_hash(text: str) -> str:
    if not re.fullmatch("[a-z0-9]+", text):
        cure = "It is what follows /stores/ in the store's API path."
        raise refused("a store hash has lower-case letters and digits only", cure, kind="key")
    return text


Seconds = Annotated[float, BeforeValidator(_seconds)]
NonEmpty = Annotated[str, AfterValidator(_not_blank)]
Constant = Annotated[NonEmpty, BeforeValidator(_constant)]
HeaderName = Annotated[str, AfterValidator(_header_name)]
FieldKey = Annotated[str, AfterValidator(_field_key)]


class Endpoints(Table):
    """BigCommerce's addresses: table ``[bigcommerce]``, left out in production. URLs without a slash at the end."""

    api_url: Url = "https://api.bigcommerce.com"
    b2b_api_url: Url = "https://api-b2b.bigcommerce.com"

    @property
    def is_local(self) -> bool:
        """Whether the core API is on this machine: a sandbox, not BigCommerce."""
        return is_loopback(urlsplit(self.api_url).hostname or "")


# A validator below may compare a field with the fields above it. A field that is invalid itself is not in info.data,
# and then the other one is not reported.


class Rule(Table):
    """One rule as written. In TOML, a string is short for ``{from = …}``."""

    value: Constant | None = None
    default: Constant | None = None
    sources: Annotated[tuple[NonEmpty, ...], BeforeValidator(listed)] = Field(
        alias="from", default=(), validate_default=True
    )
    match: NonEmpty | None = None
    required: bool = False
    wait: bool | None = None
    """Whether the rule waits for a late value; None: if it reads metafields or transactions."""

    @model_validator(mode="before")
    @classmethod
    def _text_or_table(cls, written: Any) -> Any:
        if isinstance(written, str):
            return {"from": written}
        if not isinstance(written, dict | Rule):
            cure = f"For example: {EXAMPLES['po_number']}."
            raise refused("expected a JMESPath expression in quotes, or a table", cure)
        return written

    @field_validator("sources")
    @classmethod
    def _from_or_value(cls, sources: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        if sources and info.data.get("value") is not None:
            raise refused("a rule cannot have both from and value", "Remove one of them; for a fallback, use default.")
        if not sources and info.data == {"value": None, "default": None}:
            raise refused("the rule has neither from nor value", f"For example: {EXAMPLES['from']}.")
        return sources

    @field_validator("match")
    @classmethod
    def _match_searches_from(cls, match: str | None, info: ValidationInfo) -> str | None:
        if match is not None and info.data.get("sources") == ():
            raise refused("match needs from: it searches the text that from found", "Add from, or remove match.")
        return match


_RULES_IN_USE: WeakValueDictionary[str, Rule] = WeakValueDictionary()


def _shared(written: Any, validate: ValidatorFunctionWrapHandler) -> Rule:
    """One object for all rules that are written alike: thousands of stores may have the same."""
    if not isinstance(written, str | dict):
        return validate(written)  # type: ignore[no-any-return]
    text = json.dumps(written, default=repr)
    known = _RULES_IN_USE.get(text)
    return known if known is not None else _RULES_IN_USE.setdefault(text, validate(written))


SharedRule = Annotated[Rule, WrapValidator(_shared)]


class Store(Table):
    """One store: table ``[stores.<hash>]``.

    Where a secret is a list, any of its items is accepted (rotation). ``extra_fields`` keeps the file's order; a key
    is a fieldName or a label. In code, pass secrets as SecretStr: only ``read_stores`` resolves ``env:`` and ``file:``.
    """

    hash: Annotated[str, AfterValidator(_store_hash)]
    name: NonEmpty | None = None
    access_tokens: HeaderSecrets = Field(alias="access_token")
    webhook_headers: Mapping[HeaderName, HeaderSecrets] = {}
    client_secrets: Secrets = Field(alias="client_secret", default=(), validate_default=True)
    incomplete_orders: Literal["enrich", "wait", "skip"] = "enrich"
    channels: Annotated[frozenset[Annotated[int, Field(ge=1)]], Strict(False)] | None = None
    existing_values: Literal["keep", "replace"] = "keep"
    strategy: Literal["create", "merge"] = "create"
    late_values_s: Annotated[Seconds, Field(alias="late_values", le=7.0)] = 6.0
    follow_s: Annotated[Seconds, AfterValidator(_follow), Field(alias="follow")] = 86_400.0
    """For how long after an order was placed its later changes are carried to its record; 0: never."""
    overflow: Literal["off", "storefront"] = "off"
    """Where Creates go that B2B Edition's quota has no room for: nowhere, or over the storefront API, as the buyer."""
    order_comment: bool = False
    """Whether Create keeps the order's comment, for which it goes over the storefront API."""
    writes: Literal["on", "off"] = "on"
    """Whether anything is written on the store's B2B Edition records; "off": orders are read and shown only."""
    extra_fields: Mapping[FieldKey, SharedRule] = {}
    po_number: SharedRule | None = Field(default=None, validate_default=True)

    @field_validator("webhook_headers")
    @classmethod
    def _each_header_once(cls, headers: Mapping[str, Any]) -> Mapping[str, Any]:
        if len({name.lower() for name in headers}) < len(headers):
            raise refused("the same header is listed twice (case is ignored)", "Write its secrets as one list.")
        return headers

    @field_validator("client_secrets")
    @classmethod
    def _webhooks_are_authenticated(cls, secrets: tuple[SecretStr, ...], info: ValidationInfo) -> Any:
        if not secrets and info.data.get("webhook_headers") == {}:
            raise refused(
                "is missing, and there are no webhook_headers: forged webhooks could not be detected",
                f"For example: {EXAMPLES['client_secret']}.",
            )
        return secrets

    @field_validator("channels")
    @classmethod
    def _some_channel(cls, channels: frozenset[int] | None) -> frozenset[int] | None:
        if channels is not None and not channels:
            raise refused(
                "the list is empty, so no order would be enriched",
                "Remove the key to enrich the orders of all channels.",
            )
        return channels

    @field_validator("overflow", "order_comment")
    @classmethod
    def _creates_inside_the_window(cls, wanted: Any, info: ValidationInfo) -> Any:
        if wanted not in ("off", False) and info.data.get("strategy") == "merge":
            cure = 'Remove it, or set strategy = "create".'
            raise refused('has no effect with strategy = "merge", which sends no Create inside the window', cure)
        return wanted

    @property
    def creates_as_buyer(self) -> bool:
        """Whether a Create may go over the storefront API, for which buyers' tokens are held."""
        return self.overflow == "storefront" or self.order_comment

    @field_validator("po_number")
    @classmethod
    def _something_to_do(cls, rule: Rule | None, info: ValidationInfo) -> Rule | None:
        if rule is None and info.data.get("extra_fields") == {}:
            raise refused(
                "is missing, and there are no extra_fields: there is nothing to do for this store",
                f"For example: {EXAMPLES['po_number']}.",
            )
        return rule


def _person(name: str) -> str:
    if not name.strip():
        raise refused("the person has no name", "Write what the sign-in proxy sends, such as an address.", kind="key")
    return name


class PersonRights(Table):
    """What somebody may do who signs in through a proxy: a key of ``[console.people]``. No ``stores``: all stores."""

    role: Literal["viewer", "operator", "admin"]
    stores: Annotated[tuple[NonEmpty, ...], Strict(False)] | None = None

    @field_validator("stores")
    @classmethod
    def _some_stores(cls, stores: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if stores is not None and not stores:
            raise refused("the list is empty, so they would see nothing", "Remove the key to let them see all stores.")
        return stores


class ConsoleTable(Table):
    """The table ``[console]``: who may use the console behind a sign-in proxy, by the name that the proxy sends."""

    people: Mapping[Annotated[str, AfterValidator(_person)], PersonRights] = {}

    @field_validator("people")
    @classmethod
    def _each_person_once(cls, people: Mapping[str, PersonRights]) -> Mapping[str, PersonRights]:
        if len({name.casefold() for name in people}) < len(people):
            raise refused("the same person is listed twice (case is ignored)", "Keep one of the two.")
        return people


class Tables(Table):
    """The whole file. The stores are not validated yet."""

    bigcommerce: Endpoints = Endpoints()
    console: ConsoleTable = ConsoleTable()
    notify: Notify | None = None
    stores: dict[str, dict[str, Any]]

    @field_validator("stores")
    @classmethod
    def _some_store(cls, stores: dict[str, Any]) -> dict[str, Any]:
        if not stores:
            raise refused("there is no store", "Add a table [stores.<store hash>].")
        return stores


@dataclass(frozen=True, slots=True)
class StoresFile:
    """A valid stores file.

    ``literal_secrets`` are the places where the file contains a secret itself, such as ``stores.abc123.access_token``.
    """

    endpoints: Endpoints
    stores: Mapping[str, Store]
    literal_secrets: tuple[str, ...]
    people: Mapping[str, PersonRights]
    notify: Notify | None = None
