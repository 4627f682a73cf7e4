"""Finds a store's hash in what people paste: an API path, a control panel's address, or the hash itself."""

import re

# https://api.bigcommerce.com/stores/abc123/v3/, /stores/abc123/v2, https://store-abc123.mybigcommerce.com/manage,
# store-abc123-1.mybigcommerce.com (a second storefront), store-abc123.
_PATTERNS = (
    re.compile(r"(?:^|/)stores/([a-z0-9]+)(?:[/?#]|$)"),
    re.compile(r"(?:^|//)store-([a-z0-9]+)(?:-\d+)?\.mybigcommerce\.com(?:[:/?#]|$)"),
    re.compile(r"^(?:store-)?([a-z0-9]+)$"),
)


def store_hash_in(text: str) -> str | None:
    """The store's hash, in lower case as BigCommerce writes it; None when the text has none."""
    text = text.strip().strip("\"'").lower()
    return next((found[1] for pattern in _PATTERNS if (found := pattern.search(text))), None)
