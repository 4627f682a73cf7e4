"""The finding about a store's Super Admins."""

import pytest

from service.checks.super_admins import super_admins_finding
from service.orders.state.per_store.super_admins import SuperAdmins
from tests.fakes.stacks.checks import lines

NOW = 1_768_078_800.0


@pytest.mark.parametrize(
    ("known", "start"),
    [
        (SuperAdmins(), "ok  Super Admins  not read yet; the workers do it at their start."),
        (SuperAdmins(read_at=NOW - 720, customers={1: 150}), "ok  Super Admins  1 Super Admin known, read 12 minutes"),
        (SuperAdmins(read_at=NOW), "ok  Super Admins  0 Super Admins known, read 0 minutes ago."),
        (
            SuperAdmins(read_at=NOW - 7260, customers={1: 150, 2: 151}),
            "warning  Super Admins  2 Super Admins known, read 121 minutes ago. Until they are read, a Create is sent",
        ),
    ],
)
def test_it_says_how_many_are_known_and_since_when(known: SuperAdmins, start: str) -> None:
    (line,) = lines([super_admins_finding("abc123", known, NOW)])
    assert line.startswith(start)
