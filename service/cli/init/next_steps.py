"""What ``enrich init`` says at the end: what was written, and what to do next, in order."""

import shlex
from pathlib import Path

from service.sandbox.demo import DEMO_STORE_HASH
from service.settings import Settings
from service.stores.writer import NewStore

# Where the containers of deploy/compose.yaml find their secrets, and where they are on the machine.
_DOCKER_SECRETS = "/run/secrets"

_ORDER = """{"customer_id": 101, "billing_address": {"form_fields": [{"name": "PO Number", "value": "4711-D"}]}}"""


def next_steps(new: NewStore, path: Path | None) -> str:
    """The text for a person; ``path`` is the file that was written, None for stdout."""
    elsewhere = path is not None and path != Settings.load().enrich_config
    enrich = f"ENRICH_CONFIG={shlex.quote(str(path))} enrich" if elsewhere else "enrich"
    steps = _sandbox_steps(new.sandbox.url, enrich) if new.sandbox else _store_steps(new, enrich)
    lines = [] if path is None else [f"Wrote {path}."]
    lines.append("Next, in this order:")
    for number, (step, *more) in enumerate(steps, start=1):
        lines += [f"{number:3}. {step}", *(f"       {line}" for line in more)]
    return "\n".join(lines)


def _sandbox_steps(url: str, enrich: str) -> list[list[str]]:
    return [
        ["Run the sandbox, unless it runs already:", "enrich sandbox > sandbox.log &"],
        ["Run receiver and worker, and wait until up.log has the line receiver_started:", f"{enrich} up > up.log &"],
        ["Register the webhooks:", f"{enrich} hooks register --url http://127.0.0.1:8000"],
        [
            "Place an order; the answer has its ID:",
            f"curl -s {url}/sandbox/stores/{DEMO_STORE_HASH}/orders -d \\",
            f"  '{_ORDER}'",
        ],
        ["See what happened to it:", f"{enrich} orders show <ID> --wait"],
    ]


def _store_steps(new: NewStore, enrich: str) -> list[list[str]]:
    return [
        _secrets_step(new),
        ["See what is wrong, and what to do (the webhooks do not exist yet):", f"{enrich} check"],
        ["See what the rules give for your last orders; this sends nothing:", f"{enrich} preview --last 20"],
        ["Run receiver and worker, and a proxy with a certificate in front of them:", f"{enrich} up"],
        ["Register the webhooks, from another shell:", f"{enrich} hooks register --url https://<your host>"],
    ]


def _secrets_step(new: NewStore) -> list[str]:
    if new.secrets_folder is None:
        return [
            "Set these environment variables where `enrich` runs. Their values are in the store's API account:",
            new.access_token,
            new.client_secret,
        ]
    docker = " (with Docker, deploy/secrets/ on this machine)" if new.secrets_folder == _DOCKER_SECRETS else ""
    return [
        f"Put each secret of the store's API account into a file of its own{docker}:",
        *new.secret_files,
    ]
