"""``enrich init``: what it refuses."""

from pathlib import Path

import pytest

from tests.fakes.cli import CommandResult, Enrich
from tests.service.cli.init.conftest import FLAGS


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
