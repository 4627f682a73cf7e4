"""Sign-in by a proxy, which names the person in one header and proves itself by the secret in another."""

import hmac
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from pydantic import TypeAdapter, ValidationError
from starlette.datastructures import Headers

from service.console.people.access import AccessDenied, Person, Role
from service.errors import ConfigError, Problem
from service.settings import Settings
from service.stores import FileReader, PersonRights
from service.stores.secrets import Secret, SecretSources

PROOF_HEADER = "X-Enrich-Proxy-Secret"
"""The header in which the proxy sends ENRICH_CONSOLE_TRUST_SECRET."""

SECRET_LENGTH_MIN = 32

_HEADER, _SECRET = "ENRICH_CONSOLE_TRUST_HEADER", "ENRICH_CONSOLE_TRUST_SECRET"


class ForgedIdentity(AccessDenied):
    """A request names a person and does not prove that it comes from the sign-in proxy."""


class NotListed(AccessDenied):
    """The proxy has signed in somebody who is not in ``[console.people]``."""


@dataclass(frozen=True, slots=True)
class SignInProxy:
    """The proxy that is trusted: the header that names the person, and the secret that proves it."""

    header: str
    secret: str

    @classmethod
    def of(cls, settings: Settings, environ: Mapping[str, str] = os.environ) -> Self | None:
        """The proxy that the environment names, if any. Raises ConfigError for half of it, or a weak secret."""
        header, written = settings.enrich_console_trust_header, settings.enrich_console_trust_secret
        if header is None and written is None:
            return None
        if header is None or written is None:
            missing, other = (_HEADER, _SECRET) if header is None else (_SECRET, _HEADER)
            raise ConfigError(
                Problem(missing, f"is not set, but {other} is.", "Set both for a sign-in proxy, or neither.")
            )
        if header.lower() == PROOF_HEADER.lower():
            raise ConfigError(
                Problem(_HEADER, f"must not be {PROOF_HEADER}.", "It is the header that names the person.")
            )
        secret = _resolve(written.get_secret_value(), environ)
        if len(secret) < SECRET_LENGTH_MIN:
            raise ConfigError(
                Problem(
                    _SECRET,
                    f"is shorter than {SECRET_LENGTH_MIN} characters.",
                    "Make one with `openssl rand -hex 32`, and give it to the proxy as well.",
                )
            )
        return cls(header, secret)

    def identify(self, headers: Headers, people: Mapping[str, PersonRights]) -> Person | None:
        """Who the proxy says it is; None when the request names nobody.

        Raises ForgedIdentity without the right proof, and NotListed for somebody who may not use the console.
        """
        named = headers.getlist(self.header)
        if not named:
            return None
        proofs = headers.getlist(PROOF_HEADER)
        is_single = len(named) == 1 and len(proofs) == 1
        # Compared as bytes: compare_digest takes no text beyond ASCII, and a header may hold any.
        if not is_single or not hmac.compare_digest(proofs[0].encode("latin-1"), self.secret.encode()):
            raise ForgedIdentity(f"The request names a person in {self.header}, but not with the proof of the proxy.")
        name = named[0].strip()
        rights = next((rights for known, rights in people.items() if known.casefold() == name.casefold()), None)
        if rights is None:
            raise NotListed("You are signed in, but nobody has given you access: [console.people] does not list you.")
        return Person(name, Role(rights.role), None if rights.stores is None else frozenset(rights.stores))


def _resolve(written: str, environ: Mapping[str, str]) -> str:
    sources = SecretSources(environ, Path.cwd(), FileReader())
    try:
        secret = TypeAdapter(Secret).validate_python(written, context=sources)
    except ValidationError as error:
        detail = error.errors(include_input=False, include_url=False)[0]
        context = detail.get("ctx", {})
        raise ConfigError(
            Problem(_SECRET, f"{context.get('message', 'is not valid')}.", context.get("cure", ""))
        ) from None
    return secret.get_secret_value()
