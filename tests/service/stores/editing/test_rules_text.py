"""The rules of a store, taken out of a stores file and put back: every other byte stays."""

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.errors import ConfigError
from service.stores.editing.rules_text import LayoutError, rules_of, rules_text, with_rules

HEAD = """\
# written by hand

[bigcommerce]
api_url = "https://api.bigcommerce.com"  # the usual one

[stores.abc123]   # the shop
name = 'Great "Buys"'
access_token = "t0ken"
"""
TAIL = """
# the other shop
[stores.other1]
access_token = "t0ken"
po_number = "order.customer_message"
"""
NEW = """\
[stores.abc123.po_number]
# where the plug-in puts it
from = ["order.staff_notes"]

[stores.abc123.extra_fields]
"Cost Center" = { value = "7" }
"""

# Each way in which the rules of a store can be written: text, and whether it stands inside of [stores.abc123].
AS_KEYS = (
    'po_number = "order.customer_message"\n',
    "po_number = { from = 'a.b', match = '''\n[x]\n''' }\n",
    'po_number.from = [\n  "order.customer_message", # first\n  "order.staff_notes",\n]\npo_number.required = true\n',
    'extra_fields = { "Cost Center" = "order.id" }\n',
    'extra_fields."Cost [Center]" = "order.id"\n',
)
AS_TABLES = (
    '[stores.abc123.po_number]\nfrom = "order.customer_message"\n',
    '[ stores . "abc123" . po_number ]  # the PO\nfrom = """\norder.id"""\n\n# why\ndefault = "x"\n',
    '[stores.abc123.extra_fields]\n"Cost Center" = "order.id"\n# about the next\n"A" = { value = "[b]" }\n',
    '[stores.abc123.extra_fields."Cost Center"]\nvalue = "7"\n[stores.abc123.extra_fields.B]\nvalue = "8"\n',
)
OUTSIDE = (
    "",
    "# a comment = [\n",
    "\n\n",
    '\t# "quotes" \'of\' all """kinds\n',
    "[stores.abc123.webhook_headers]\n\"X-Key\" = 'k'\n",
    TAIL,
    '[console.people]\n"ana@example.com" = { role = "viewer" }\n',
)


@st.composite
def files(draw: st.DrawFn) -> list[tuple[str, bool]]:
    """A stores file in pieces, each with whether it is rules of abc123. Some are no valid TOML."""
    pieces = [(HEAD, False)]
    keys = draw(st.sampled_from([(), *[(one,) for one in AS_KEYS], (AS_KEYS[0], AS_KEYS[3]), (AS_KEYS[2], AS_KEYS[4])]))
    for text in keys:
        pieces += [(text, True), ('incomplete_orders = "wait" # kept\n' if draw(st.booleans()) else "", False)]
    outside = draw(st.lists(st.sampled_from(OUTSIDE), unique=True, max_size=4))
    tables = draw(st.lists(st.sampled_from(AS_TABLES), unique=True, max_size=2))
    rest = [(text, False) for text in outside] + [(text, True) for text in tables]
    pieces += _with_comments_of_rules(draw(st.permutations(rest)))
    newline = draw(st.sampled_from(["\n", "\r\n"]))
    pieces = [(text.replace("\n", newline), is_rule) for text, is_rule in pieces]
    if draw(st.booleans()):
        last, is_rule = pieces[-1]
        pieces[-1] = (last.removesuffix(newline), is_rule)
    return pieces


def _with_comments_of_rules(pieces: list[tuple[str, bool]]) -> list[tuple[str, bool]]:
    """The same, where comments and blank lines between two tables of rules count as rules: the editor shows them."""
    for index, (text, _) in enumerate(pieces):
        if is_trivia(text):
            around = [
                next((is_rule for other, is_rule in side if not is_trivia(other)), False)
                for side in (pieces[:index][::-1], pieces[index + 1 :])
            ]
            pieces[index] = (text, all(around))
    return pieces


def is_trivia(text: str) -> bool:
    return all(line.strip()[:1] in ("", "#") for line in text.splitlines())


def is_toml(text: str) -> bool:
    try:
        tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return False
    return True


@given(files())
def test_every_byte_outside_of_the_two_tables_stays(pieces: list[tuple[str, bool]]) -> None:
    text = "".join(piece for piece, _ in pieces)
    if not is_toml(text):
        return
    new = with_rules(text, "abc123", NEW)
    parsed = tomllib.loads(new)
    assert rules_of(NEW, "abc123") == {key: parsed["stores"]["abc123"][key] for key in ("po_number", "extra_fields")}
    # Take the pieces that are no rules out of the file, in their order: only rules and line breaks are left.
    newline = "\r\n" if "\r\n" in text else "\n"
    left, at = [], 0
    for piece in (piece for piece, is_rule in pieces if not is_rule and piece.strip()):
        found = new.index(piece.rstrip(), at)
        left.append(new[at:found])
        at = found + len(piece.rstrip())
    left.append(new[at:])
    assert "".join(left).split() == NEW.split()
    assert new.replace("\r\n", "\n").replace("\n", newline) == new


@given(files())
def test_rules_that_are_put_back_as_they_were_change_nothing(pieces: list[tuple[str, bool]]) -> None:
    text = "".join(piece for piece, _ in pieces)
    if not is_toml(text):
        return
    rules = rules_text(text, "abc123")
    store = tomllib.loads(text)["stores"]["abc123"]
    assert rules_of(rules, "abc123") == {key: store[key] for key in ("po_number", "extra_fields") if key in store}
    again = with_rules(text, "abc123", rules)
    assert rules_text(again, "abc123") == rules
    if len([piece for piece, is_rule in pieces if is_rule and piece]) == 1:
        assert again == text


def test_a_file_without_a_last_line_break_gets_none() -> None:
    text = HEAD + '[stores.abc123.po_number]\nfrom = "order.id"'
    assert with_rules(text, "abc123", NEW) == HEAD + NEW.removesuffix("\n")
    assert with_rules(HEAD.removesuffix("\n"), "abc123", NEW) == HEAD + "\n" + NEW.removesuffix("\n")


def test_a_table_follows_its_store_where_it_had_no_rules_of_that_kind() -> None:
    assert with_rules(HEAD + TAIL, "abc123", NEW) == HEAD + "\n" + NEW + TAIL


@pytest.mark.parametrize(
    ("posted", "named"),
    [
        ('[stores.abc123]\naccess_token = "stolen"\n', "[stores.abc123] access_token"),
        ('[bigcommerce]\napi_url = "https://evil.test"\n', "[bigcommerce]"),
        ("bigcommerce = { api_url = 'https://evil.test' }\n", "[bigcommerce]"),
        ('bigcommerce.api_url = "https://evil.test"\n', "[bigcommerce]"),
        ('[stores.other1.po_number]\nvalue = "x"\n', "[stores.other1]"),
        ("[stores.other1]\npo_number = 'x'\n", "[stores.other1]"),
        ('stores = { abc123 = { access_token = "stolen" } }\n', "[stores.abc123] access_token"),
        ('[stores]\nabc123.webhook_headers."X" = "stolen"\n', "[stores.abc123] webhook_headers"),
        ("[stores.abc123.webhook_headers]\nX = 'stolen'\n", "[stores.abc123] webhook_headers"),
        ("[stores]\nabc123 = 5\n", "[stores.abc123]"),
        ("stores = 5\n", "stores"),
        ("[[stores]]\n", "stores"),
        ("[console.people]\nana = { role = 'admin' }\n", "[console]"),
        ('po_number = "order.id"\n', "[po_number]"),
    ],
)
def test_anything_that_is_no_rule_of_the_store_is_refused_by_name(posted: str, named: str) -> None:
    for text in (posted, f"{posted}\n{NEW}"):
        with pytest.raises(ConfigError) as refused:
            with_rules(HEAD + TAIL, "abc123", text)
        problems = refused.value.problems
        assert [problem.place for problem in problems] == [named] or "this is not TOML" in str(refused.value), text
        assert "stolen" not in str(refused.value)
        assert "evil" not in str(refused.value)


def test_all_that_is_refused_is_named_at_once() -> None:
    with pytest.raises(ConfigError) as refused:
        rules_of("[bigcommerce]\n[stores.other1]\n[stores.abc123]\naccess_token = 'x'\nname = 'y'\n", "abc123")
    places = [problem.place for problem in refused.value.problems]
    assert places == ["[bigcommerce]", "[stores.other1]", "[stores.abc123] access_token", "[stores.abc123] name"]


def test_a_store_in_one_value_is_refused_with_the_cure() -> None:
    text = '[stores]\nabc123 = { access_token = "t", client_secret = "s", po_number = "order.id" }\n'
    with pytest.raises(LayoutError, match=r"Write it as a table: \[stores\.abc123\]"):
        rules_text(text, "abc123")


def test_keys_for_a_table_that_is_not_there_are_refused() -> None:
    with pytest.raises(LayoutError, match="as tables of their own"):
        with_rules(HEAD, "abc123", '[stores]\nabc123.po_number = "order.id"\n')
