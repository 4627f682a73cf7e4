"""Writes a new stores file for one store: TOML with comments, without secrets."""

import json
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class SandboxAccess:
    """How the file reaches a sandbox: its URL and its two secrets, which everybody knows."""

    url: str
    access_token: str
    client_secret: str


@dataclass(frozen=True, slots=True)
class NewStore:
    """The store to write a file for. ``po_number`` and ``extra_fields`` are rules as written in the file.

    Its secrets are environment variables, or files in ``secrets_folder``; those of a ``sandbox`` stand in the file.
    """

    hash: str
    name: str | None = None
    incomplete_orders: str = "enrich"
    po_number: Mapping[str, str] | None = None
    extra_fields: Mapping[str, str] = field(default_factory=dict)
    secrets_folder: str | None = None
    sandbox: SandboxAccess | None = None

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
    def secret_files(self) -> tuple[str, str]:
        """The files of the access token and of the client secret, where secrets are files."""
        folder = (self.secrets_folder or "").rstrip("/")
        return f"{folder}/{self.access_token.lower()}", f"{folder}/{self.client_secret.lower()}"

    @property
    def secrets(self) -> tuple[str, str]:
        """The access token and the client secret, as the file has them."""
        if self.sandbox:
            return self.sandbox.access_token, self.sandbox.client_secret
        if self.secrets_folder is None:
            return f"env:{self.access_token}", f"env:{self.client_secret}"
        token, secret = self.secret_files
        return f"file:{token}", f"file:{secret}"

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
    return "\n".join([*_about_secrets(store), "", *_head(store), *_po_number(store), *_extra_fields(store)]) + "\n"


def _about_secrets(store: NewStore) -> list[str]:
    if store.sandbox:
        return [
            "# For a sandbox, the stand-in for BigCommerce that `enrich sandbox` runs. Everybody knows its secrets:",
            "# write those of a real store into environment variables or files (env:NAME, file:/path).",
            "[bigcommerce]",
            f"api_url     = {toml_text(store.sandbox.url)}",
            f"b2b_api_url = {toml_text(store.sandbox.url)}",
        ]
    if store.secrets_folder is None:
        how = "Set these environment variables where the commands run"
        token, secret = store.access_token, store.client_secret
    else:
        how = "Put each into a file of its own"
        token, secret = store.secret_files
    width = max(len(token), len(secret))
    return [
        f"# This file contains no secrets. {how}:",
        f"#   {token:{width}}  the access token of the store's API account",
        f"#   {secret:{width}}  its client secret, which signs webhooks",
        "# OAuth scopes: Orders (read-only), Information & Settings (read-only), B2B Edition (modify), and",
        "# Customers (read-only) if a rule reads `customer`. After each change, run `enrich check`.",
    ]


def _head(store: NewStore) -> list[str]:
    token, secret = store.secrets
    name = (
        f"name              = {toml_text(store.name)}" if store.name is not None else '# name            = "Great Buys"'
    )
    return [
        f"[{store.table}]",
        name,
        f"access_token      = {toml_text(token)}",
        f"client_secret     = {toml_text(secret)}",
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
