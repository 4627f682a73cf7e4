"""The page for developers against the code: the tree, the steps, where things are, dependencies, targets."""

import ast
import re
import tomllib
from itertools import chain
from pathlib import Path

import pytest

from tests.fakes.pages import DEVELOPMENT, README, ROOT, names

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
STEPS = DEVELOPMENT.rows("step")
WHERE = DEVELOPMENT.rows("behaviour")


def test_every_file_of_the_tree_exists() -> None:
    (tree,) = [text for _, text in DEVELOPMENT.blocks if "├── " in text]
    missing, folders = [], [ROOT]
    for line in tree.splitlines():
        # "├── " and "│   └── " are four columns a level.
        drawn = re.match(r"(?:│   |    )*(?:[├└]── )?", line)
        assert drawn
        depth = len(drawn[0]) // 4
        entries = re.findall(r"(?:^|(?<= ))[\w-]+(?:\.py|/)(?= |$)", line[len(drawn[0]) :])
        assert entries, line
        folder = folders[depth]
        missing += [str(folder / entry) for entry in entries if not (folder / entry).exists()]
        folders[depth + 1 :] = [folder / entries[0]]
    assert missing == []


def test_the_tree_fits_on_a_screen_and_shows_every_folder_of_the_code() -> None:
    (tree,) = [text for _, text in DEVELOPMENT.blocks if "├── " in text]
    assert len(tree.splitlines()) <= 60
    folders = {path.parent for part in ("service", "workers") for path in (ROOT / part).glob("*/__init__.py")}
    assert folders
    assert [folder.name for folder in sorted(folders) if folder.name != "lua" and f"{folder.name}/" not in tree] == []


@pytest.mark.parametrize("row", [pytest.param(row, id=row[0]) for row in STEPS])
def test_a_step_names_functions_that_its_files_have(row: list[str]) -> None:
    functions, files = names(row[1]), names(row[2])
    assert functions
    assert files
    there = set(chain.from_iterable(defined_in(ROOT / file) for file in files))
    assert set(functions) <= there


def defined_in(path: Path) -> set[str]:
    """The functions and methods of a module: ``end``, ``Receiver.receive``."""
    found = set()
    for node in ast.parse(path.read_text()).body:
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                found.add(name)
            case ast.ClassDef(name=name, body=body):
                methods = (item for item in body if isinstance(item, ast.FunctionDef | ast.AsyncFunctionDef))
                found |= {f"{name}.{method.name}" for method in methods}
    return found


def test_at_least_thirty_behaviours_have_a_file() -> None:
    assert len(WHERE) >= 30
    assert re.findall(r"(\d+) behaviours", DEVELOPMENT.text) == [str(len(WHERE))]
    files = [names(row[1]) for row in WHERE]
    assert [row[0] for row, named in zip(WHERE, files, strict=True) if not named] == []
    assert [name for named in files for name in named if not (ROOT / name).is_file()] == []


def test_every_make_target_is_explained() -> None:
    targets = re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE)
    explained = {name.removeprefix("make ") for row in DEVELOPMENT.rows("target") for name in names(row[0])}
    assert explained == set(targets) - {"help"}


def test_every_dependency_is_in_the_table_with_a_reason() -> None:
    wanted = [*PROJECT["dependencies"], *chain(*PROJECT["optional-dependencies"].values())]
    listed = [name for row in DEVELOPMENT.rows("dependency") for name in names(row[0])]
    assert sorted(listed) == sorted(re.match(r"[\w-]+", requirement)[0] for requirement in wanted)  # type: ignore[index]
    assert all(row[1] for row in DEVELOPMENT.rows("dependency"))


def test_every_python_version_that_is_named_is_the_required_one() -> None:
    assert set(re.findall(r"Python (3\.\d+)", README.text)) == {PROJECT["requires-python"].removeprefix(">=")}
