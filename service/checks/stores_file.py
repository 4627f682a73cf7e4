"""Checks the stores file alone, without calls to BigCommerce or Redis."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from service.checks.access.token_owner import shared_token_findings
from service.checks.access.written_secrets import check_written_secrets
from service.checks.findings import Finding, Level, counted
from service.checks.rules.written_rules import check_written_rules
from service.checks.writes import writes_off_findings
from service.configuration import Configuration, ConfiguredStore, load_configuration
from service.errors import ConfigError
from service.stores import Endpoints, Notify


def check_file(path: Path, environ: Mapping[str, str] = os.environ) -> tuple[Configuration | None, list[Finding]]:
    """Load and check the stores file: the configuration, None when it is invalid, and all findings."""
    try:
        configuration = load_configuration(path, environ)
    except ConfigError as error:
        return None, [
            Finding(Level.ERROR, None, problem.place, problem.message, problem.cure) for problem in error.problems
        ]
    stores = configuration.stores.values()
    rules = sum(len(configured.rules.rules) for configured in stores)
    summary = f"is valid: {counted(len(stores), 'store')} with {counted(rules, 'rule')}."
    return configuration, [
        Finding(Level.OK, None, "stores file", summary),
        *_endpoint_warnings(configuration.endpoints),
        *shared_token_findings(configured.store for configured in stores),
        *_notify_findings(configuration.notify),
        *map(_literal_secret_warning, configuration.literal_secrets),
        *(finding for configured in stores for finding in findings_of_store(configured)),
    ]


def findings_of_store(configured: ConfiguredStore) -> list[Finding]:
    """What the stores file alone tells of one store."""
    return [
        *check_written_secrets(configured.store),
        *check_written_rules(configured),
        *writes_off_findings(configured.store),
    ]


def _endpoint_warnings(endpoints: Endpoints) -> Iterator[Finding]:
    public = Endpoints()
    for key, url, usual in (
        ("api_url", endpoints.api_url, public.api_url),
        ("b2b_api_url", endpoints.b2b_api_url, public.b2b_api_url),
    ):
        if url != usual:
            message = f"calls go to {url} instead of {usual}."
            cure = "This is fine for tests; remove the key in production."
            yield Finding(Level.WARNING, None, f"[bigcommerce] {key}", message, cure)


def _notify_findings(notify: Notify | None) -> Iterator[Finding]:
    if notify is None:
        return
    channels = ", ".join(kind for kind, destinations in notify.destinations.items() if destinations)
    about = "all stores" if notify.stores is None else ", ".join(notify.stores)
    message = f"messages about {about} go to {channels}. `enrich notify test` sends one."
    yield Finding(Level.OK, None, "[notify]", message)


def _literal_secret_warning(place: str) -> Finding:
    # The place is stores.<hash>.<key>, and a store hash has letters and digits only; or notify.<key>.
    table, _, key = place.partition(".")
    store, _, key = key.partition(".") if table == "stores" else (None, "", f"[notify] {key}")
    message = "the secret itself is in the stores file."
    cure = "Keep it outside, and write env:NAME or file:/path here."
    return Finding(Level.WARNING, store, key, message, cure)
