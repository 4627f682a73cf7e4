"""What is said of TOML as people write it: the line with the place marked, and the right way to write it."""

from pathlib import Path

import pytest

from service.configuration import load_configuration
from service.errors import ConfigError
from service.stores.toml_mistakes import MARK

HEAD = """[stores.abc123]
access_token = "env:TOKEN"
client_secret = "env:SECRET"
"""
PO = 'po_number = "order.id"\n'
ENVIRON = {"TOKEN": "t", "SECRET": "s"}


def problems(folder: Path, text: str | bytes) -> list[str]:
    """The problems of a stores file, without its folder."""
    path = folder / "stores.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ConfigError) as refused:
        load_configuration(path, ENVIRON)
    return [str(problem).replace(f"{folder}/", "") for problem in refused.value.problems]


SPACE = "A key with a space needs quotes. Write: "
QUOTES = "Text is put in quotes. Write: "


@pytest.mark.parametrize(
    ("line", "shown", "cure"),
    [
        (
            'po_number = "company.extraFields."ERP Account""',
            f'po_number = "company.extraFields."{MARK}ERP Account""',
            "Text with double quotes in it is put in single quotes. Write: "
            "`po_number = 'company.extraFields.\"ERP Account\"'`.",
        ),
        (
            "po_number = 'order.form_fields[?name=='PO'].value'",
            f"po_number = 'order.form_fields[?name=='{MARK}PO'].value'",
            "Text with single quotes in it is put in three of them. Write: "
            "`po_number = '''order.form_fields[?name=='PO'].value'''`.",
        ),
        (
            "name = “Great Buys”",
            f"name = {MARK}“Great Buys”",
            'Curly quotes are no quotes in TOML. Write: `name = "Great Buys"`.',
        ),
        ("name = Great Buys", f"name = {MARK}Great Buys", f'{QUOTES}`name = "Great Buys"`.'),
        ("channels = one", f"channels = {MARK}one", f'{QUOTES}`channels = "one"`.'),
        ("follow = True", f"follow = {MARK}True", f"{QUOTES}`follow = true`."),
        (
            "name: Great Buys",
            f"name{MARK}: Great Buys",
            'TOML has = between key and value. Write: `name = "Great Buys"`.',
        ),
        (
            'extra fields = { F = "order.id" }',
            f'extra {MARK}fields = {{ F = "order.id" }}',
            f'{SPACE}`"extra fields" = {{ F = "order.id" }}`.',
        ),
        (
            r'po_number = { from = "order.id", match = "PO\s" }',
            rf'po_number = {{ from = "order.id", match = "PO\s{MARK}" }}',
            "In double quotes, a backslash begins an escape; in single quotes it stays. Write: ",
        ),
        ('name = "Great Buys', f'name = "Great Buys{MARK}', 'The quote is not closed. Write: `name = "Great Buys"`.'),
        (
            "po_number = {",
            f"po_number = {{{MARK}",
            "Everything between { and } must stand on one line.",
        ),
        (
            "[stores.abc123.extra fields]",
            f"[stores.abc123.extra {MARK}fields]",
            'A name with a space needs quotes. Write: `[stores.abc123."extra fields"]`.',
        ),
        ("name =", f"name ={MARK}", "Put text in quotes and a table's name in [brackets]."),
    ],
)
def test_the_line_is_shown_with_its_place_and_the_right_way(tmp_path: Path, line: str, shown: str, cure: str) -> None:
    (found,) = problems(tmp_path, f"{HEAD}{line}\n# the end\n")
    assert found.startswith("stores.toml: line 4, column ")
    assert f" It reads `{shown}`. {cure}" in found
    assert "\n" not in found


@pytest.mark.parametrize(
    ("text", "shown", "cure"),
    [
        ("access_token = “hushhush”", f"access_token = {MARK}“…”", 'Write: `access_token = "…"`.'),
        ("access_token = hushhush", f"access_token = {MARK}…", 'Write: `access_token = "…"`.'),
        (
            "access_token = $GREAT_TOKEN",
            f"access_token = {MARK}$GREAT_TOKEN",
            'Write: `access_token = "env:GREAT_TOKEN"`.',
        ),
        ("[notify]\nslack = https://hooks.example.com/hush", f"slack = {MARK}…", ""),
        ("access_token = $hushhush", f"access_token = {MARK}…", ""),
        ("access_token = env:TOKEN", f"access_token = {MARK}env:TOKEN", 'Write: `access_token = "env:TOKEN"`.'),
        ('client_secret = "hush"hush"', f'client_secret = "…"{MARK}…"', "client_secret = '…\"…'"),
        ("access_token: hushhush", f"access_token{MARK}: …", 'Write: `access_token = "…"`.'),
        ('client_secret = [\n  "env:A",\n  hush=hush,\n]', f"{MARK}…=…,", ""),
        ('client_secret = [\n  "env:A",\n  “hush”,\n]', f"{MARK}“…”,", '"…",'),
        ("webhook_headers = { X = hush }", f"webhook_headers = {{ … = {MARK}… }}", ""),
        ('[stores.abc123.webhook_headers]\n"X-Key" = hushhush', f'"X-Key" = {MARK}…', 'Write: `"X-Key" = "…"`.'),
    ],
)
def test_a_secret_is_never_shown(tmp_path: Path, text: str, shown: str, cure: str) -> None:
    (found,) = problems(tmp_path, f"[stores.abc123]\n{text}\n# the end\n")
    assert "hush" not in found
    assert f" It reads `{shown}`." in found
    assert cure in found


def test_a_table_that_stands_twice_says_where_it_is(tmp_path: Path) -> None:
    (found,) = problems(tmp_path, HEAD + PO + HEAD)
    assert found == (
        f"stores.toml: line 5, column 15: this is not TOML: Cannot declare ('stores', 'abc123') twice. It reads"
        f" `[stores.abc123{MARK}]`. Write each table and each key only once, and all keys of a table below its [name]."
        " It is in line 1 already."
    )


def test_a_key_that_stands_twice_says_where_it_is(tmp_path: Path) -> None:
    (found,) = problems(tmp_path, HEAD + PO + 'access_token = "env:OTHER"\n# the end\n')
    assert found.endswith("below its [name]. It is in line 2 already.")


@pytest.mark.parametrize(
    ("encoding", "place", "words"),
    [
        ("utf-16", "stores.toml", "the stores file is UTF-16 text, as some Windows programs write it."),
        (
            "latin-1",
            "stores.toml: line 4",
            f'the stores file is not UTF-8 text, but most likely WINDOWS-1252. It reads `name = "B{MARK}üro"`.',
        ),
    ],
)
def test_another_encoding_is_named_with_the_way_to_change_it(
    tmp_path: Path, encoding: str, place: str, words: str
) -> None:
    (found,) = problems(tmp_path, f'{HEAD}name = "Büro"\n{PO}'.encode(encoding))
    name = "UTF-16" if encoding == "utf-16" else "WINDOWS-1252"
    cure = f"Save it as UTF-8: in the editor's menu for saving, or with `iconv -f {name} -t UTF-8`."
    assert found == f"{place}: {words} {cure}"


def test_a_secret_in_another_encoding_is_not_shown(tmp_path: Path) -> None:
    (found,) = problems(tmp_path, '[stores.abc123]\naccess_token = "hüshhush"\n'.encode("latin-1"))
    assert "shhush" not in found
    assert f'access_token = "…{MARK}…"' in found


STORE_TABLE = "It belongs to the store: move it above the line [stores.abc123.{}], or below [stores.abc123]."


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            HEAD + '[stores.abc123.po_number]\nfrom = "order.id"\nexisting_values = "keep"\n',
            "stores.toml: [stores.abc123.po_number] existing_values: unknown key. " + STORE_TABLE.format("po_number"),
        ),
        (
            HEAD + '[stores.abc123.extra_fields]\nF = "order.id"\nfollow = "0s"\n',
            "stores.toml: [stores.abc123.extra_fields.follow] from: this is not JMESPath: ",
        ),
        (
            HEAD + PO + "[stores.abc123.extra_fields]\nchannels = [1]\n",
            "stores.toml: [stores.abc123.extra_fields] channels: expected a JMESPath expression in quotes, or a table."
            " channels is a key of the store: move it above the line [stores.abc123.extra_fields].",
        ),
        (
            HEAD + PO + '"Cost Center" = "order.staff_notes"\n',
            'stores.toml: [stores.abc123] "Cost Center": unknown key. If it is an extra field, move it below the line'
            " [stores.abc123.extra_fields].",
        ),
        (
            HEAD + PO + "match = 'PO'\n",
            "stores.toml: [stores.abc123] match: unknown key. It belongs to a rule: write it below"
            " [stores.abc123.po_number], or in { … } of an extra field.",
        ),
        (
            '[po_number]\nfrom = "order.id"\n' + HEAD + PO,
            "stores.toml: [po_number]: unknown key. It belongs to a store: write it below"
            " [stores.<store hash>.po_number].",
        ),
        (
            'api_url = "https://api.example.com"\n' + HEAD + PO,
            "stores.toml: [api_url]: unknown key. It belongs below [bigcommerce].",
        ),
        (
            '[abc123]\naccess_token = "env:TOKEN"\n' + HEAD.replace("abc123", "def456") + PO,
            "stores.toml: [abc123]: unknown key. A store is a table [stores.<store hash>].",
        ),
        (
            '[stores]\naccess_token = "env:TOKEN"\n' + HEAD + PO,
            "stores.toml: [stores.access_token]: expected a table. It belongs to a store: write it below"
            " [stores.<store hash>].",
        ),
        (
            HEAD.replace("env:TOKEN", "$TOKEN") + PO,
            "stores.toml: [stores.abc123] access_token: this is a variable as a shell writes it, and TOML does not"
            ' replace it. Write "env:NAME".',
        ),
        (
            HEAD + PO + "existing_value = 'keep'\n",
            'stores.toml: [stores.abc123] existing_value: unknown key. Did you mean "existing_values"?',
        ),
    ],
)
def test_a_key_in_the_wrong_table_says_where_it_belongs(tmp_path: Path, text: str, expected: str) -> None:
    found = problems(tmp_path, text)
    assert any(problem.startswith(expected) for problem in found), found


def test_a_store_key_below_extra_fields_is_no_expression(tmp_path: Path) -> None:
    (found,) = problems(tmp_path, HEAD + '[stores.abc123.extra_fields]\nF = "order.id"\nfollow = "0s"\n')
    assert found.endswith("follow is a key of the store: move it above the line [stores.abc123.extra_fields].")
