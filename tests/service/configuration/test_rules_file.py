"""Rules are saved into the stores file as it was when they were read, or not at all."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from service.configuration import rules_file
from service.configuration.reloading import LiveConfiguration
from service.errors import ConfigError
from service.stores import content_digest
from service.stores.editing.file_replacement import FileChanged
from tests.fakes.console import STORES

RULES = '[stores.abc123]\npo_number = "order.staff_notes"\n'


@pytest.fixture
def live(tmp_path: Path) -> LiveConfiguration:
    path = tmp_path / "stores.toml"
    path.write_text(STORES)
    return LiveConfiguration(path, {})


def test_the_byte_order_mark_and_the_line_breaks_of_a_file_stay(live: LiveConfiguration) -> None:
    content = b"\xef\xbb\xbf" + STORES.replace("\n", "\r\n").encode()
    live.path.write_bytes(content)
    before, _ = rules_file.read(live, "abc123")
    assert before.digest == content_digest(content)
    assert "\r" not in before.rules
    saved = rules_file.save(live, "abc123", RULES, before.digest)
    written = live.path.read_bytes()
    assert content_digest(written) == saved.digest
    lines = content.splitlines(keepends=True)
    kept = [line for line in lines if not line.startswith((b"po_number = {", b"extra_fields"))]
    kept.insert(kept.index(b'client_secret = "s3cret-of-abc123"\r\n') + 1, b'po_number = "order.staff_notes"\r\n')
    assert written == b"".join(kept)


def test_of_many_who_save_at_once_one_does(live: LiveConfiguration) -> None:
    opened = rules_file.read(live, "abc123")[0].digest

    def save(number: int) -> str:
        try:
            rules_file.save(live, "abc123", RULES.replace("staff_notes", f"id_{number}"), opened)
        except FileChanged:
            return "changed"
        return f"order.id_{number}"

    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(save, range(8)))
    assert results.count("changed") == 7
    (saved,) = set(results) - {"changed"}
    assert saved in live.path.read_text()


def test_a_mistake_elsewhere_in_the_file_stops_a_save(live: LiveConfiguration) -> None:
    opened = rules_file.read(live, "abc123")[0].digest
    with pytest.raises(ConfigError, match="this is not JMESPath"):
        rules_file.save(live, "abc123", RULES.replace("order.staff_notes", "order.("), opened)
    live.path.write_text(STORES.replace("[stores.other1]", "[stores.other1]\ntypo = 1"))
    with pytest.raises(rules_file.UnreadableFile, match="typo: unknown key"):
        rules_file.save(live, "abc123", RULES, content_digest(live.path.read_bytes()))
