"""The proxy for calls to BigCommerce, from the environment: HTTPS_PROXY, HTTP_PROXY, ALL_PROXY, NO_PROXY."""

import os
from dataclasses import dataclass
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from service.stores import is_loopback


@dataclass(frozen=True, slots=True)
class OutgoingProxy:
    """A proxy. ``url`` may contain a password; ``shown`` is its host and port, ``variable`` where it is set."""

    url: str
    shown: str
    variable: str


def proxy_for(scheme: str, host: str) -> OutgoingProxy | None:
    """The proxy for calls to this host; None when they go there directly."""
    # A proxy would take a loopback address for its own. (The sandbox listens on one.)
    if proxy_bypass(host) or is_loopback(host):
        return None
    proxies = getproxies()
    url = proxies.get(scheme) or proxies.get("all")
    if not url:
        return None
    url = url if "://" in url else f"http://{url}"  # as curl reads it
    return OutgoingProxy(url, urlsplit(url).netloc.rpartition("@")[2], _variable(scheme))


def _variable(scheme: str) -> str:
    names = [name for kind in (scheme, "all") for name in (f"{kind}_proxy", f"{kind.upper()}_PROXY")]
    return next((name for name in names if os.environ.get(name)), "the system's settings")
