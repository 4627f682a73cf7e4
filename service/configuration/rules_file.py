"""Reads and saves the rules of one store in the stores file, as somebody edits them."""

from dataclasses import dataclass

from service.configuration.loading import Configuration
from service.configuration.reloading import LiveConfiguration
from service.errors import ConfigError, EnrichError, Problem
from service.stores import content_digest
from service.stores.editing.file_replacement import FileChanged, locked, replace
from service.stores.editing.rules_text import rules_text, with_rules

_BOM = "\ufeff"


@dataclass(frozen=True, slots=True)
class RulesFile:
    """The stores file at one moment: its text, the ``content_digest``, and the text of the store's rules in it."""

    store: str
    text: str
    digest: str
    rules: str

    def with_rules(self, rules: str) -> str:
        """The text of the file with these rules instead. Raises ConfigError, LayoutError."""
        return with_rules(self.text, self.store, rules)


@dataclass(frozen=True, slots=True)
class Saved:
    """The file as it was before, and the ``content_digest`` of what was written."""

    before: RulesFile
    digest: str


class UnreadableFile(EnrichError):
    """The stores file cannot be read, or is not valid, so that rules cannot be changed in it."""


def read(live: LiveConfiguration, store: str) -> tuple[RulesFile, Configuration]:
    """The file as it is now, which may not be in force yet, and its configuration.

    Raises UnreadableFile where it is not valid, LayoutError.
    """
    try:
        content = live.path.read_bytes()
        text = content.decode().removeprefix(_BOM)
        configuration = live.check(text)
        if store not in configuration.stores:
            raise UnreadableFile(f"{live.path.name} has no store {store} any more.")
        return RulesFile(store, text, content_digest(content), rules_text(text, store)), configuration
    except OSError as error:
        raise UnreadableFile(f"{live.path.name} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise UnreadableFile(f"{live.path.name} is not UTF-8 text.") from error
    except ConfigError as error:
        raise UnreadableFile("\n".join(str(problem) for problem in error.problems)) from error


def check(live: LiveConfiguration, file: RulesFile, rules: str) -> Configuration:
    """The configuration with these rules instead of the file's: the whole file is checked.

    Raises ConfigError with the sentences of ``enrich check``, LayoutError.
    """
    configuration = live.check(file.with_rules(rules))
    if file.store not in configuration.stores:
        raise ConfigError(Problem(f"[stores.{file.store}]", "would be gone.", "Keep a rule."))
    return configuration


def save(live: LiveConfiguration, store: str, rules: str, opened: str) -> Saved:
    """Put the rules into the stores file, if its digest is still ``opened``.

    Nothing is written where this raises: ConfigError, FileChanged, LayoutError, NotReplaceable, UnreadableFile.
    """
    with locked(live.path) as path:
        before, _ = read(live, store)
        if before.digest != opened:
            raise FileChanged(live.path)
        new = before.with_rules(rules)
        check(live, before, rules)
        has_bom = path.read_bytes().startswith(_BOM.encode())
        content = ((_BOM if has_bom else "") + new).encode()
        replace(path, content)
    return Saved(before, content_digest(content))
