"""Finds out which is wrong where a token and a store hash do not belong together, as far as the stores file tells."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from service.bigcommerce import Account, Priority, QuotaWaitingApi, Transport
from service.checks.access.upstream_errors import SCOPES_AT
from service.checks.findings import Finding, Level
from service.errors import UpstreamError
from service.stores import Store

MAX_OTHERS = 5
"""With so many other stores of the file, hash and token are tried at most: two calls each."""

_TIMEOUT_S = 5.0


async def explain_refusal(transport: Transport, store: Store, known: Sequence[Store], finding: Finding) -> Finding:
    """The finding about a refused token, with what to look at: the hash, or the token. ``known`` are all stores."""
    others = [other for other in known if other.hash != store.hash][:MAX_OTHERS]
    for other in others:
        if await _is_accepted(transport, other.hash, store):
            message = f"BigCommerce refuses it for this store: it is the token of store {other.hash}."
            cure = f"Write the token of {store.hash} here. If the two are swapped, correct both."
            return replace(finding, message=message, cure=cure)
    for other in others:
        if await _is_accepted(transport, store.hash, other):
            message = f"BigCommerce refuses it, but accepts that of store {other.hash} here: the hash is right."
            return replace(finding, message=message, cure=f"Are the tokens of {store.hash} and {other.hash} swapped?")
    cure = (
        f"First compare the hash: the API path of the API account ({SCOPES_AT}) has {store.hash} after /stores/. If so,"
        " compare the token, or make a new one there."
    )
    return replace(finding, cure=cure)


async def _is_accepted(transport: Transport, store_hash: str, owner: Store) -> bool:
    """Whether BigCommerce accepts any token of ``owner`` for this hash."""
    api = QuotaWaitingApi(
        transport,
        Account(store_hash, owner.access_tokens[:1]),
        timeout_s=_TIMEOUT_S,
        priority=Priority.BACKGROUND,
    )
    try:
        await api.core.orders(limit=1)
    except UpstreamError:
        return False
    return True


def shared_token_findings(stores: Iterable[Store]) -> list[Finding]:
    """A warning for each store whose token another one has, too: an API account belongs to one store."""
    owners: dict[str, str] = {}
    findings = []
    for store in stores:
        for token in store.access_tokens:
            owner = owners.setdefault(token.get_secret_value(), store.hash)
            if owner != store.hash:
                message = f"it is the same as that of store {owner}, but a token belongs to one store."
                cure = f"Make an API account in each of the two stores ({SCOPES_AT})."
                findings.append(Finding(Level.WARNING, store.hash, "access_token", message, cure))
    return findings
