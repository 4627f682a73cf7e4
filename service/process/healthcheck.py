"""``python -m service.process.healthcheck [URL…]``: exits with 0 when a receiver, worker or console here is alive.

For container engines, as the image has no other HTTP client. Without a URL, it tries the default address of each.
"""

import sys

import httpx

# In total: below the five seconds that the image's HEALTHCHECK allows.
TIMEOUT_S = 4.0
DEFAULT_URLS = (
    "http://127.0.0.1:8000/healthz",
    "http://127.0.0.1:9400/healthz",
    "http://127.0.0.1:8100/healthz",
)


def is_healthy(urls: tuple[str, ...]) -> bool:
    """Whether at least one of the URLs answers 200."""
    with httpx.Client(timeout=TIMEOUT_S / len(urls), trust_env=False) as http:
        return any(_answers(http, url) for url in urls)


def _answers(http: httpx.Client, url: str) -> bool:
    try:
        return http.get(url).status_code == httpx.codes.OK
    except httpx.HTTPError:
        return False


if __name__ == "__main__":
    sys.exit(0 if is_healthy(tuple(sys.argv[1:]) or DEFAULT_URLS) else 1)
