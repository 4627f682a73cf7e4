"""Writes a new stores file for one store: TOML with comments, without secrets."""

import json
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class NewStore:
    """The store to write a file for. ``po_number`` and ``extra_fields`` are rules as written in the file."""

    hash: str
    name: str | None = None
    incomplete_orders: str = "enrich"
    po_number: Mapping[str, str] | None = None
    extra_fields: Mapping[str, str] = field(default_factory=dict)

    @property
    def table(self) -> str:
        """The name of its table. An invalid hash is quoted, so that reading the file reports it."""
        return f"stores.{self.hash if re.fullmatch('[a-z0-9]+', self.hash) else toml_text(self.hash)}"

    @property
    def access_token(self) -> str:
        """The name of the environment variable for the access token."""
        return f"{self._prefix}_ACCESS_TOKEN"

    @property
    def client_secret(self) -> str:
        """The name of the environment variable for the client secret."""
        return f"{self._prefix}_CLIENT_SECRET"

    @property
    def _prefix(self) -> str:
        # Without accents and other characters that are not ASCII.
        plain = unicodedata.normalize("NFKD", self.name or "").encode("ascii", "ignore").decode()
        words = re.findall("[A-Z0-9]+", plain.upper()) or re.findall("[A-Z0-9]+", self.hash.upper())
        prefix = "_".join(words)
        return prefix if prefix[:1].isalpha() else f"STORE_{prefix}"


def toml_text(text: str) -> str:
    """Text as a TOML string: in single quotes when that avoids escapes."""
    is_printable = all(char >= " " and char != "\x7f" for char in text)
    if is_printable and "'" not in text and ("\\" in text or '"' in text):
        return f"'{text}'"
    # Except for DEL, a JSON string is a TOML string.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def as_toml(store: NewStore) -> str:
    """The text of the file. It can also be appended to the tables of other stores."""
    return "\n".join([*_head(store), *_po_number(store), *_extra_fields(store)]) + "\n"


def _head(store: NewStore) -> list[str]:
    width = max(len(store.access_token), len(store.client_secret))
    name = (
        f"name              = {toml_text(store.name)}" if store.name is not None else '# name            = "Great Buys"'
    )
    return [
        "# This file contains no secrets. Set these environment variables where the commands run:",
        f"#   {store.access_token:{width}}  the access token of the store's API account",
        f"#   {store.client_secret:{width}}  its client secret, which signs webhooks",
        "# OAuth scopes: Orders (read-only), Information & Settings (read-only), B2B Edition (modify), and",
        "# Customers (read-only) if a rule reads `customer`. After each change, run `enrich check`.",
        "",
        f"[{store.table}]",
        name,
        f'access_token      = "env:{store.access_token}"',
        f'client_secret     = "env:{store.client_secret}"',
        f'incomplete_orders = {toml_text(store.incomplete_orders):9} # orders not paid yet: "enrich", "wait" or "skip"',
        'existing_values   = "keep"    # keep what somebody else wrote on the record, or "replace" it',
        "# channels        = [1]       # enrich only orders of these storefront channels",
    ]


def _po_number(store: NewStore) -> list[str]:
    if store.po_number is None:
        return []
    return [
        "",
        "# More examples, such as several sources and extra fields: deploy/docs/recipes.md",
        f"[{store.table}.po_number]",
        *(f"{key:8} = {toml_text(text)}" for key, text in store.po_number.items()),
        "# required = true   # an order without a PO number fails instead of being sent without one",
    ]


def _extra_fields(store: NewStore) -> list[str]:
    return [
        "",
        "# The keys are field names (fieldName) or labels, as in the store's extra-field settings.",
        f"{'' if store.extra_fields else '# '}[{store.table}.extra_fields]",
        *(f"{toml_text(name)} = {toml_text(source)}" for name, source in store.extra_fields.items()),
        *([] if store.extra_fields else ['# "Cost Center" = "metafields.checkout.cost_center"']),
    ]
