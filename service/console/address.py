"""The address of the console: what ENRICH_CONSOLE_URL says of its prefix, its host, its origin and its cookie."""

import re
from dataclasses import dataclass
from typing import Self
from urllib.parse import urlsplit

from service.stores.field_types import is_loopback


@dataclass(frozen=True, slots=True)
class ConsoleAddress:
    """Where people reach the console. ``origin`` is scheme and host; ``prefix`` is empty or begins with a slash."""

    origin: str
    host: str | None
    prefix: str = ""

    @classmethod
    def of(cls, url: str | None, *, host: str = "127.0.0.1", port: int) -> Self:
        """The address that ENRICH_CONSOLE_URL names; without it, the loopback address of the port."""
        if url is None:
            shown = f"[{host}]" if ":" in host else host
            return cls(f"http://{shown if is_loopback(host) else '127.0.0.1'}:{port}", None)
        parts = urlsplit(url)
        return cls(f"{parts.scheme}://{parts.netloc.lower()}", parts.netloc.lower(), parts.path.rstrip("/"))

    @property
    def is_https(self) -> bool:
        """Whether people reach it over TLS."""
        return self.origin.startswith("https://")

    @property
    def cookie_name(self) -> str:
        """``__Host-`` promises path / and Secure, so it fits neither a prefix nor plain http."""
        return "__Host-enrich" if self.is_https and not self.prefix else "enrich"

    @property
    def cookie_path(self) -> str:
        """The path that the cookie is sent to."""
        return self.prefix or "/"

    def path(self, path: str) -> str:
        """The path of a page of the console, as a browser requests it."""
        return f"{self.prefix}{path}"

    def url(self, path: str) -> str:
        """The full URL of a page, for links outside the console."""
        return f"{self.origin}{self.path(path)}"

    def accepts_host(self, host: str) -> bool:
        """Whether a request's ``Host`` is ours: that of ENRICH_CONSOLE_URL, or this machine by any port."""
        default_port = ":443" if self.is_https else ":80"
        if self.host is not None and host.lower().removesuffix(default_port) == self.host.removesuffix(default_port):
            return True
        found = re.fullmatch(r"(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9.-]+)(?::\d{1,5})?", host)
        return found is not None and is_loopback(found[1].strip("[]").lower())

    def accepts_origin(self, origin: str, host: str) -> bool:
        """Whether a request's ``Origin`` is ours, given its ``Host``, which ``accepts_host``."""
        ours = {self.origin} if self.accepts_public(host) else {f"http://{host}".lower(), f"https://{host}".lower()}
        return origin.lower() in ours | {self.origin}

    def accepts_public(self, host: str) -> bool:
        """Whether the request came to the host of ENRICH_CONSOLE_URL."""
        return self.host is not None and host.lower() == self.host
