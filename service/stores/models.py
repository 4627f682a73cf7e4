"""The tables of the stores file. Strict: a key that is not known and a value of another type are refused."""

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    Strict,
    ValidationInfo,
    field_validator,
    model_validator,
)

from service.stores.messages import EXAMPLES, refused
from service.stores.secrets import HeaderSecrets, Secrets, listed


def plain_number(number: float | Decimal) -> str | None:
    """Plain decimal text: no exponent, no needless zeros, no ``-0``. None for what is not finite."""
    # repr is the shortest text that gives the same float again; Decimal has no limit to the digits of an int.
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
    """A constant as text. TOML's numbers and true/false are welcome."""
    if isinstance(written, bool):
        return str(written).lower()
    if isinstance(written, int | float):
        text = plain_number(written)
        if text is None:
            raise refused("expected a finite number", "Write the number itself, or text in quotes.")
        return text
    return written


def _header_name(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", name):
        raise refused("this cannot be the name of an HTTP header", "Use letters, digits and hyphens.", kind="key")
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


def _url(text: str) -> str:
    cure = "Write scheme and host, such as https://api.bigcommerce.com, or leave the key out."
    try:
        url = urlsplit(text)
        host, port = url.hostname, url.port  # reading the port checks it
    except ValueError:
        raise refused("expected a URL", cure) from None
    is_plain_ascii = re.fullmatch(r"[!-~]+", text) and "\\" not in text
    if url.scheme not in ("http", "https") or not host or port == 0 or not is_plain_ascii:
        raise refused("expected a URL that begins with https://", cure)
    if url.username is not None or any(sign in text for sign in "?#"):
        raise refused("expected a URL without user, password, query and fragment", cure)
    if url.scheme == "http" and not is_loopback(host):
        raise refused("plain http would send the access token in clear", "Write https://, or a loopback address.")
    return text.rstrip("/")


def is_loopback(host: str) -> bool:
    """Whether the host is this machine, by its name or address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


NonEmpty = Annotated[str, AfterValidator(_not_blank)]
Url = Annotated[str, AfterValidator(_url)]
Constant = Annotated[NonEmpty, BeforeValidator(_constant)]
HeaderName = Annotated[str, AfterValidator(_header_name)]
FieldKey = Annotated[str, AfterValidator(_field_key)]


class Table(BaseModel):
    """What all tables have in common."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", hide_input_in_errors=True)


class Endpoints(Table):
    """Where BigCommerce is: table ``[bigcommerce]``, left out in production. URLs without a slash at the end."""

    api_url: Url = "https://api.bigcommerce.com"
    b2b_api_url: Url = "https://api-b2b.bigcommerce.com"

    @property
    def is_local(self) -> bool:
        """Whether the core API is on this machine: a sandbox, and not BigCommerce."""
        return is_loopback(urlsplit(self.api_url).hostname or "")


# Below, a field is checked together with those above it. One that was refused itself is not in info.data; then its
# neighbours are not blamed as well.


class Rule(Table):
    """One rule as written. A bare string in TOML is short for ``{from = …}``."""

    value: Constant | None = None
    default: Constant | None = None
    sources: Annotated[tuple[NonEmpty, ...], BeforeValidator(listed)] = Field(
        alias="from", default=(), validate_default=True
    )
    match: NonEmpty | None = None
    required: bool = False

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
            raise refused("from and value exclude each other", "Take one of them out; a fallback is default.")
        if not sources and info.data == {"value": None, "default": None}:
            raise refused("the rule has neither from nor value", f"For example: {EXAMPLES['from']}.")
        return sources

    @field_validator("match")
    @classmethod
    def _match_searches_from(cls, match: str | None, info: ValidationInfo) -> str | None:
        if match is not None and info.data.get("sources") == ():
            raise refused("match searches what from found, and there is no from", "Add from, or take match out.")
        return match


class Store(Table):
    """One store: table ``[stores.<hash>]``.

    Any of several secrets is accepted (rotation). ``extra_fields`` is in the file's order; a key is a fieldName or
    a label. In code, secrets are given as SecretStr: only ``read_stores`` looks up ``env:`` and ``file:``.
    """

    hash: Annotated[str, AfterValidator(_store_hash)]
    name: NonEmpty | None = None
    access_tokens: HeaderSecrets = Field(alias="access_token")
    webhook_headers: Mapping[HeaderName, HeaderSecrets] = {}
    client_secrets: Secrets = Field(alias="client_secret", default=(), validate_default=True)
    incomplete_orders: Literal["enrich", "wait", "skip"] = "enrich"
    channels: Annotated[frozenset[Annotated[int, Field(ge=1)]], Strict(False)] | None = None
    existing_values: Literal["keep", "replace"] = "keep"
    extra_fields: Mapping[FieldKey, Rule] = {}
    po_number: Rule | None = Field(default=None, validate_default=True)

    @field_validator("webhook_headers")
    @classmethod
    def _each_header_once(cls, headers: Mapping[str, Any]) -> Mapping[str, Any]:
        if len({name.lower() for name in headers}) < len(headers):
            raise refused("a header is there twice: case makes no difference", "Write its secrets as one list.")
        return headers

    @field_validator("client_secrets")
    @classmethod
    def _webhooks_are_authenticated(cls, secrets: tuple[SecretStr, ...], info: ValidationInfo) -> Any:
        if not secrets and info.data.get("webhook_headers") == {}:
            raise refused(
                "is missing, and there are no webhook_headers: a forged webhook could not be told from a real one",
                f"For example: {EXAMPLES['client_secret']}.",
            )
        return secrets

    @field_validator("channels")
    @classmethod
    def _some_channel(cls, channels: frozenset[int] | None) -> frozenset[int] | None:
        if channels is not None and not channels:
            raise refused("the list is empty, so no order would be enriched", "Leave it out for all channels.")
        return channels

    @field_validator("po_number")
    @classmethod
    def _something_to_do(cls, rule: Rule | None, info: ValidationInfo) -> Rule | None:
        if rule is None and info.data.get("extra_fields") == {}:
            raise refused(
                "is missing, and there are no extra_fields: there is nothing to do for this store",
                f"For example: {EXAMPLES['po_number']}.",
            )
        return rule


class Tables(Table):
    """The whole file, its stores still as written."""

    bigcommerce: Endpoints = Endpoints()
    stores: dict[str, dict[str, Any]]

    @field_validator("stores")
    @classmethod
    def _some_store(cls, stores: dict[str, Any]) -> dict[str, Any]:
        if not stores:
            raise refused("there is no store", "Add a table [stores.<store hash>].")
        return stores


@dataclass(frozen=True, slots=True)
class StoresFile:
    """A stores file in which everything is right.

    ``literal_secrets`` are the places, such as ``stores.abc123.access_token``, where a secret stands in the file.
    """

    endpoints: Endpoints
    stores: Mapping[str, Store]
    literal_secrets: tuple[str, ...]
