"""Who vouches for a webhook: the client secret that signed it, the headers that the hook was registered with.

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

# Other versions of the scheme, and garbage, may stand beside a good signature; the library would stop at them.
_SIGNATURE = re.compile(r"v1,[A-Za-z0-9+/]{43}=")

# Two secrets are what a store has while it rotates them. All others are given as many, so that the time an answer
# takes tells nothing about a store, nor whether there is one.
_SECRETS_TRIED = 2


class Refusal(StrEnum):
    """Why nobody vouches for a webhook. For the log: the sender is told nothing."""

    UNKNOWN_STORE = "unknown_store"
    UNSIGNED = "unsigned"
    STALE = "stale"
    BAD_SIGNATURE = "bad_signature"
    BAD_HEADER = "bad_header"


class Authenticator:
    """Checks webhooks against one store's secrets."""

    def __init__(
        self,
        client_secrets: Iterable[SecretStr] = (),
        webhook_headers: Mapping[str, Iterable[SecretStr]] | None = None,
    ) -> None:
        keys = [secret.get_secret_value().encode() for secret in client_secrets]
        decoys = [secrets.token_bytes(32) for _ in range(_SECRETS_TRIED - len(keys))]
        self._is_signed = bool(keys)
        self._signers = [Webhook(key) for key in (*keys, *decoys)]
        self._headers = {
            name: [value.get_secret_value().encode() for value in values]
            for name, values in (webhook_headers or {}).items()
        }

    def refusal(self, headers: Headers, body: str) -> Refusal | None:
        """None when every kind of secret that is configured vouches for the webhook, else why not."""
        signature, header = self._of_signature(headers, body), self._of_headers(headers)
        return (signature if self._is_signed else None) or header

    def _of_signature(self, headers: Headers, body: str) -> Refusal | None:
        given = {name: headers.get(name, "") for name in ("webhook-id", "webhook-timestamp")}
        parts = headers.get("webhook-signature", "").split()
        given["webhook-signature"] = " ".join(part for part in parts if _SIGNATURE.fullmatch(part))
        if not all(given.values()):
            return Refusal.UNSIGNED if not parts else Refusal.BAD_SIGNATURE
        verdicts = [_verdict(signer, given, body) for signer in self._signers]
        return None if None in verdicts else verdicts[0]

    def _of_headers(self, headers: Headers) -> Refusal | None:
        came_back = [
            any([hmac.compare_digest(headers.get(name, "").encode("latin-1"), value) for value in accepted])  # noqa: C419
            for name, accepted in self._headers.items()
        ]
        return None if all(came_back) else Refusal.BAD_HEADER


def _verdict(signer: Webhook, headers: dict[str, str], body: str) -> Refusal | None:
    try:
        signer.verify(body, headers, json_parse=False)
    except WebhookVerificationError as error:
        # The library allows five minutes either way, and tells it in words only.
        return Refusal.STALE if "timestamp too" in str(error) else Refusal.BAD_SIGNATURE
    except ValueError:  # what is no base64, no text, no number
        return Refusal.BAD_SIGNATURE
    return None


class StoreRegistry:
    """The stores whose webhooks are taken. They can be replaced while the receiver runs."""

    def __init__(self, stores: Mapping[str, Store]) -> None:
        self._stranger = Authenticator()
        self.replace(stores)

    def replace(self, stores: Mapping[str, Store]) -> None:
        """Take these stores from now on, and no others."""
        self._stores = {
            store_hash: (store, Authenticator(store.client_secrets, store.webhook_headers))
            for store_hash, store in stores.items()
        }

    def get(self, store_hash: str) -> Store | None:
        """The store of this hash; None when it is not one of ours."""
        known = self._stores.get(store_hash)
        return known[0] if known else None

    def refusal(self, store_hash: str, headers: Headers, body: str) -> Refusal | None:
        """None when the store is ours and vouches for the webhook, else why not."""
        known = self._stores.get(store_hash)
        verdict = (known[1] if known else self._stranger).refusal(headers, body)
        return verdict if known else Refusal.UNKNOWN_STORE
