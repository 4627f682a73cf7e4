"""Who may do what in the console. Every handler asks ``authorize``; templates only hide what it would refuse."""

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum

from service.errors import EnrichError


class Role(StrEnum):
    """What a person may do, each role more than the one before it."""

    VIEWER = "viewer"
    """Reads."""
    OPERATOR = "operator"
    """Also retries, sets values, registers webhooks, pauses, looks as the buyer."""
    ADMIN = "admin"
    """Also edits rules."""

    def includes(self, needed: "Role") -> bool:
        """Whether this role may do what ``needed`` may do."""
        roles = list(Role)
        return roles.index(self) >= roles.index(needed)


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who is signed in. ``stores`` are the only ones that they may see; None: all.

    ``session_id`` is the public id of their session; None behind a sign-in proxy.
    """

    who: str
    role: Role
    stores: frozenset[str] | None = None
    session_id: str | None = None

    def stores_of(self, configured: Collection[str]) -> list[str]:
        """Those of the configured stores that they may see."""
        return [store for store in configured if self.stores is None or store in self.stores]


class AccessDenied(EnrichError):
    """The base of what ``authorize`` refuses with. The message is for the person."""


class SignInRequired(AccessDenied):
    """Nobody is signed in."""


class UnknownStore(AccessDenied):
    """No such store is configured, or the person may not see it: they are not told which of the two."""


class RoleRequired(AccessDenied):
    """The person's role does not include what was asked for."""


def authorize(person: Person | None, needs: Role, *, configured: Collection[str], store: str | None = None) -> Person:
    """The person, if they may do what needs this role, in this store where one is named. Raises AccessDenied."""
    if person is None:
        raise SignInRequired("You are not signed in.")
    if store is not None and store not in person.stores_of(configured):
        raise UnknownStore(f"There is no store {store} here that you may see.")
    if not person.role.includes(needs):
        raise RoleRequired(f"This needs the role {needs}; you are {person.role}.")
    return person
