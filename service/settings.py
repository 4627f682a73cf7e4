"""Settings from environment variables, as one frozen model."""

import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from platformdirs import user_state_path
from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from service.errors import ConfigError, Problem

REDIS_SCHEMES = ("redis://", "rediss://", "unix://", "redis+sentinel://")


def _known_scheme(url: SecretStr) -> SecretStr:
    if not url.get_secret_value().startswith(REDIS_SCHEMES):
        raise ValueError(f"expected a URL that begins with {', '.join(REDIS_SCHEMES)}")
    return url


def _web_address(url: str) -> str:
    parts = urlsplit(url)
    try:
        is_whole = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_whole = False
    if not is_whole or parts.username is not None or parts.query or parts.fragment or "\\" in url:
        raise ValueError("expected scheme, host and, if it has one, a path: https://enrich.example.com/console")
    if not re.fullmatch(r"(/[A-Za-z0-9._~-]+)*/?", parts.path):
        raise ValueError("expected a path of letters, digits, dots and hyphens")
    return url.rstrip("/")


def console_url(environ: Mapping[str, str] = os.environ) -> str | None:
    """Where people reach the console; None where that is not set, or no address: ``Settings.load`` reports it."""
    try:
        return _web_address(environ["ENRICH_CONSOLE_URL"])
    except (KeyError, ValueError):
        return None


def _header_name(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9-]+", name):
        raise ValueError("expected the name of a header, of letters, digits and hyphens")
    return name


def _sentence(message: str) -> str:
    return message.removeprefix("Value error, ").replace("Input should be", "must be") + "."


class Settings(BaseSettings):
    """The settings. The table in the README lists their names and defaults."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", env_ignore_empty=True)

    redis_url: Annotated[SecretStr, AfterValidator(_known_scheme)] | None = None
    enrich_config: Path = Path("stores.toml")
    enrich_data_dir: Path = Field(default_factory=lambda: user_state_path("b2b-order-enrichment"))
    enrich_log_format: Literal["json", "console"] = Field(
        default_factory=lambda: "console" if sys.stdout.isatty() else "json"
    )
    enrich_log_level: Annotated[Literal["DEBUG", "INFO", "WARNING", "ERROR"], BeforeValidator(str.upper)] = "INFO"
    enrich_metrics_host: str = "127.0.0.1"
    enrich_metrics_port: Annotated[int, Field(ge=0, le=65535)] = 9400

    enrich_console_url: Annotated[str, AfterValidator(_web_address)] | None = None
    enrich_console_trust_header: Annotated[str, AfterValidator(_header_name)] | None = None
    enrich_console_trust_secret: SecretStr | None = None

    @classmethod
    def load(cls) -> "Settings":
        """Read the environment. Raises ConfigError with all invalid variables."""
        try:
            return cls()
        except ValidationError as error:
            # The message leaves out the value: REDIS_URL may contain a password.
            problems = (
                Problem(str(detail["loc"][0]).upper(), _sentence(detail["msg"]))
                for detail in error.errors(include_input=False, include_url=False)
            )
            raise ConfigError(*problems) from None

    def require_redis_url(self) -> str:
        """The Redis URL. Raises ConfigError when none is set."""
        if self.redis_url is None:
            raise ConfigError(
                Problem(
                    "REDIS_URL",
                    "is not set.",
                    "Set it (redis://localhost:6379/0), or run `enrich up`, which brings its own Redis.",
                )
            )
        return self.redis_url.get_secret_value()
