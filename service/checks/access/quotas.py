"""Checks the stores' quotas, by the last answers of the APIs."""

from collections.abc import Mapping

from service.bigcommerce import Api
from service.bigcommerce.quota_headers import Quota
from service.checks.findings import Finding, Level

LOW_PERCENT = 20

_NAMES = {Api.CORE: "core API", Api.B2B: "B2B Edition"}
_USUAL_B2B = 150


def check_quotas(store: str, quotas: Mapping[Api, Quota]) -> list[Finding]:
    """Check the store's quotas by the last answers; an API without quota headers is left out."""
    return [
        _quota_finding(store, api, quota, quota.limit, quota.left)
        for api, quota in quotas.items()
        if api in _NAMES and quota.limit and quota.left is not None
    ]


def _quota_finding(store: str, api: Api, quota: Quota, limit: int, left: int) -> Finding:
    total = f"{limit} calls" + (f" in {quota.window_s:g} s" if quota.window_s else "")
    unusual = f" Most stores have {_USUAL_B2B}." if api is Api.B2B and limit != _USUAL_B2B else ""
    subject = f"quota, {_NAMES[api]}"
    if 100 * left < LOW_PERCENT * limit:
        message = f"only {left} of {total} are left.{unusual}"
        cure = "Unless a burst of orders is in progress, other apps of this store are using it up."
        return Finding(Level.WARNING, store, subject, message, cure)
    return Finding(Level.OK, store, subject, f"{left} of {total} are left.{unusual}")
