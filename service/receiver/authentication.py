"""Authenticates webhooks: by the signature made with the client secret, and by the headers registered with the hook.

Signatures follow the Standard Webhooks specification, with the API account's client secret as the key.
"""

import hmac
import re
import secrets
from collections.abc import Iterable, Mapping
from enum import StrEnum

from pydantic import SecretStr
from standardwebhooks import Webhook, WebhookVerificationError
from starlette.datastructures import Headers

from service.stores import Store

# The header may also contain signatures of other versions, or garbage, at which the library would stop.
_SIGNATURE = re.compile(r"v1,[A-Za-z0-9+/]{43}=")

# A store has two secrets during a rotation. Random ones fill up to two for every other store, known or not, so that
# the response time reveals nothing about a store.
_MIN_SECRETS_TRIED = 2


class Refusal(StrEnum):
    """Why a webhook is not authentic. Only for the log: the answer to the sender does not say it."""

    UNKNOWN_STORE = "unknown_store"
    UNSIGNED = "unsigned"
    STALE = "stale"
    BAD_SIGNATURE = "bad_signature"
    BAD_HEADER = "bad_header"


class Authenticator:
    """Authenticates webhooks with one store's secrets."""

    def __init__(
        self,
        client_secrets: Iterable[SecretStr] = (),
        webhook_headers: Mapping[str, Iterable[SecretStr]] | None = None,
    ) -> None:
        keys = [secret.get_secret_value().encode() for secret in client_secrets]
        decoys = [secrets.token_bytes(32) for _ in range(_MIN_SECRETS_TRIED - len(keys))]
        self._is_signed = bool(keys)
        self._signers = [Webhook(key) for key in (*keys, *decoys)]
        self._headers = {
            name: [value.get_secret_value().encode() for value in values]
            for name, values in (webhook_headers or {}).items()
        }

    def refusal(self, headers: Headers, body: str) -> Refusal | None:
        """Why the webhook is refused; None when each configured kind of secret matches."""
        signature, header = self._check_signature(headers, body), self._check_headers(headers)
        return (signature if self._is_signed else None) or header

    def _check_signature(self, headers: Headers, body: str) -> Refusal | None:
        given = {name: headers.get(name, "") for name in ("webhook-id", "webhook-timestamp")}
        parts = headers.get("webhook-signature", "").split()
        given["webhook-signature"] = " ".join(part for part in parts if _SIGNATURE.fullmatch(part))
        if not all(given.values()):
            return Refusal.UNSIGNED if not parts else Refusal.BAD_SIGNATURE
        results = [_verify(signer, given, body) for signer in self._signers]
        return None if None in results else results[0]

    def _check_headers(self, headers: Headers) -> Refusal | None:
        matches = [
            any([hmac.compare_digest(headers.get(name, "").encode("latin-1"), value) for value in accepted])  # noqa: C419
            for name, accepted in self._headers.items()
        ]
        return None if all(matches) else Refusal.BAD_HEADER


def _verify(signer: Webhook, headers: dict[str, str], body: str) -> Refusal | None:
    try:
        signer.verify(body, headers, json_parse=False)
    except WebhookVerificationError as error:
        # The library allows five minutes either way; only its message distinguishes this error.
        return Refusal.STALE if "timestamp too" in str(error) else Refusal.BAD_SIGNATURE
    except ValueError:  # invalid base64, text or number
        return Refusal.BAD_SIGNATURE
    return None


class StoreRegistry:
    """The stores whose webhooks the receiver takes. They can be replaced while it runs."""

    def __init__(self, stores: Mapping[str, Store]) -> None:
        self._unknown_store = Authenticator()
        self.replace(stores)

    def replace(self, stores: Mapping[str, Store]) -> None:
        """Replace all stores with these."""
        self._stores = {
            store_hash: (store, Authenticator(store.client_secrets, store.webhook_headers))
            for store_hash, store in stores.items()
        }

    def get(self, store_hash: str) -> Store | None:
        """The store with this hash; None when it is unknown."""
        known = self._stores.get(store_hash)
        return known[0] if known else None

    def refusal(self, store_hash: str, headers: Headers, body: str) -> Refusal | None:
        """Why the webhook is refused; None when the store is known and the webhook is authentic."""
        known = self._stores.get(store_hash)
        refusal = (known[1] if known else self._unknown_store).refusal(headers, body)
        return refusal if known else Refusal.UNKNOWN_STORE
