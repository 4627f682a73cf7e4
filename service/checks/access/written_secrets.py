"""Finds secrets that cannot be right, by how they are written. No finding contains one."""

import re
from collections.abc import Iterator, Sequence

from pydantic import SecretStr

from service.checks.findings import Finding, Level
from service.stores import Store

_QUOTES = "\"'\u201c\u201d\u2018\u2019`"


def check_written_secrets(store: Store) -> list[Finding]:
    """One finding for each mistake in the store's access tokens and client secrets."""
    tokens = {secret.get_secret_value() for secret in store.access_tokens}
    findings = [*_of_key(store.hash, "access_token", store.access_tokens)]
    findings += _of_key(store.hash, "client_secret", store.client_secrets)
    if tokens & {secret.get_secret_value() for secret in store.client_secrets}:
        message = "it is the same as access_token, but the two are different secrets of an API account."
        cure = "Copy the client secret from where the API account was made; it is shown once, beside the token."
        findings.append(Finding(Level.ERROR, store.hash, "client_secret", message, cure))
    return findings


def _of_key(store: str, key: str, secrets: Sequence[SecretStr]) -> Iterator[Finding]:
    for number, secret in enumerate(secrets, start=1):
        subject = f"{key} (item {number})" if len(secrets) > 1 else key
        for message, cure in _mistakes(secret.get_secret_value()):
            yield Finding(Level.ERROR, store, subject, message, cure)


def _mistakes(text: str) -> Iterator[tuple[str, str]]:
    if len(text) > 1 and text[0] in _QUOTES and text[-1] in _QUOTES:
        yield (
            "the secret has quotes around it, which become a part of it.",
            "Remove them where it is set: files of `docker --env-file` and files with the secret alone have none.",
        )
    elif text != text.strip():
        yield "the secret has spaces around it.", "Remove them where it is set."
    elif re.match(r"(env|file):", text):
        yield (
            "the secret is itself a reference to another one.",
            "Put the secret there: only the stores file may say env: or file:.",
        )
    elif re.fullmatch(r"\$\{?\w+\}?|<.*>|x{3,}|changeme|change-me|todo|\.{3,}|your[-_ ].*", text, re.IGNORECASE):
        yield "this is a placeholder, not a secret.", "Put the secret of the store's API account there."
