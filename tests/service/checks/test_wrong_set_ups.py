"""A table of wrong set-ups: what is wrong, and the place, the sentence and the cure with which the check names it.

Each row is one line of the check that must be there, from the stores file alone, from a live store, or from Redis.
"""

from collections.abc import Mapping
from pathlib import Path

import pytest

from service.bigcommerce import Transport
from service.bigcommerce.connection_pool import http_client
from service.checks import check_file, check_redis, check_stores
from service.configuration import load_configuration
from service.redis.client import connect
from service.stores import Endpoints
from tests.fakes.redis.failover import redis_on_tcp
from tests.fakes.redis.stub import answering, bulk, hello, stub_redis, web_server
from tests.fakes.sandbox import running_sandbox
from tests.fakes.stacks.checks import lines

TOKENS = """
[stores.abc123]
access_token = "env:TOKEN"
client_secret = "env:SECRET"
"""
PO = 'po_number = "order.customer_message"\n'
HEAD = TOKENS + PO
ENVIRON = {"TOKEN": "t0ken", "SECRET": "s3cret"}
PATTERN = "[stores.abc123.po_number]\nfrom = 'order.customer_message'\nmatch = "
IN = "error  stores.toml: [stores.abc123"


# What is wrong, the file (and the environment, where it is that), and the line of the check, up to its cure.
OF_FILE: list[tuple[str, str, Mapping[str, str], str]] = [
    (
        "store hash in capitals",
        HEAD.replace("abc123", "ABC123"),
        {},
        "error  stores.toml: [stores.ABC123]  a store hash has",
    ),
    (
        "store hash as a path",
        HEAD.replace("abc123", '"stores/abc123/v3"'),
        {},
        "error  stores.toml: [stores.stores/abc123/v3]  a store hash has lower-case letters and digits only. It is what"
        " follows /stores/ in the store's API path.",
    ),
    (
        "no way to verify webhooks",
        HEAD.replace('client_secret = "env:SECRET"\n', ""),
        {},
        f"{IN}] client_secret  is missing",
    ),
    ("no token", HEAD.replace('access_token = "env:TOKEN"\n', ""), {}, f"{IN}] access_token  is missing. For"),
    ("nothing to do", TOKENS, {}, f"{IN}] po_number  is missing, and there are no extra_fields"),
    (
        "variable not set",
        HEAD.replace("env:TOKEN", "env:TOKN"),
        {},
        f"{IN}] access_token  the environment variable TOKN is not set. Set it where this program runs.",
    ),
    ("variable is empty", HEAD, {"TOKEN": ""}, f"{IN}] access_token  the environment variable TOKEN is empty. Put"),
    (
        "secret as $NAME",
        HEAD.replace("env:SECRET", "$SECRET"),
        {},
        f"{IN}] client_secret  this is a variable as a shell",
    ),
    (
        "quoted secret",
        HEAD,
        {"SECRET": '"s3cret"'},
        "error  client_secret  the secret has quotes around it, which become",
    ),
    ("secret is the token", HEAD, {"SECRET": "t0ken"}, "error  client_secret  it is the same as access_token"),
    ("placeholder left", HEAD, {"TOKEN": "<token>"}, "error  access_token  this is a placeholder, not a secret."),
    ("secret file missing", HEAD.replace("env:SECRET", "file:nowhere"), {}, f"{IN}] client_secret  the file "),
    ("secret in the file", HEAD.replace("env:SECRET", "s3cret"), {}, "warning  client_secret  the secret itself is"),
    (
        "token of two stores",
        HEAD + HEAD.replace("abc123", "def456"),
        {},
        "warning  access_token  it is the same as that of store abc123, but a token belongs to one store. Make an API",
    ),
    (
        "plain http",
        f'[bigcommerce]\napi_url = "http://api.example.com"\n{HEAD}',
        {},
        "error  stores.toml: [bigcommerce] api_url",
    ),
    (
        "key misspelt",
        HEAD + 'exsting_values = "keep"',
        {},
        f'{IN}] exsting_values  unknown key. Did you mean "existing_values"?',
    ),
    (
        "choice misspelt",
        HEAD + 'existing_values = "overwrite"',
        {},
        f"{IN}] existing_values  expected 'keep' or 'replace'. For example:",
    ),
    ("duration without unit", HEAD + 'follow = "24"', {}, f"{IN}] follow  expected a duration in quotes."),
    (
        "waits longer than the window",
        HEAD + 'late_values = "20s"',
        {},
        f"{IN}] late_values  expected less than or equal to 7",
    ),
    ("no channel", HEAD + "channels = []", {}, f"{IN}] channels  the list is empty, so no order would be enriched."),
    (
        "store key below the rule",
        f'{TOKENS}[stores.abc123.po_number]\nfrom = "order.id"\nfollow = "1h"',
        {},
        f"{IN}.po_number] follow  unknown key. It belongs to the store: move it above the line"
        " [stores.abc123.po_number]",
    ),
    (
        "rule outside a store",
        f'[po_number]\nfrom = "order.id"\n{HEAD}',
        {},
        "error  stores.toml: [po_number]  unknown key. It",
    ),
    (
        "extra field in the store's table",
        HEAD + '"Cost Center" = "order.staff_notes"',
        {},
        f'{IN}] "Cost Center"  unknown key. If it is an extra field, move it below the line'
        " [stores.abc123.extra_fields].",
    ),
    (
        "quotes in quotes",
        HEAD + 'name = "The "best" store"',
        {},
        "error  stores.toml: line 6, column 14  this is not TOML",
    ),
    (
        "curly quotes",
        HEAD + "name = “Best”",
        {},
        "error  stores.toml: line 6, column 8  this is not TOML: Invalid value. It",
    ),
    (
        "root misspelt",
        HEAD.replace("order.customer", "oder.customer"),
        {},
        f'{IN}.po_number] from  the order document has no "oder", in oder.customer_message. Did you mean "order"?',
    ),
    (
        "function misspelt",
        HEAD.replace('"order.customer_message"', "'to_sting(order.id)'"),
        {},
        f"{IN}.po_number] from  there is no function to_sting(), in to_sting(order.id). Did you mean",
    ),
    (
        "text in double quotes",
        TOKENS + "po_number = 'products[?sku==\"A\"].sku'",
        {},
        "warning  po_number  compares with the field",
    ),
    ("backspace in the pattern", TOKENS + PATTERN + r'"\bPO"', {}, "error  po_number  match can never find anything"),
    (
        "slashes around the pattern",
        TOKENS + PATTERN + "'/PO/i'",
        {},
        "warning  po_number  match begins and ends with a slash",
    ),
    (
        "look-ahead in the pattern",
        TOKENS + PATTERN + "'(?=PO)'",
        {},
        f"{IN}.po_number] match  this is not a valid RE2 pattern",
    ),
    (
        "value and from",
        TOKENS + 'po_number = { value = "A", from = "order.id" }',
        {},
        f"{IN}.po_number] from  a rule cannot have both from and value. Remove one of them; for a fallback, use"
        " default.",
    ),
    (
        "match without from",
        TOKENS + "po_number = { value = 'A', match = 'B' }",
        {},
        f"{IN}.po_number] match  match needs from",
    ),
]


@pytest.mark.parametrize(("text", "environ", "line"), [row[1:] for row in OF_FILE], ids=[row[0] for row in OF_FILE])
def test_a_wrong_stores_file(tmp_path: Path, text: str, environ: Mapping[str, str], line: str) -> None:
    path = tmp_path / "stores.toml"
    path.write_text(text)
    found = [each.replace(f"{tmp_path}/", "") for each in lines(check_file(path, {**ENVIRON, **environ})[1])]
    (named,) = [each for each in found if each.startswith(line)] or [f"none of {found}"]
    assert named.startswith(line)
    assert named.rstrip().endswith((".", "?", "]")), "each ends with a cure"
    assert not any(secret in " ".join(found) for secret in ("t0ken", "s3cret"))


LIVE = """
[stores.sandbox]
access_token = "{token}"
client_secret = "s"
follow = "0s"
late_values = "0s"
po_number = "order.customer_message"
extra_fields = {{ {fields} }}
"""
GOOD_TOKEN = "sandbox-access-token"
HOOK = "https://me.example/webhooks/bigcommerce"


async def of_store(
    folder: Path, *, token: str = GOOD_TOKEN, fields: str = "", hook: str | None = HOOK, **spec: object
) -> list[str]:
    """The findings about a store of the sandbox that has these settings."""
    path = folder / "stores.toml"
    path.write_text(LIVE.format(token=token, fields=fields))
    configured = list(load_configuration(path).stores.values())
    async with running_sandbox() as sandbox, http_client() as http:
        if hook:
            body = {"scope": "store/order/created", "destination": hook}
            await sandbox.api.post("/stores/sandbox/v3/hooks", json=body)
        for _ in range(5):
            await sandbox.place_order(
                customer_id=101, staff_notes="CC 7", metafields={"checkout": {"cost_center": "7"}}
            )
        transport = Transport(http, core_url=sandbox.url, b2b_url=sandbox.url)
        (findings,) = await check_stores(transport, configured, Endpoints(), None)
    return lines(findings)


ACCOUNT = '"Account No" = {}'


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({"token": "wrong"}, "error  access_token  BigCommerce refuses it (401: "),
        ({"hook": None}, "error  webhook store/order/created  does not exist: new orders are found only by polling"),
        (
            {"hook": "https://me.example/hooks"},
            "warning  webhooks  one for orders goes to https://me.example/hooks, which is not our receiver.",
        ),
        (
            {"fields": '"Acount No" = "order.id"'},
            'error  rule "Acount No"  the store has no extra field with this name or',
        ),
        (
            {"fields": ACCOUNT.format("'metafields.chekout.cost_center'")},
            'warning  rule "Account No"  found in 0 of 5 orders. These orders have no metafield in the namespace'
            ' "chekout" that this token may see. Did you mean "checkout"?',
        ),
        (
            {"fields": ACCOUNT.format("'metafields.checkout.costCenter'")},
            'warning  rule "Account No"  found in 0 of 5 orders. metafields.checkout has no "costCenter". Did you mean'
            ' "cost_center"?',
        ),
        (
            {"fields": ACCOUNT.format("{ from = 'order.staff_notes', match = 'cc ([0-9]+)' }")},
            'warning  rule "Account No"  found in 0 of 5 orders. There is text in 5 orders, but match finds nothing'
            " in it. Only its case is wrong: with (?i) at its beginning, it finds 5.",
        ),
        (
            {"fields": ACCOUNT.format("'products.name'")},
            'warning  rule "Account No"  found in 0 of 5 orders. products is a list: write products[].name | [0].',
        ),
    ],
)
async def test_a_wrong_store(tmp_path: Path, settings: dict[str, str], line: str) -> None:
    found = await of_store(tmp_path, **settings)
    assert [each for each in found if each.startswith(line)], found


async def of_redis(url: str) -> str:
    async with connect(url) as redis:
        return lines(await check_redis(redis))[0]


@pytest.mark.parametrize(
    ("options", "database", "line"),
    [
        (
            ("--replicaof", "127.0.0.1", "1"),
            0,
            "error  Redis  is a replica and refuses changes (READONLY). REDIS_URL must lead",
        ),
        (
            ("--cluster-enabled", "yes"),
            0,
            "error  Redis  is a Redis Cluster, which this service cannot use. Use a Redis",
        ),
        ((), 99, "error  Redis  has no database of this number. Correct the number at the end of REDIS_URL"),
        (("--requirepass", "hush"), 0, "error  Redis  refuses this user or password ("),
        (("--maxmemory", "1"), 0, "error  Redis  has no memory left and refuses changes (OOM). Raise its maxmemory"),
    ],
)
async def test_a_wrong_redis(tmp_path: Path, options: tuple[str, ...], database: int, line: str) -> None:
    with redis_on_tcp(tmp_path, *options) as port:
        assert (await of_redis(f"redis://127.0.0.1:{port}/{database}")).startswith(line)


async def test_a_url_that_leads_to_something_else(tmp_path: Path) -> None:
    other = "error  Redis  is not what answers there: it is another server, such as a web server. Correct host and port"
    async with web_server() as url:
        assert (await of_redis(url)).startswith(other)
    async with answering(b"E\x00\x00\x00\x8eSFATAL\x00") as url:  # Postgres
        assert (await of_redis(url)).startswith(other)
    async with answering(bytes.fromhex("15030100020246")) as url:  # a port for TLS
        assert (await of_redis(url)).startswith("error  Redis  wants TLS at this port. Begin REDIS_URL with")
    async with answering(b"-ERR unknown command\r\n") as url:  # a port without TLS
        line = await of_redis(url.replace("redis://", "rediss://"))
        assert line.startswith(
            "error  Redis  has no TLS at this port, or another server answers there. Begin REDIS_URL with"
        )
    async with answering(b"") as url:
        assert (await of_redis(url)).startswith(
            "error  Redis  closed the connection. Does it restart? Else another server"
        )
    assert (await of_redis("redis://redis.invalid:6379/0")).startswith("error  Redis  cannot be found: no such host.")
    sentinel = hello("redis", "7.2.4").replace(bulk("standalone"), bulk("sentinel"))
    async with stub_redis({"HELLO": sentinel}) as url:
        assert (await of_redis(url)).startswith(
            "error  Redis  is not what answers there: it is a Sentinel. Write REDIS_URL"
        )
