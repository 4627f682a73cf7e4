"""The stores file by itself: nothing is asked of BigCommerce or Redis."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from service.checks.findings import Finding, Level, counted
from service.configuration import Configuration, load_configuration
from service.errors import ConfigError
from service.stores import Endpoints


def check_file(path: Path, environ: Mapping[str, str] = os.environ) -> tuple[Configuration | None, list[Finding]]:
    """The configuration, None when it cannot be used, and everything there is to say about it."""
    try:
        configuration = load_configuration(path, environ)
    except ConfigError as error:
        return None, [
            Finding(Level.ERROR, None, problem.place, problem.message, problem.cure) for problem in error.problems
        ]
    stores = configuration.stores.values()
    rules = sum(len(configured.rules.rules) for configured in stores)
    whole = f"{counted(len(stores), 'store')} with {counted(rules, 'rule')}, all of it well formed."
    return configuration, [
        Finding(Level.OK, None, "stores file", whole),
        *_endpoints(configuration.endpoints),
        *map(_literal_secret, configuration.literal_secrets),
    ]


def _endpoints(endpoints: Endpoints) -> Iterator[Finding]:
    public = Endpoints()
    for key, url, usual in (
        ("api_url", endpoints.api_url, public.api_url),
        ("b2b_api_url", endpoints.b2b_api_url, public.b2b_api_url),
    ):
        if url != usual:
            message = f"calls go to {url} instead of {usual}."
            cure = "Fine for trying things out; leave it out in production."
            yield Finding(Level.WARNING, None, f"[bigcommerce] {key}", message, cure)


def _literal_secret(place: str) -> Finding:
    # The place is stores.<hash>.<key>, and a store hash has letters and digits only.
    _, store, key = place.split(".", 2)
    message = "the secret itself stands in the stores file."
    cure = "Keep it elsewhere and write env:NAME or file:/path instead."
    return Finding(Level.WARNING, store, key, message, cure)
