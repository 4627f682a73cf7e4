"""Seals secrets that are kept in Redis, so that whoever reads Redis, or a copy of its data, cannot use them.

AES-256-GCM, with a key derived from a secret that is not in Redis: the stores file names it. A sealed text opens only
with that secret and in the place that it was sealed for.
"""

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from pydantic import SecretStr

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEY_BYTES = 32
NONCE_BYTES = 12
"""Random for each text, as NIST SP 800-38D has it for up to 2**32 texts a key."""

_VERSION = b"\x01"


class Seal:
    """Seals with a key from the first secret, and opens with any of them, so that they can be rotated.

    ``purpose`` says what is sealed: secrets that are used for two purposes give two keys.
    """

    def __init__(self, secrets: Sequence[SecretStr], *, purpose: str) -> None:
        self._ciphers = [_cipher(secret, purpose) for secret in secrets]

    def seal(self, text: SecretStr, *, place: str) -> bytes:
        """The text, sealed for this place, such as its key in Redis."""
        nonce = os.urandom(NONCE_BYTES)
        sealed = self._ciphers[0].encrypt(nonce, text.get_secret_value().encode(), place.encode())
        return _VERSION + nonce + sealed

    def open(self, sealed: bytes, *, place: str) -> SecretStr | None:
        """The text; None when it was sealed for another place or with another secret, or was changed."""
        if not sealed.startswith(_VERSION):
            return None
        nonce, content = sealed[1 : 1 + NONCE_BYTES], sealed[1 + NONCE_BYTES :]
        from cryptography.exceptions import InvalidTag

        for cipher in self._ciphers:
            try:
                return SecretStr(cipher.decrypt(nonce, content, place.encode()).decode())
            except (InvalidTag, ValueError):
                continue
        return None


def _cipher(secret: SecretStr, purpose: str) -> "AESGCM":
    # Imported here because it takes 40 ms and several MB of memory, and only a process that seals needs it.
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    derivation = HKDF(SHA256(), length=KEY_BYTES, salt=None, info=f"enrich:{purpose}".encode())
    return AESGCM(derivation.derive(secret.get_secret_value().encode()))
