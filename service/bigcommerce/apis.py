"""The three APIs of BigCommerce."""

from enum import StrEnum


class Api(StrEnum):
    """An API of BigCommerce. Each has its own host or its own headers."""

    CORE = "core"
    B2B = "b2b"
    STOREFRONT = "storefront"
