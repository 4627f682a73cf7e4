"""Validation of the stores file's tables: stores, rules, endpoints, numbers."""

import math
import string
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.stores import Endpoints, plain_number
from tests.fakes.stores_file import STORE, folder, load, problem, store_with

__all__ = ["folder"]

pytestmark = pytest.mark.usefixtures("folder")


class TestStores:
    @pytest.mark.parametrize("store_hash", ["ABC", "a-b", '"a b"', '""', '"a\\n"', "a_b"])
    def test_an_invalid_hash_is_refused(self, store_hash: str) -> None:
        found = problem(STORE.replace("abc123", store_hash))
        assert "a store hash has lower-case letters and digits only." in found
        assert "\n" not in found

    def test_a_store_needs_an_access_token(self) -> None:
        assert problem(STORE.replace("access_token", "#")) == (
            "stores.toml: [stores.abc123] access_token: is missing. "
            'For example: access_token = "env:GREATBUYS_ACCESS_TOKEN".'
        )

    def test_a_store_that_cannot_authenticate_webhooks_is_refused(self) -> None:
        start = "stores.toml: [stores.abc123] client_secret: is missing, and there are no webhook_headers"
        assert problem(STORE.replace("client_secret", "#")).startswith(start)
        assert problem(STORE.replace("client_secret", "webhook_headers = {} #")).startswith(start)

    def test_a_store_without_rules_is_refused(self) -> None:
        start = "stores.toml: [stores.abc123] po_number: is missing, and there are no extra_fields"
        assert problem(STORE.replace("po_number", "#")).startswith(start)
        assert problem(STORE.replace("po_number", "extra_fields = {} #")).startswith(start)

    @pytest.mark.parametrize("line", ["access_token = []", "client_secret = []", "webhook_headers.A = []"])
    def test_an_empty_list_of_secrets_is_refused(self, line: str) -> None:
        assert "the list is empty." in problem(store_with(line))

    @pytest.mark.parametrize("name", ['"X Key"', '""', '"X:"', '"Xé"', '"X\\n"'])
    def test_an_invalid_header_name_is_refused(self, name: str) -> None:
        found = problem(store_with(f'webhook_headers = {{ {name} = "x" }}'))
        assert found.startswith("stores.toml: [stores.abc123.webhook_headers] ")
        assert "is not a valid HTTP header name" in found

    def test_a_header_listed_in_two_cases_is_refused(self) -> None:
        assert "the same header is listed twice" in problem(store_with('webhook_headers = { X-A = "1", x-a = "2" }'))

    @pytest.mark.parametrize(
        ("line", "message"),
        [
            ("name = 3", 'name: expected text in quotes. For example: name = "Great Buys".'),
            ("name = ' '", "name: the text is empty. Write something, or leave the key out."),
            ("access_token = 3", "access_token: expected text in quotes, or a list of them. For"),
            ("access_token = [3]", "access_token (item 1): expected text in quotes. Write env:NAME"),
            ("webhook_headers = 'x'", "webhook_headers: expected a table. For example: webhook_headers = {"),
            ("incomplete_orders = 'no'", "incomplete_orders: expected 'enrich', 'wait' or 'skip'. For"),
            ("existing_values = true", "existing_values: expected 'keep' or 'replace'. For"),
            ("channels = 1", "channels: expected a list of numbers. For example: channels = [1]."),
            ("channels = [true]", "channels (item 1): expected a whole number. For"),
            ("channels = [0]", "channels (item 1): expected 1 or more. For"),
            ("channels = []", "channels: the list is empty, so no order would be enriched. Remove the key"),
            ("follow = 24", 'follow: expected a duration in quotes. For example: "6s"'),
            ("follow = '-1h'", 'follow: expected a duration in quotes. For example: "6s"'),
            ("follow = '31d'", "follow: expected 30 days or less. The service forgets an order after 30 days. For"),
            ("follow = '720.1h'", "follow: expected 30 days or less."),
            ("po_number = 3", "po_number: expected a JMESPath expression in quotes, or a table. For"),
            ("po_number = ['a']", "po_number: expected a JMESPath expression in quotes, or a table. For"),
            ("extra_fields = 'a'", "extra_fields: expected a table. For example: extra_fields = {"),
        ],
    )
    def test_a_value_of_another_type_is_refused(self, line: str, message: str) -> None:
        assert problem(store_with(line)).startswith(f"stores.toml: [stores.abc123] {message}")

    @pytest.mark.parametrize(
        ("line", "seconds"),
        [("", 86_400.0), ("follow = '0s'", 0.0), ("follow = '90m'", 5400.0), ("follow = '30d'", 2_592_000.0)],
    )
    def test_later_changes_are_followed_for_a_day_unless_told_otherwise(self, line: str, seconds: float) -> None:
        assert load(store_with(line)).stores["abc123"].follow_s == seconds


class TestRules:
    @pytest.mark.parametrize(
        ("rule", "message"),
        [
            ("{}", " from: the rule has neither from nor value. For example: from ="),
            ("{ required = true }", " from: the rule has neither from nor value."),
            ("{ from = 'order.id', value = 'x' }", " from: a rule cannot have both from and value."),
            ("{ value = 'x', match = 'y' }", " match: match needs from: it searches the text that from found."),
            ("{ default = 'x', match = 'y' }", " match: match needs from: it searches the text that from found."),
            ("{ from = [] }", " from: the list is empty."),
            ("{ from = 3 }", " from: expected text in quotes, or a list of them. For example: from ="),
            ("{ from = ['order.id', 3] }", " from (item 2): expected text in quotes. For example: from ="),
            ("{ from = ['order.id', ''] }", " from (item 2): the text is empty."),
            ("{ from = '' }", " from: the text is empty."),
            ("{ value = '' }", " value: the text is empty."),
            ("{ value = [] }", " value: expected text in quotes. For example: value ="),
            ("{ value = nan }", " value: expected a finite number."),
            ("{ from = 'order.id', match = '' }", " match: the text is empty."),
            ("{ from = 'order.id', default = '' }", " default: the text is empty."),
            ("{ from = 'order.id', required = 1 }", " required: expected true or false. For example: required ="),
        ],
    )
    def test_an_invalid_rule_is_refused(self, rule: str, message: str) -> None:
        place = 'stores.toml: [stores.abc123.extra_fields."Cost Center"]'
        assert problem(f'{STORE}\nextra_fields."Cost Center" = {rule}').startswith(f"{place}{message}")

    def test_an_empty_string_rule_is_refused_under_its_own_key(self) -> None:
        assert problem(store_with('po_number = ""')).startswith("stores.toml: [stores.abc123] po_number: the text is")

    def test_a_field_without_a_name_is_refused(self) -> None:
        assert "the field has no name." in problem(f'{STORE}\nextra_fields." " = "order.id"')

    def test_a_field_named_like_a_key_gets_no_example_of_that_key(self) -> None:
        found = problem(f"{STORE}\nextra_fields.name = {{ value = [] }}\n")
        assert "Great Buys" not in found
        assert found.startswith("stores.toml: [stores.abc123.extra_fields.name] value: ")


class TestEndpoints:
    @pytest.mark.parametrize(
        "url",
        ["https://api.bigcommerce.com", "http://localhost:9100", "http://127.0.0.9", "http://[::1]:9100/api"],
    )
    def test_https_and_loopback_are_accepted(self, url: str) -> None:
        assert Endpoints(api_url=url + "/").api_url == url

    @pytest.mark.parametrize(
        ("url", "message"),
        [
            ("http://api.bigcommerce.com", "plain http would send the access token unencrypted"),
            ("http://localhost.example.com", "plain http would send the access token unencrypted"),
            ("http://127.0.0.1.example.com", "plain http would send the access token unencrypted"),
            ("http://10.0.0.1", "plain http would send the access token unencrypted"),
            ("http://localhost@example.com", "without user, password, query and fragment"),
            ("https://user:hunter2@example.com", "without user, password, query and fragment"),
            ("https://example.com?a=hunter2", "without user, password, query and fragment"),
            ("https://example.com/#", "without user, password, query and fragment"),
            ("ftp://example.com", "begins with https://"),
            ("api.bigcommerce.com", "begins with https://"),
            ("https://", "begins with https://"),
            ("https://example.com\\@a", "begins with https://"),
            ("https://exa mple.com", "begins with https://"),
            ("https://example.com:99999", "expected a URL"),
            ("https://[::1", "expected a URL"),
            ("", "begins with https://"),
        ],
    )
    def test_any_other_url_is_refused_and_not_shown(self, url: str, message: str) -> None:
        found = problem(f"[bigcommerce]\nb2b_api_url = '{url}'\n{STORE}")
        assert found.startswith("stores.toml: [bigcommerce] b2b_api_url: ")
        assert message in found
        assert "hunter2" not in found


class TestPlainNumbers:
    @pytest.mark.parametrize(
        ("number", "text"),
        [
            (0, "0"),
            (-7, "-7"),
            (1.0, "1"),
            (-0.0, "0"),
            (10.50, "10.5"),
            (0.1 + 0.2, "0.30000000000000004"),
            (1e21, "1000000000000000000000"),
            (1e-7, "0.0000001"),
            (-1.5e300, "-15" + "0" * 299),
            (Decimal("1E+3"), "1000"),
            (Decimal("-0.00"), "0"),
            (math.nan, None),
            (-math.inf, None),
            (Decimal("sNaN"), None),
        ],
    )
    def test_number_becomes_plain_decimal_text(self, number: float | Decimal, text: str | None) -> None:
        assert plain_number(number) == text

    def test_number_of_any_size_becomes_text(self) -> None:
        assert plain_number(10**5000) == "1" + "0" * 5000

    @given(st.floats(allow_nan=False, allow_infinity=False))
    def test_the_text_is_the_same_number(self, number: float) -> None:
        text = plain_number(number)
        assert text is not None
        assert float(text) == number
        assert set(text) <= set(string.digits + "-.")
