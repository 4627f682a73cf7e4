"""What the tables of the stores file have in common: their base, and the types of addresses."""

import ipaddress
import re
from typing import Annotated
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, SecretStr

from service.stores.messages import refused
from service.stores.secrets import Secret


class Table(BaseModel):
    """The base of all tables."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", hide_input_in_errors=True)


def is_loopback(host: str) -> bool:
    """Whether the host is this machine, by its name or address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _split(text: str, cure: str) -> SplitResult:
    try:
        url = urlsplit(text)
        port = url.port  # reading the port checks it
    except ValueError:
        raise refused("expected a URL", cure) from None
    is_plain_ascii = re.fullmatch(r"[!-~]+", text) and "\\" not in text
    if url.scheme not in ("http", "https") or not url.hostname or port == 0 or not is_plain_ascii:
        raise refused("expected a URL that begins with https://", cure)
    return url


def _require_https(url: SplitResult, message: str) -> None:
    if url.scheme == "http" and not is_loopback(url.hostname or ""):
        raise refused(message, "Use https://, or a loopback address.")


def _url(text: str) -> str:
    cure = "Write scheme and host, such as https://api.bigcommerce.com, or leave the key out."
    url = _split(text, cure)
    if url.username is not None or any(sign in text for sign in "?#"):
        raise refused("expected a URL without user, password, query and fragment", cure)
    _require_https(url, "plain http would send the access token unencrypted")
    return text.rstrip("/")


def _page_url(text: str) -> str:
    cure = "Write where people open the console, such as https://enrich.example.com/console, or leave the key out."
    url = _split(text, cure)
    if url.username is not None or any(sign in text for sign in "?#"):
        raise refused("expected a URL without user, password, query and fragment", cure)
    return text.rstrip("/")


def _secret_url(secret: SecretStr) -> SecretStr:
    """A URL that is a secret itself, so no message shows it."""
    text = secret.get_secret_value()
    url = _split(text, "Write the whole URL, such as https://example.com/hook.")
    if url.username is not None or "#" in text:
        raise refused("expected a URL without user, password and fragment", "Remove them.")
    _require_https(url, "plain http would send the message unencrypted")
    return secret


Url = Annotated[str, AfterValidator(_url)]
PageUrl = Annotated[str, AfterValidator(_page_url)]
SecretUrl = Annotated[Secret, AfterValidator(_secret_url)]
