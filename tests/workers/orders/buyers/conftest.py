"""Rules that name the buyer or the Company, and a store with Companies and people."""

from typing import Any

import pytest
from redis.asyncio import Redis

from service.orders.state.order_entry import Entry, Status
from service.orders.state.per_store.super_admins import MAX_AGE_S, SuperAdminBook, SuperAdmins
from service.sandbox.demo import DEMO_STORE_HASH
from tests.workers.stacks.people_stack import SUE, OpenPeople, PeopleStack
from tests.workers.stacks.stack import RULES, OpenStack

PO = "[po_number]\nfrom = \"order.billing_address.form_fields[?name=='PO Number'].value | [0]\"\n"
FIELD = '[extra_fields]\n"Account No" = {rule}\n'
NEITHER = PO + FIELD.format(rule='{ value = "web" }')
"""Rules that name neither the user nor the Company."""
ACCOUNT = """{ from = 'company.extraFields."ERP Account"'KEYS }"""
REQUIRED = PO + FIELD.format(rule=ACCOUNT.replace("KEYS", ", required = true"))
DEFAULT = PO + FIELD.format(rule=ACCOUNT.replace("KEYS", ', default = "NONE"'))
ONLY_COMPANY = FIELD.format(rule=ACCOUNT.replace("KEYS", ""))
USER = PO + FIELD.format(rule="""{ from = 'user.extraFields."Employee No"', default = "NONE" }""")
USER_REQUIRED = PO + FIELD.format(rule="""{ from = 'user.extraFields."Employee No"', required = true }""")
SKIPPED = (Status.SKIPPED, "not_a_company_user")


def outcome(entry: Entry) -> tuple[Status, str | None]:
    return entry.status, entry.reason


@pytest.fixture
def open_people(open_stack: OpenStack) -> OpenPeople:
    """Opens a store with these rules, which follows orders for a day. Its book of Super Admins has just been read; Sue
    is in it."""

    async def build(rules: str = RULES, *, keys: dict[str, Any] | None = None, **options: Any) -> PeopleStack:
        stack = await open_stack(**options)
        await stack.knows_super_admins(SUE)
        return PeopleStack(stack, rules, **{"follow": "24h", **(keys or {})})

    return build


async def set_book(redis: Redis, known: SuperAdmins) -> None:
    await SuperAdminBook(redis).write(DEMO_STORE_HASH, known)


async def book_is(people: PeopleStack, state: str) -> None:
    now = people.clock()
    match state:
        case "missing":
            await people.redis.delete(f"enrich:super-admins:{DEMO_STORE_HASH}")
        case "incomplete":
            await set_book(people.redis, SuperAdmins(read_at=None, customers={1: 4711}))
        case "old":
            await set_book(people.redis, SuperAdmins(read_at=now - MAX_AGE_S - 1, customers={1: 4711}))
        case "garbage":
            await people.redis.set(f"enrich:super-admins:{DEMO_STORE_HASH}", "[]")


SUBSIDIARY = {"id": 5009, "name": "Harbor Foods East"}
