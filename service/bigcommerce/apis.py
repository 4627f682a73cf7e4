"""The APIs that calls go to."""

from enum import StrEnum


class Api(StrEnum):
    """Which API a call goes to; each has a host or headers of its own."""

    CORE = "core"
    B2B = "b2b"
    STOREFRONT = "storefront"
