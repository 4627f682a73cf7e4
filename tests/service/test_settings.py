from pathlib import Path

import pytest

from service.errors import ConfigError
from service.settings import Settings

VARIABLES = (
    "REDIS_URL",
    "ENRICH_CONFIG",
    "ENRICH_DATA_DIR",
    "ENRICH_LOG_FORMAT",
    "ENRICH_LOG_LEVEL",
    "ENRICH_METRICS_PORT",
)


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


def problems_with(monkeypatch: pytest.MonkeyPatch, **environ: str) -> list[str]:
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError) as caught:
        Settings.load()
    return str(caught.value).splitlines()


def test_defaults_without_any_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", "/state")
    settings = Settings.load()

    assert settings.redis_url is None
    assert settings.enrich_config == Path("stores.toml")
    assert settings.enrich_data_dir.name == "b2b-order-enrichment"
    assert settings.enrich_log_format == "json"
    assert settings.enrich_log_level == "INFO"
    assert settings.enrich_metrics_port == 9400


def test_an_empty_variable_counts_as_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    unset = Settings.load()
    for name in VARIABLES:
        monkeypatch.setenv(name, "")

    assert Settings.load() == unset


def test_every_variable_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    values = ("redis://redis:6379/1", "/etc/stores.toml", "/var/lib/enrich", "console", "DEBUG", "0")
    for name, value in zip(VARIABLES, values, strict=True):
        monkeypatch.setenv(name, value)
    settings = Settings.load()

    assert settings.require_redis_url() == "redis://redis:6379/1"
    assert settings.enrich_config == Path("/etc/stores.toml")
    assert settings.enrich_data_dir == Path("/var/lib/enrich")
    assert settings.enrich_log_format == "console"
    assert settings.enrich_log_level == "DEBUG"
    assert settings.enrich_metrics_port == 0


@pytest.mark.parametrize("level", ["debug", "Info", "WARNING", "eRROR"])
def test_a_log_level_may_be_written_in_any_case(monkeypatch: pytest.MonkeyPatch, level: str) -> None:
    monkeypatch.setenv("ENRICH_LOG_LEVEL", level)
    assert Settings.load().enrich_log_level == level.upper()


def test_on_a_terminal_logs_are_for_the_console(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    assert Settings.load().enrich_log_format == "console"


@pytest.mark.parametrize(
    "url",
    ["redis://r", "rediss://r", "unix:///run/redis.sock?db=0", "redis+sentinel://a:1,b:2/0?master=mymaster"],
)
def test_every_redis_scheme_is_accepted(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("REDIS_URL", url)
    assert Settings.load().require_redis_url() == url


def test_all_invalid_values_are_reported_at_once_without_the_password(monkeypatch: pytest.MonkeyPatch) -> None:
    assert problems_with(
        monkeypatch,
        REDIS_URL="http://user:hunter2@redis",
        ENRICH_LOG_FORMAT="xml",
        ENRICH_LOG_LEVEL="loud",
        ENRICH_METRICS_PORT="65536",
    ) == [
        "REDIS_URL: expected a URL that begins with redis://, rediss://, unix://, redis+sentinel://.",
        "ENRICH_LOG_FORMAT: must be 'json' or 'console'.",
        "ENRICH_LOG_LEVEL: must be 'DEBUG', 'INFO', 'WARNING' or 'ERROR'.",
        "ENRICH_METRICS_PORT: must be less than or equal to 65535.",
    ]


@pytest.mark.parametrize("port", ["-1", "many", "9400.5"])
def test_an_invalid_port_is_refused(monkeypatch: pytest.MonkeyPatch, port: str) -> None:
    (problem,) = problems_with(monkeypatch, ENRICH_METRICS_PORT=port)
    assert problem.startswith("ENRICH_METRICS_PORT: must be ")


def test_the_settings_do_not_show_the_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_URL", "redis://user:hunter2@redis")
    settings = Settings.load()
    assert "hunter2" not in f"{settings!r} {settings} {settings.model_dump_json()}"


def test_a_missing_redis_url_is_an_error_with_a_cure() -> None:
    with pytest.raises(ConfigError, match=r"^REDIS_URL: is not set\. Set it .*, or run `enrich up`, .* Redis\.$"):
        Settings.load().require_redis_url()


@pytest.mark.parametrize(
    ("url", "known"),
    [
        ("https://enrich.example.com", "https://enrich.example.com"),
        ("https://enrich.example.com/", "https://enrich.example.com"),
        ("https://enrich.example.com:8443/a/console/", "https://enrich.example.com:8443/a/console"),
        ("http://[::1]:8100", "http://[::1]:8100"),
    ],
)
def test_the_address_of_the_console_is_one_that_browsers_open(
    monkeypatch: pytest.MonkeyPatch, url: str, known: str
) -> None:
    monkeypatch.setenv("ENRICH_CONSOLE_URL", url)
    assert Settings.load().enrich_console_url == known


@pytest.mark.parametrize(
    "url",
    [
        "enrich.example.com",
        "ftp://enrich.example.com",
        "https://",
        "https://user:secret@enrich.example.com",
        "https://enrich.example.com/?a=b",
        "https://enrich.example.com/#top",
        "https://enrich.example.com//console",
        'https://enrich.example.com/"><script>',
        "https://enrich.example.com:port",
    ],
)
def test_another_address_of_the_console_is_refused_without_being_shown(
    monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    (problem,) = problems_with(monkeypatch, ENRICH_CONSOLE_URL=url)
    assert problem.startswith("ENRICH_CONSOLE_URL: expected ")
    assert "secret" not in problem


def test_a_header_has_a_name_that_headers_have(monkeypatch: pytest.MonkeyPatch) -> None:
    (problem,) = problems_with(monkeypatch, ENRICH_CONSOLE_TRUST_HEADER="X Forwarded: Email")
    assert problem.startswith("ENRICH_CONSOLE_TRUST_HEADER: expected the name of a header")
