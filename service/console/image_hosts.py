"""Which images a page shows: BigCommerce's own, and those of a sandbox on this machine. The server fetches none."""

from dataclasses import dataclass
from typing import Self
from urllib.parse import urlsplit

from service.stores import Endpoints


@dataclass(frozen=True, slots=True)
class ImageHosts:
    """``sandbox`` are the origins of a sandbox: scheme, host and port."""

    sandbox: tuple[str, ...] = ()

    @classmethod
    def of(cls, endpoints: Endpoints) -> Self:
        """Those of the APIs that are called."""
        if not endpoints.is_local:
            return cls()
        origins = (_origin(url) for url in (endpoints.api_url, endpoints.b2b_api_url))
        return cls(tuple(dict.fromkeys(origins)))

    @property
    def sources(self) -> str:
        """As in a Content-Security-Policy."""
        return " ".join(("'self'", "https://*.bigcommerce.com", *self.sandbox))

    def shows(self, url: str) -> bool:
        """Whether the policy lets a page show the image at this address."""
        parts = urlsplit(url)
        if "@" in url:
            return False
        of_bigcommerce = parts.scheme == "https" and (parts.netloc or "").lower().endswith(".bigcommerce.com")
        return of_bigcommerce or _origin(url) in self.sandbox


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}".lower()
