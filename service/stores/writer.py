"""A new stores file as text: TOML with comments, for one store, without any secret."""

import json
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class NewStore:
    """What is known of a store when its file is begun. ``po_number`` and ``extra_fields`` are rules as written."""

    hash: str
    name: str | None = None
    incomplete_orders: str = "enrich"
    po_number: Mapping[str, str] | None = None
    extra_fields: Mapping[str, str] = field(default_factory=dict)

    @property
    def table(self) -> str:
        """The name of its table. A hash that cannot be one is quoted, so that reading it can say so."""
        return f"stores.{self.hash if re.fullmatch('[a-z0-9]+', self.hash) else toml_text(self.hash)}"

    @property
    def access_token(self) -> str:
        """The environment variable with the access token."""
        return f"{self._prefix}_ACCESS_TOKEN"

    @property
    def client_secret(self) -> str:
        """The environment variable with the client secret."""
        return f"{self._prefix}_CLIENT_SECRET"

    @property
    def _prefix(self) -> str:
        # What is left of a name when accents and all that is not ASCII are gone.
        plain = unicodedata.normalize("NFKD", self.name or "").encode("ascii", "ignore").decode()
        words = re.findall("[A-Z0-9]+", plain.upper()) or re.findall("[A-Z0-9]+", self.hash.upper())
        prefix = "_".join(words)
        return prefix if prefix[:1].isalpha() else f"STORE_{prefix}"


def toml_text(text: str) -> str:
    """Text as a TOML string: in single quotes, where backslashes are plain, when that spares escapes."""
    is_printable = all(char >= " " and char != "\x7f" for char in text)
    if is_printable and "'" not in text and ("\\" in text or '"' in text):
        return f"'{text}'"
    # A JSON string is a TOML string, but for DEL.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def as_toml(store: NewStore) -> str:
    """The whole file. It may also be put behind the tables of other stores."""
    return "\n".join([*_head(store), *_po_number(store), *_extra_fields(store)]) + "\n"


def _head(store: NewStore) -> list[str]:
    width = max(len(store.access_token), len(store.client_secret))
    name = (
        f"name              = {toml_text(store.name)}" if store.name is not None else '# name            = "Great Buys"'
    )
    return [
        "# No secret stands here. Set these variables where the commands run:",
        f"#   {store.access_token:{width}}  the access token of the store's API account",
        f"#   {store.client_secret:{width}}  its client secret, which signs webhooks",
        "# Its OAuth scopes: Orders (read-only), Information & Settings (read-only), B2B Edition (modify), and",
        "# Customers (read-only) where a rule reads `customer`. After a change: enrich check.",
        "",
        f"[{store.table}]",
        name,
        f'access_token      = "env:{store.access_token}"',
        f'client_secret     = "env:{store.client_secret}"',
        f'incomplete_orders = {toml_text(store.incomplete_orders):9} # if not paid yet: "enrich", "wait", "skip"',
        'existing_values   = "keep"    # what somebody else wrote on the record stays; or "replace"',
        "# channels        = [1]       # only orders of these storefront channels",
    ]


def _po_number(store: NewStore) -> list[str]:
    if store.po_number is None:
        return []
    return [
        "",
        "# Other places, several of them, extra fields: deploy/recipes.md",
        f"[{store.table}.po_number]",
        *(f"{key:8} = {toml_text(text)}" for key, text in store.po_number.items()),
        "# required = true   # an order without a PO number fails, instead of being sent without",
    ]


def _extra_fields(store: NewStore) -> list[str]:
    return [
        "",
        "# By fieldName or label, as in the store's extra-field settings.",
        f"{'' if store.extra_fields else '# '}[{store.table}.extra_fields]",
        *(f"{toml_text(name)} = {toml_text(source)}" for name, source in store.extra_fields.items()),
        *([] if store.extra_fields else ['# "Cost Center" = "metafields.checkout.cost_center"']),
    ]
