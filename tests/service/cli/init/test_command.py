"""``enrich init``: what it writes can be read by every command, and it writes nothing that cannot."""

import errno
import os
import pty
import re
import signal
import stat
import subprocess
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service.configuration import Configuration, load_configuration
from service.sandbox.specs import SANDBOX_ACCESS_TOKEN
from service.stores.rule_templates import RECIPES, Place
from service.stores.writer import NewStore, as_toml, toml_text
from tests.fakes.cli import COMMAND, CommandResult, Enrich

FLAGS = ("--store", "abc123", "--po-from", "form_field", "--po-field", "PO Number")
SECRETS = {"ABC123_ACCESS_TOKEN": "token", "ABC123_CLIENT_SECRET": "secret"}


@pytest.fixture(autouse=True)
def stores_file(folder: Path) -> Path:
    """Where the file will be: it is not there yet."""
    path = folder / "stores.toml"
    path.unlink()
    return path


def load(path: Path, environ: Mapping[str, str] = SECRETS) -> Configuration:
    return load_configuration(path, environ)


# ── what is written ─────────────────────────────────────────────────────────────────────────────────────────────


def test_the_file_loads_once_the_variables_are_set(enrich: Enrich, stores_file: Path) -> None:
    ran = enrich(*("init", *FLAGS, "--name", "Abc123", "--incomplete", "wait"))

    assert (ran.code, ran.out) == (0, "")
    configuration = load(stores_file)
    store = configuration.stores["abc123"].store
    assert configuration.literal_secrets == ()
    assert (store.name, store.incomplete_orders, store.existing_values) == ("Abc123", "wait", "keep")
    assert store.po_number
    assert store.po_number.sources == ("order.billing_address.form_fields[?name=='PO Number'].value | [0]",)


def test_next_steps_are_printed_on_stderr(enrich: Enrich) -> None:
    assert enrich("init", *FLAGS).err == (
        "Wrote stores.toml.\n"
        "Next, in this order:\n"
        "  1. Set these environment variables where `enrich` runs. Their values are in the store's API account:\n"
        "       ABC123_ACCESS_TOKEN\n"
        "       ABC123_CLIENT_SECRET\n"
        "  2. See what is wrong, and what to do (the webhooks do not exist yet):\n"
        "       enrich check\n"
        "  3. See what the rules give for your last orders; this sends nothing:\n"
        "       enrich preview --last 20\n"
        "  4. Run receiver and worker, and a proxy with a certificate in front of them:\n"
        "       enrich up\n"
        "  5. Register the webhooks, from another shell:\n"
        "       enrich hooks register --url https://<your host>\n"
    )


def test_comments_name_the_variables_and_explain_each_key(enrich: Enrich) -> None:
    text = enrich("init", *FLAGS, "--output", "-").out
    assert all(f"#   {name}" in text for name in SECRETS)
    assert all(
        key in text for key in ("# channels", "# required", "# name", "existing_values", "deploy/docs/recipes.md")
    )


def test_every_line_that_is_commented_out_is_valid(enrich: Enrich, stores_file: Path) -> None:
    keys = ("name", "channels", "required", "[stores", '"Cost')
    lines = enrich("init", *FLAGS, "--output", "-").out.splitlines()
    uncommented = [
        line.removeprefix("# ") if line.startswith(tuple(f"# {key}" for key in keys)) else line for line in lines
    ]
    stores_file.write_text("\n".join(uncommented))

    assert sum(line != taken for line, taken in zip(lines, uncommented, strict=True)) == len(keys)
    store = load(stores_file).stores["abc123"].store
    assert (store.name, store.channels, list(store.extra_fields)) == ("Great Buys", frozenset({1}), ["Cost Center"])
    assert store.po_number
    assert store.po_number.required


def test_secrets_may_be_files_of_a_folder(enrich: Enrich, folder: Path, stores_file: Path) -> None:
    (folder / "secrets").mkdir()
    ran = enrich("init", *FLAGS, "--secrets", f"file:{folder}/secrets/")
    named = [line.strip() for line in ran.err.splitlines() if "secrets/" in line]
    assert named == [f"{folder}/secrets/abc123_access_token", f"{folder}/secrets/abc123_client_secret"]
    for name in named:
        Path(name).write_text(f"{Path(name).name}\n")

    store = load(stores_file, {}).stores["abc123"].store
    assert [token.get_secret_value() for token in store.access_tokens] == ["abc123_access_token"]
    assert [secret.get_secret_value() for secret in store.client_secrets] == ["abc123_client_secret"]
    assert all(f"#   {name}" in stores_file.read_text() for name in named)


def test_secrets_of_docker_say_where_they_are_on_the_machine(enrich: Enrich) -> None:
    ran = enrich("init", *FLAGS, "--secrets", "file:/run/secrets")
    assert "with Docker, deploy/secrets/ on this machine" in ran.err


def test_a_file_for_the_sandbox_needs_nothing_else(enrich: Enrich, stores_file: Path) -> None:
    ran = enrich("init", "--sandbox")

    assert (ran.code, ran.out) == (0, "")
    configuration = load(stores_file, {})
    configured = configuration.stores["sandbox"]
    assert configuration.endpoints.is_local
    assert configuration.endpoints.b2b_api_url == configuration.endpoints.api_url == "http://127.0.0.1:9100"
    assert configured.rules.evaluate(document_with("PO Number", "A-1")).po_number == "A-1"
    assert [token.get_secret_value() for token in configured.store.access_tokens] == [SANDBOX_ACCESS_TOKEN]
    steps = [line.strip() for line in ran.err.splitlines() if line.startswith("       ")]
    assert [step.split()[0] for step in steps] == ["enrich", "enrich", "enrich", "curl", '\'{"customer_id":', "enrich"]


def test_extra_fields_are_written_in_their_order(enrich: Enrich, stores_file: Path) -> None:
    words = ("--extra-field", "Cost Center=metafields.checkout.cost_center", "--extra-field", "By=order.id == `1`")
    assert enrich("init", *FLAGS, *words).code == 0
    fields = load(stores_file).stores["abc123"].store.extra_fields
    assert [(name, rule.sources) for name, rule in fields.items()] == [
        ("Cost Center", ("metafields.checkout.cost_center",)),
        ("By", ("order.id == `1`",)),
    ]


@pytest.mark.parametrize(
    ("name", "prefix"),
    [
        (None, "ABC123"),
        ("Great Buys", "GREAT_BUYS"),
        ("Müller & Söhne, Köln", "MULLER_SOHNE_KOLN"),
        ("7 Seas", "STORE_7_SEAS"),
        ("株式会社", "ABC123"),
    ],
)
def test_variables_are_named_after_the_store(name: str | None, prefix: str) -> None:
    new = NewStore("abc123", name)
    assert (new.access_token, new.client_secret) == (f"{prefix}_ACCESS_TOKEN", f"{prefix}_CLIENT_SECRET")


def test_a_hash_that_begins_with_a_digit_still_makes_a_variable() -> None:
    assert NewStore("9abc").access_token == "STORE_9ABC_ACCESS_TOKEN"


# Any text but half a surrogate pair, which no terminal sends as UTF-8.
texts = st.text(st.characters(exclude_categories=["Cs"]))
named = texts.filter(str.strip)


@given(text=texts)
def test_any_text_is_the_same_after_toml(text: str) -> None:
    assert tomllib.loads(f"{toml_text(text)} = {toml_text(text)}") == {text: text}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], max_examples=50)
@given(
    name=named,
    place=st.sampled_from([place for place, recipe in RECIPES.items() if recipe.has_field]),
    field=named.filter(lambda text: "." not in text),
    fields=st.dictionaries(named, st.just("order.id"), max_size=3),
)
def test_any_names_can_be_written_and_lead_to_their_field(
    tmp_path: Path, name: str, place: Place, field: str, fields: dict[str, str]
) -> None:
    recipe = RECIPES[place]
    source = recipe.source(f"checkout.{field}" if place in (Place.METAFIELD, Place.CART_METAFIELD) else field)
    new = NewStore("abc123", name, po_number={"from": source}, extra_fields=fields)
    configuration = load_configuration(
        tmp_path / "stores.toml", {new.access_token: "token", new.client_secret: "secret"}, text=as_toml(new)
    )

    configured = configuration.stores["abc123"]
    assert (configured.store.name, list(configured.store.extra_fields)) == (name, list(fields))
    assert configured.rules.evaluate(document_with(field, "A-1")).po_number == "A-1"


def document_with(field: str, value: str) -> dict[str, Any]:
    """An order that has the value in a field of that name wherever there are fields."""
    address = {"form_fields": [{"name": "Other", "value": "no"}, {"name": field, "value": value}]}
    return {
        "order": {"id": 1, "billing_address": address},
        "shipping_addresses": [address],
        "products": [{"product_options": [{"display_name": field, "display_value": value}]}],
        "metafields": {"checkout": {field: value}},
        "cart": {"metafields": {"checkout": {field: value}}},
        "customer": {"attributes": {field: value}, "form_fields": {field: value}},
        "company": {"extraFields": {field: value}},
        "user": {"extraFields": {field: value}},
    }


# ── where it is written ─────────────────────────────────────────────────────────────────────────────────────────


def test_the_file_is_the_one_that_commands_read(enrich: Enrich, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENRICH_CONFIG", "etc.toml")
    ran = enrich("init", *FLAGS)
    assert (folder / "etc.toml").exists()
    assert " enrich check\n" in ran.err


def test_next_steps_name_a_file_in_another_place(enrich: Enrich, folder: Path) -> None:
    assert " ENRICH_CONFIG='my stores.toml' enrich check\n" in enrich("init", *FLAGS, "--output", "my stores.toml").err
    assert [path.name for path in folder.iterdir() if path.is_file()] == ["my stores.toml"]


def test_an_existing_file_is_not_changed(enrich: Enrich, stores_file: Path) -> None:
    stores_file.write_text("mine")
    assert enrich("init", *FLAGS) == CommandResult(
        2,
        "",
        "stores.toml: already exists. To add a store, append the output of --output - to it."
        " To replace the file, use --force.\n",
    )
    assert stores_file.read_text() == "mine"


def test_force_replaces_it(enrich: Enrich, stores_file: Path) -> None:
    stores_file.write_text("mine")
    assert enrich("init", *FLAGS, "--force").code == 0
    assert list(load(stores_file).stores) == ["abc123"]


def test_another_store_is_appended_from_stdout(enrich: Enrich, stores_file: Path) -> None:
    enrich("init", *FLAGS)
    other = enrich("init", "--store", "def456", "--po-from", "comment", "--output", "-")
    with stores_file.open("a") as file:
        file.write(other.out)

    assert other.code == 0
    assert "Wrote" not in other.err
    assert list(load(stores_file, SECRETS | {"DEF456_ACCESS_TOKEN": "t", "DEF456_CLIENT_SECRET": "s"}).stores) == [
        "abc123",
        "def456",
    ]


def test_the_file_has_the_usual_mode_and_a_link_stays_a_link(enrich: Enrich, folder: Path, stores_file: Path) -> None:
    (folder / "real.toml").write_text("old")
    stores_file.symlink_to("real.toml")
    assert enrich("init", *FLAGS, "--force").code == 0

    usual = folder / "usual"
    usual.touch()
    assert stores_file.is_symlink()
    assert stat.S_IMODE((folder / "real.toml").stat().st_mode) == stat.S_IMODE(usual.stat().st_mode)


@pytest.mark.parametrize(
    ("output", "why"),
    [("none/stores.toml", "No such file"), ("data", "it is not a file"), ("pipe", "it is not a file")],
)
def test_a_path_that_cannot_be_written_is_named(enrich: Enrich, folder: Path, output: str, why: str) -> None:
    (folder / "data").mkdir(exist_ok=True)
    os.mkfifo(folder / "pipe")
    ran = enrich("init", *FLAGS, "--force", "--output", output)
    assert ran.code == 2
    assert ran.err.startswith(f"{output}: cannot be written ({why}")
    assert {path.name for path in folder.iterdir()} == {"data", "pipe"}
    assert (folder / "pipe").is_fifo()


def test_a_full_disk_leaves_the_old_file_unchanged(
    enrich: Enrich, folder: Path, stores_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write_half(path: Path, text: str, **_: Any) -> int:
        path.write_bytes(text[:10].encode())
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    stores_file.write_text("mine")
    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_text", write_half)
        ran = enrich("init", *FLAGS, "--force")

    assert (ran.code, stores_file.read_text()) == (2, "mine")
    assert ran.err.startswith("stores.toml: cannot be written (No space left on device).")
    assert [path.name for path in folder.iterdir() if path.is_file()] == ["stores.toml"]


# ── mistakes ────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (
            ("--store", "ABC/1", *FLAGS[2:]),
            "--store ABC/1: is not a store hash. It is the part after /stores/ in the store's API path: letters and"
            " digits. The whole path works, too.",
        ),
        (
            (*FLAGS, "--secrets", "/run/secrets"),
            "--secrets /run/secrets: is neither env nor file:FOLDER. Write file:/run/secrets.",
        ),
        (
            ("--sandbox", "--store", "abc123", "--secrets", "file:x"),
            "--sandbox: cannot be used with --store, --secrets. The sandbox's store is known. Leave them out, or change"
            " the file afterwards.",
        ),
        (
            (*FLAGS, "--extra-field", "Cost Center=metafield.a.b"),
            'stores.toml: [stores.abc123.extra_fields."Cost Center"] from: the order document has no "metafield",'
            ' in metafield.a.b. Did you mean "metafields"?',
        ),
        (
            (*FLAGS, "--name", " "),
            "stores.toml: [stores.abc123] name: the text is empty. Write something, or leave the key out.",
        ),
        (
            (*FLAGS, "--extra-field", "Cost Center"),
            "--extra-field: is not NAME=EXPRESSION. For example: 'Cost Center=metafields.checkout.cost_center'.",
        ),
        (
            (*FLAGS, "--extra-field", "A=order.id", "--extra-field", " A =order.id"),
            "--extra-field: names the same field twice. Each field can have only one rule.",
        ),
        (
            ("--store", "abc123", "--po-from", "metafield", "--po-field", "po_number"),
            "--po-field: is not the namespace and key of a metafield."
            " Write namespace.key, such as checkout.po_number. If there are more dots, write the rule into the file.",
        ),
        (
            ("--store", "abc123", "--po-from", "form_field", "--po-field", " "),
            "--po-field: is empty. Write the name as the store has it.",
        ),
        (
            ("--store", "abc123", "--po-from", "comment", "--po-field", "PO"),
            "--po-field: cannot be used with --po-from comment. Leave it out.",
        ),
        (
            ("--store", "abc123", "--po-from", "none"),
            "--po-from none: needs at least one extra field."
            " For example: --extra-field 'Cost Center=metafields.checkout.cost_center'.",
        ),
        ((*FLAGS, "--name", "\udcff"), "enrich init: got text that is not UTF-8. Check the terminal's locale."),
    ],
)
def test_a_mistake_is_one_line_and_nothing_is_written(
    enrich: Enrich, stores_file: Path, words: tuple[str, ...], line: str
) -> None:
    assert enrich("init", *words) == CommandResult(2, "", f"{line}\n")
    assert not stores_file.exists()


def test_all_mistakes_are_told_at_once(enrich: Enrich, stores_file: Path) -> None:
    words = ("--store", "a/b", "--po-from", "metafield", "--po-field", "po", "--extra-field", "A")
    ran = enrich("init", *words)
    assert ran.code == 2
    assert [line.partition(":")[0] for line in ran.err.splitlines()] == ["--store a/b", "--po-field", "--extra-field"]
    assert not stores_file.exists()


@pytest.mark.parametrize("name", ["a.b.c", ".key", "namespace.", "."])
def test_a_metafield_has_one_namespace_and_one_key(enrich: Enrich, name: str) -> None:
    ran = enrich("init", "--store", "abc123", "--po-from", "metafield", "--po-field", name)
    assert ran.err.startswith("--po-field: is not the namespace and key of a metafield.")


@pytest.mark.parametrize(
    ("words", "missing"),
    [
        ((), "--store and --po-from (one of form_field, "),
        (("--store", "abc123"), "--po-from (one of form_field, "),
        (("--store", "abc123", "--po-from", "form_field"), "--po-field without a terminal."),
        (("--po-from", "comment"), "--store without a terminal."),
    ],
)
def test_without_a_terminal_the_missing_options_are_named(
    enrich: Enrich, stores_file: Path, words: tuple[str, ...], missing: str
) -> None:
    ran = enrich("init", *words)
    assert (ran.code, ran.out, ran.err.count("\n")) == (2, "", 1)
    assert ran.err.startswith(f"enrich init: needs {missing}")
    assert not stores_file.exists()


# ── questions, on a real terminal ───────────────────────────────────────────────────────────────────────────────


@contextmanager
def on_terminal(*words: str) -> Iterator[tuple["subprocess.Popen[str]", int]]:
    """Run it on a terminal; the process, and the file descriptor of the person's side."""
    person, terminal = pty.openpty()
    command = [*COMMAND, "init", *words]
    try:
        with subprocess.Popen(
            command, stdin=terminal, stderr=terminal, stdout=subprocess.PIPE, encoding="utf-8"
        ) as process:
            try:
                yield process, person
            finally:
                process.kill()
    finally:
        os.close(person)
        os.close(terminal)


def answered(typed: str, *words: str) -> tuple[int, str, str]:
    """Type this; the exit code, stdout, and what the terminal showed."""
    with on_terminal(*words) as (process, person):
        os.write(person, typed.encode())
        out, _ = process.communicate(timeout=50)
        return process.returncode, out, os.read(person, 65536).decode()


@pytest.mark.integration
def test_a_person_is_asked_for_what_is_missing(stores_file: Path) -> None:
    code, out, shown = answered("abc123\n99\n4\ncheckout.po\n")

    assert (code, out) == (0, "")
    assert "Store hash" in shown
    assert "Enter a number from 1 to 12." in shown
    assert "Name of the field [checkout.po_number]" in shown
    store = load(stores_file).stores["abc123"].store
    assert store.po_number
    assert store.po_number.sources == ("metafields.checkout.po",)


@pytest.mark.integration
def test_a_wrong_answer_is_told_and_asked_for_again_at_once(stores_file: Path) -> None:
    path = "https://api.bigcommerce.com/stores/ABC123/v3/"
    code, _, shown = answered(f"www.great/buys\n{path}\n4\npo_number\ncheckout.po_number\n")

    assert code == 0
    # What was typed ahead is echoed first, so only the order of what the command wrote counts.
    told = re.findall(r"Store hash|Name of the field|is not a store hash|is not the namespace and key", shown)
    assert told == [
        "Store hash",
        "is not a store hash",
        "Store hash",
        "Name of the field",
        "is not the namespace and key",
        "Name of the field",
    ]
    assert list(load(stores_file).stores) == ["abc123"]


@pytest.mark.integration
def test_questions_are_not_part_of_the_file(folder: Path) -> None:
    code, out, shown = answered("\n\n", "--store", "abc123", "--output", "-")

    assert code == 0
    assert "Where do buyers leave the PO number?" in shown
    assert out.startswith("# This file contains no secrets.")
    assert tomllib.loads(out)["stores"]["abc123"]["po_number"]


@pytest.mark.integration
def test_end_of_input_writes_nothing(stores_file: Path) -> None:
    code, out, shown = answered("\x04")

    assert (code, out) == (130, "")
    assert "Traceback" not in shown
    assert not stores_file.exists()


@pytest.mark.integration
def test_an_interrupt_writes_nothing(stores_file: Path) -> None:
    with on_terminal() as (process, person):
        shown = ""
        while "Store hash" not in shown:
            shown += os.read(person, 1024).decode()
        # One that comes just before Python begins to wait for the answer is handled only after it: then press it again.
        for _ in range(50):
            process.send_signal(signal.SIGINT)
            with suppress(subprocess.TimeoutExpired):
                process.wait(1)
                break
        out, _ = process.communicate(timeout=50)

    assert (process.returncode, out) == (130, "")
    assert not stores_file.exists()
