"""The table ``[notify]``: where people are told that something needs them."""

import base64
import binascii
from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationInfo, field_validator

from service.stores.field_types import PageUrl, SecretUrl, Table
from service.stores.mail_url import MailUrl
from service.stores.messages import EXAMPLES, refused
from service.stores.secrets import Secret, listed

ChannelKind = Literal["webhook", "slack", "teams", "mail"]

# What Standard Webhooks asks for: 24 to 64 random bytes.
_MIN_KEY_BYTES = 24
_KEY_PREFIX = "whsec_"


def signing_key(secret: SecretStr) -> bytes:
    """The key that a secret stands for: the base64 text after ``whsec_``, else the text itself, as BigCommerce does.

    Raises ValueError if what follows ``whsec_`` is not base64.
    """
    text = secret.get_secret_value()
    return base64.b64decode(text[len(_KEY_PREFIX) :], validate=True) if text.startswith(_KEY_PREFIX) else text.encode()


def _signing_secret(secret: SecretStr) -> SecretStr:
    try:
        key = signing_key(secret)
    except binascii.Error:
        raise refused("the text after whsec_ is not base64", "Copy the whole secret.") from None
    if len(key) < _MIN_KEY_BYTES:
        cure = "Make one with: openssl rand -hex 32"
        raise refused(f"the secret is shorter than {_MIN_KEY_BYTES} bytes, so it could be guessed", cure)
    return secret


SigningSecret = Annotated[Secret, AfterValidator(_signing_secret)]


class Notify(Table):
    """Where messages are sent. Each channel may have several destinations; ``secrets`` sign those of ``webhook``.

    ``stores`` limits which stores are told of; None: all. ``link`` is the console's URL, without a slash at the end.
    """

    webhook: Annotated[tuple[SecretUrl, ...], BeforeValidator(listed)] = ()
    slack: Annotated[tuple[SecretUrl, ...], BeforeValidator(listed)] = ()
    teams: Annotated[tuple[SecretUrl, ...], BeforeValidator(listed)] = ()
    mail: Annotated[tuple[MailUrl, ...], BeforeValidator(listed)] = ()
    secrets: Annotated[tuple[SigningSecret, ...], BeforeValidator(listed)] = Field(
        alias="secret", default=(), validate_default=True
    )
    link: PageUrl | None = None
    stores: Annotated[tuple[str, ...], BeforeValidator(listed)] | None = Field(default=None, validate_default=True)

    @field_validator("secrets")
    @classmethod
    def _webhooks_are_signed(cls, secrets: tuple[SecretStr, ...], info: ValidationInfo) -> tuple[SecretStr, ...]:
        if not secrets and info.data.get("webhook"):
            message = "is missing: the receiver of the webhook could not tell that it comes from this service"
            raise refused(message, f"For example: {EXAMPLES['secret']}.")
        if secrets and info.data.get("webhook") == ():
            raise refused("there is no webhook that it could sign", "Add webhook, or remove secret.")
        return secrets

    @field_validator("stores")
    @classmethod
    def _some_channel(cls, stores: tuple[str, ...] | None, info: ValidationInfo) -> tuple[str, ...] | None:
        if all(info.data.get(kind) == () for kind in ("webhook", "slack", "teams", "mail")):
            cure = "Add webhook, slack, teams or mail, or remove the table."
            raise refused("the table [notify] has no channel, so nobody would be told", cure)
        return stores

    @property
    def destinations(self) -> Mapping[ChannelKind, Sequence[SecretStr]]:
        """The destinations of each channel, in the file's order."""
        return {"webhook": self.webhook, "slack": self.slack, "teams": self.teams, "mail": self.mail}

    def tells_of(self, store: str) -> bool:
        """Whether messages are sent about the store."""
        return self.stores is None or store in self.stores
