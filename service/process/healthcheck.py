"""``python -m service.process.healthcheck [URL…]``: exit 0 when a receiver or worker on this machine is alive.

For container engines, whose images have no other HTTP client. Without a URL, both usual addresses are asked.
"""

import sys

import httpx

TIMEOUT_S = 4.0
USUAL = ("http://127.0.0.1:8000/healthz", "http://127.0.0.1:9400/healthz")


def is_healthy(urls: tuple[str, ...]) -> bool:
    """Whether one of them answers 200."""
    with httpx.Client(timeout=TIMEOUT_S / len(urls), trust_env=False) as http:
        return any(_answers(http, url) for url in urls)


def _answers(http: httpx.Client, url: str) -> bool:
    try:
        return http.get(url).status_code == httpx.codes.OK
    except httpx.HTTPError:
        return False


if __name__ == "__main__":
    sys.exit(0 if is_healthy(tuple(sys.argv[1:]) or USUAL) else 1)
