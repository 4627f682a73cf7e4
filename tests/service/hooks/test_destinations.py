"""Which URLs webhooks can be registered for."""

import pytest

from service.errors import ConfigError
from service.hooks import destination_of
from tests.service.hooks.conftest import OURS


@pytest.mark.parametrize(
    "url",
    [
        "https://hooks.example.com",
        "https://hooks.example.com/",
        "https://Hooks.Example.com:443",
        "https://hooks.example.com:/",
        "HTTPS://hooks.example.com/webhooks/bigcommerce/",
        OURS,
    ],
)
def test_a_host_gets_the_receivers_path(url: str) -> None:
    assert destination_of(url) == OURS


def test_a_path_of_a_proxy_before_the_receivers_is_kept() -> None:
    url = "https://proxy.example.com/In/bc/webhooks/bigcommerce"
    assert destination_of(url) == destination_of(url + "/") == url


@pytest.mark.parametrize("path", ["/In/bc", "/In/bc/"])
def test_a_path_at_which_the_receiver_would_answer_404_is_refused_with_both_right_ones(path: str) -> None:
    with pytest.raises(ConfigError) as refused:
        destination_of(f"https://Proxy.example.com{path}")
    assert str(refused.value) == (
        f"--url https://Proxy.example.com{path}: has another path than /webhooks/bigcommerce, the only one at which the"
        " receiver takes webhooks. Write https://proxy.example.com. If a proxy has the receiver below /In/bc:"
        " https://proxy.example.com/In/bc/webhooks/bigcommerce."
    )


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("", "is not a URL that begins with https://"),
        ("hooks.example.com", "is not a URL that begins with https://"),
        ("https://", "is not a URL that begins with https://"),
        ("https://hooks example.com", "is not a URL that begins with https://"),
        ("https://hööks.example.com", "is not a URL that begins with https://"),
        ("ftp://hooks.example.com", "is not a URL that begins with https://"),
        ("https://[x", "is not a URL."),
        ("https://hooks.example.com:x", "is not a URL."),
        ("http://hooks.example.com", "https on port 443 only"),
        ("https://hooks.example.com:8443", "https on port 443 only"),
        ("https://user:hush@hooks.example.com", "has a user, a password, a query or a fragment"),
        ("https://hooks.example.com?key=hush", "has a user, a password, a query or a fragment"),
        ("https://hooks.example.com#hush", "has a user, a password, a query or a fragment"),
    ],
)
def test_a_url_that_bigcommerce_cannot_call_is_refused(url: str, words: str) -> None:
    with pytest.raises(ConfigError) as refused:
        destination_of(url)
    assert words in str(refused.value)
    assert "hush" not in str(refused.value)


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:8000", "http://web.test:80", "https://hooks.example.com:8443/in/webhooks/bigcommerce"]
)
def test_a_sandbox_calls_any_port_with_or_without_tls(url: str) -> None:
    path = "" if "/in/" in url else "/webhooks/bigcommerce"
    assert destination_of(url, from_sandbox=True) == url.removesuffix(":80") + path


def test_a_url_with_a_user_is_refused_for_a_sandbox_too() -> None:
    with pytest.raises(ConfigError, match="has a user"):
        destination_of("http://user:x@127.0.0.1:8000", from_sandbox=True)
