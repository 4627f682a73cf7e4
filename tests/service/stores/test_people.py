"""The table ``[console.people]`` of a stores file."""

import pytest

from tests.fakes.stores_file import STORE, folder, load, problem, problems

__all__ = ["folder"]

pytestmark = pytest.mark.usefixtures("folder")


def people(lines: str) -> str:
    return f"[console.people]\n{lines}\n{STORE}"


def test_a_file_without_people_has_none() -> None:
    assert load(STORE).people == {}


def test_people_have_a_role_and_all_stores_or_some() -> None:
    found = load(
        people('"ana@example.com" = { role = "operator", stores = ["abc123"] }\nben = { role = "admin" }')
    ).people
    assert {name: (rights.role, rights.stores) for name, rights in found.items()} == {
        "ana@example.com": ("operator", ("abc123",)),
        "ben": ("admin", None),
    }


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (
            'ana = { role = "root" }',
            "stores.toml: [console.people.ana] role: expected 'viewer', 'operator' or 'admin'. "
            'For example: role = "operator".',
        ),
        ("ana = {}", 'stores.toml: [console.people.ana] role: is missing. For example: role = "operator".'),
        (
            'ana = { role = "viewer", stores = [] }',
            "stores.toml: [console.people.ana] stores: the list is empty, so they would see nothing. "
            "Remove the key to let them see all stores.",
        ),
        (
            'ana = { role = "viewer", stores = ["abc12"] }',
            'stores.toml: [console.people.ana] stores (item 1): the file has no store abc12. Did you mean "abc123"?',
        ),
        (
            'ana = { "rôle" = "viewer", role = "viewer" }',
            'stores.toml: [console.people.ana] "rôle": unknown key. Did you mean "role"?',
        ),
        (
            'ana = { role = "viewer" }\nAna = { role = "admin" }',
            "stores.toml: [console] people: the same person is listed twice (case is ignored). Keep one of the two.",
        ),
    ],
)
def test_a_mistake_names_the_place_and_the_cure(lines: str, message: str) -> None:
    assert problem(people(lines)) == message


def test_all_mistakes_are_told_at_once() -> None:
    found = problems(people('ana = { role = "root" }\n"" = { role = "viewer" }\n[console.peple]'))
    assert len(found) == 3
