"""All Markdown pages: links lead somewhere, and commands, options, targets and files that are named exist."""

import re
from pathlib import Path

import pytest

from tests.fakes.pages import ALL_PAGES, COMMANDS, DOCS, MANUAL, README, ROOT, STORES_FILE, Page, cli_commands


def by_name(page: Page) -> str:
    return str(page.path.relative_to(ROOT))


@pytest.mark.parametrize("page", ALL_PAGES, ids=by_name)
def test_every_relative_link_leads_to_a_file_and_a_heading(page: Page) -> None:
    broken = []
    for file, anchor in page.links:
        target = (page.path.parent / file).resolve() if file else page.path
        if not target.exists() or (anchor and anchor not in Page(target).anchors):
            broken.append(f"{file}#{anchor}")
    assert broken == []


@pytest.mark.parametrize("page", ALL_PAGES, ids=by_name)
def test_headings_that_are_linked_to_have_distinct_anchors(page: Page) -> None:
    if page.path.name != "CHANGELOG.md":  # where each version has an "Added"
        assert len(page.anchors) == len(set(page.anchors))


@pytest.mark.parametrize("page", ALL_PAGES, ids=by_name)
def test_every_file_that_is_named_with_its_folder_exists(page: Page) -> None:
    named = {span for span in page.spans if re.fullmatch(r"(service|workers|tests|deploy)/[\w./-]+", span)}
    # What an administrator puts there, and what Docker reads there.
    named -= {"deploy/stores/", "deploy/secrets/"}
    if page.path.name == "CHANGELOG.md":
        named = set()  # it also names what once was
    assert [name for name in sorted(named) if not (ROOT / name).exists()] == []


def test_the_readme_is_short() -> None:
    assert len(README.text.splitlines()) <= 160


def test_the_readme_shows_the_output_of_the_demo() -> None:
    (shown,) = [text for _, text in README.blocks if "OUTCOME" in text]
    demo = (ROOT / "service" / "cli" / "demo.py").read_text()
    assert shown.splitlines()[-1] in demo
    columns = re.split(r"  +", shown.splitlines()[0])
    assert [column for column in columns if f'"{column}"' not in demo] == []


def test_the_readme_leads_to_every_page_of_the_manual() -> None:
    linked = {(README.path.parent / file).resolve() for file, _ in README.links}
    assert {page.path for page in MANUAL} - {README.path} <= linked


def test_the_index_lists_every_page() -> None:
    linked = {(DOCS / file).resolve() for file, _ in Page(DOCS / "README.md").links}
    pages = {*DOCS.glob("*.md"), *DOCS.glob("*/README.md")} - {DOCS / "README.md"}
    assert {path.resolve() for path in pages} <= linked


def test_every_decision_is_in_the_list_of_decisions() -> None:
    linked = {Path(file).name for file, _ in Page(DOCS / "decisions" / "README.md").links}
    assert linked == {path.name for path in (DOCS / "decisions").glob("0*.md")}


@pytest.mark.parametrize("page", MANUAL, ids=by_name)
def test_every_command_that_is_named_exists_with_its_options(page: Page) -> None:
    known = dict(cli_commands())
    groups = {name.split()[0] for name in known}
    blocks = [text for language, text in page.blocks if not language]
    for words, rest in re.findall(
        r"(?:^|(?<= -- ))enrich ((?:orders |hooks |console |stores |notify |redis )?[a-z]+)(.*)",
        "\n".join([*blocks, *page.spans]),
        re.MULTILINE,
    ):
        assert words in known or words in groups, words
        if words in known:
            options = {option for parameter in known[words].params for option in parameter.opts}
            written = rest.split("#")[0]  # without the comment
            assert set(re.findall(r"(?<!\S)--[a-z-]+", written)) <= options, words


@pytest.mark.parametrize("page", MANUAL, ids=by_name)
def test_every_command_in_running_text_exists(page: Page) -> None:
    names = dict(cli_commands())
    known = {*names, *(name.split()[0] for name in names)}
    # Not the group of systemd's files, nor the namespace of Kubernetes.
    pattern = r"(?<!-g )(?<!--namespace )\benrich ((?:orders |hooks |console |stores |notify |redis )?[a-z]+)\b"
    named = {match for code in page.code for match in re.findall(pattern, code)}
    assert named <= known, named - known


@pytest.mark.parametrize("page", [README, STORES_FILE, COMMANDS], ids=by_name)
def test_every_option_that_is_named_alone_exists(page: Page) -> None:
    known = {option for _, command in cli_commands() for parameter in command.params for option in parameter.opts}
    named = {match for span in page.spans for match in re.findall(r"(?<![\w-])--[a-z][a-z-]*", span)}
    assert named
    assert named <= known, named - known


@pytest.mark.parametrize("page", MANUAL, ids=by_name)
def test_every_make_target_that_is_named_exists(page: Page) -> None:
    known = set(re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {match for code in page.code for match in re.findall(r"\bmake ([a-z-]+)", code)}
    assert named <= known, named - known


def test_the_readme_shows_the_two_targets_to_begin_with() -> None:
    assert re.findall(r"^make ([a-z]+) ", README.text, re.MULTILINE) == ["demo", "test"]
