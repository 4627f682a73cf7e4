"""Which is wrong where BigCommerce refuses a token: the token or the hash."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest

from service.checks.access.token_access import TOKEN
from service.checks.access.token_owner import explain_refusal, shared_token_findings
from service.checks.findings import Finding, Level
from service.stores import Store
from tests.fakes.stacks.checks import configuration, lines
from tests.fakes.upstream import FakeUpstream, transport_to

REFUSED = Finding(Level.ERROR, "aaa", TOKEN, "BigCommerce refuses it.", "Compare it.")
SETTINGS = "in the store's control panel, Settings, Store-level API accounts"


def a_store(store: str, token: str) -> str:
    return f'[stores.{store}]\naccess_token = "{token}"\nclient_secret = "s"\npo_number = "order.id"\n'


def stores(folder: Path, **tokens: str) -> list[Store]:
    text = "".join(a_store(store, token) for store, token in tokens.items())
    return [each.store for each in configuration(folder, text).stores.values()]


def accepting(right: Mapping[str, str]) -> FakeUpstream:
    """A BigCommerce whose stores, by hash, have these tokens."""

    def answer(request: httpx.Request) -> Any:
        store = request.url.path.split("/")[2]
        return [] if right.get(store) == request.headers["X-Auth-Token"] else (401, {"title": "Unauthorized"})

    upstream = FakeUpstream()
    upstream.on("GET /v2/orders", answer)
    return upstream


async def explained(known: list[Store], right: Mapping[str, str]) -> str:
    async with transport_to(accepting(right)) as transport:
        (line,) = lines([await explain_refusal(transport, known[0], known, REFUSED)])
    return line


@pytest.mark.parametrize(
    ("right", "line"),
    [
        (
            {"aaa": "token-b", "bbb": "token-a"},
            "error  access_token  BigCommerce refuses it for this store: it is the token of store bbb."
            " Write the token of aaa here. If the two are swapped, correct both.",
        ),
        (
            {"aaa": "token-b"},
            "error  access_token  BigCommerce refuses it, but accepts that of store bbb here: the hash is right."
            " Are the tokens of aaa and bbb swapped?",
        ),
        (
            {"bbb": "token-b"},
            f"error  access_token  BigCommerce refuses it. First compare the hash: the API path of the API account"
            f" ({SETTINGS}) has aaa after /stores/. If so, compare the token, or make a new one there.",
        ),
    ],
)
async def test_the_other_stores_of_the_file_tell_which_is_wrong(
    tmp_path: Path, right: dict[str, str], line: str
) -> None:
    assert await explained(stores(tmp_path, aaa="token-a", bbb="token-b"), right) == line


def test_a_token_of_two_stores_is_a_warning_that_does_not_show_it(tmp_path: Path) -> None:
    found = shared_token_findings(stores(tmp_path, aaa="hush", bbb="other", ccc="hush"))
    assert [(finding.store, finding.level) for finding in found] == [("ccc", Level.WARNING)]
    assert "the same as that of store aaa" in found[0].message
    assert "hush" not in json.dumps([finding.as_dict() for finding in found])
