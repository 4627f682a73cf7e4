"""Reading the stores file: its keys, its secrets, and problems of the file as a whole."""

from pathlib import Path

import pytest
from pydantic import SecretStr

from service.errors import ConfigError
from service.stores import Endpoints, Rule, Store, read_stores
from tests.fakes.stores_file import ENVIRON, STORE, folder, load, load_stores, problem, problems, store_with

__all__ = ["folder"]

pytestmark = pytest.mark.usefixtures("folder")


class TestReading:
    def test_every_key_of_a_store(self) -> None:
        loaded = load(
            """
            [bigcommerce]
            api_url = "http://127.0.0.1:9100/"
            b2b_api_url = "https://b2b.example.com/base"

            [stores.abc123]
            name = "Great Buys"
            access_token = "env:TOKEN"
            client_secret = ["env:SECRET", "env:OTHER"]
            webhook_headers = { "X-Enrich-Key" = "env:OTHER" }
            incomplete_orders = "wait"
            channels = [1, 7]
            existing_values = "replace"

            [stores.abc123.po_number]
            from = ["metafields.checkout.po_number", "order.customer_message"]
            match = 'PO[\\s#:]*([A-Z0-9-]+)'
            required = true

            [stores.abc123.extra_fields]
            "Ship Window" = "order.customer_message"
            "Cost Center" = { from = "metafields.checkout.cost_center", default = "UNASSIGNED" }
            """
        )
        store = loaded.stores["abc123"]
        assert loaded.endpoints == Endpoints(
            api_url="http://127.0.0.1:9100", b2b_api_url="https://b2b.example.com/base"
        )
        assert (store.hash, store.name) == ("abc123", "Great Buys")
        assert [token.get_secret_value() for token in store.access_tokens] == ["t0ken-value"]
        assert [secret.get_secret_value() for secret in store.client_secrets] == ["s3cret-value", "0ther-value"]
        assert store.webhook_headers == {"X-Enrich-Key": (SecretStr("0ther-value"),)}
        assert (store.incomplete_orders, store.existing_values) == ("wait", "replace")
        assert store.channels == frozenset({1, 7})
        assert store.po_number is not None
        assert store.po_number.sources == ("metafields.checkout.po_number", "order.customer_message")
        assert (store.po_number.match, store.po_number.required) == (r"PO[\s#:]*([A-Z0-9-]+)", True)
        assert list(store.extra_fields) == ["Ship Window", "Cost Center"]
        assert store.extra_fields["Ship Window"].sources == ("order.customer_message",)
        assert store.extra_fields["Cost Center"].default == "UNASSIGNED"

    def test_missing_keys_have_defaults(self) -> None:
        loaded = load(STORE)
        store = loaded.stores["abc123"]
        assert loaded.endpoints.api_url == "https://api.bigcommerce.com"
        assert loaded.endpoints.b2b_api_url == "https://api-b2b.bigcommerce.com"
        assert (store.name, store.channels, store.webhook_headers, store.extra_fields) == (None, None, {}, {})
        assert (store.incomplete_orders, store.existing_values) == ("enrich", "keep")

    def test_webhook_headers_alone_authenticate(self) -> None:
        text = STORE.replace("client_secret =", 'webhook_headers."X-Key" =')
        assert load(text).stores["abc123"].client_secrets == ()

    def test_extra_fields_alone_are_enough(self) -> None:
        assert load(STORE.replace("po_number =", "extra_fields.a =")).stores["abc123"].po_number is None

    @pytest.mark.parametrize(
        ("written", "text"),
        [('"web"', "web"), ("7", "7"), ("1.50", "1.5"), ("1e21", "1" + "0" * 21), ("true", "true"), ("-0.0", "0")],
    )
    def test_a_constant_is_kept_as_plain_text(self, written: str, text: str) -> None:
        fields = load(f"{STORE}\nextra_fields.a.value = {written}\nextra_fields.b.default = {written}").stores["abc123"]
        assert fields.extra_fields["a"].value == text
        assert fields.extra_fields["b"].default == text

    def test_a_byte_order_mark_and_windows_line_breaks_are_accepted(self) -> None:
        assert load(b"\xef\xbb\xbf" + STORE.replace("\n", "\r\n").encode()).stores.keys() == {"abc123"}

    def test_several_stores(self) -> None:
        assert list(load(STORE + STORE.replace("abc123", "99zz")).stores) == ["abc123", "99zz"]

    def test_a_store_is_made_in_code_without_a_file(self) -> None:
        store = Store(
            hash="abc",
            access_token=(SecretStr("env:is-just-text"),),
            client_secret=(SecretStr("s"),),
            po_number=Rule.model_validate("order.id"),
        )
        assert store.access_tokens[0].get_secret_value() == "env:is-just-text"


class TestSecrets:
    def test_a_file_is_read_from_the_folder_of_the_stores_file(self, folder: Path) -> None:
        (folder / "etc").mkdir()
        (folder / "etc" / "token").write_text("from-file\r\n")
        (folder / "etc" / "stores.toml").write_text(store_with('access_token = ["file:token", "env:TOKEN"]'))
        loaded = load_stores(folder / "etc" / "stores.toml", ENVIRON)
        tokens = [token.get_secret_value() for token in loaded.stores["abc123"].access_tokens]
        assert tokens == ["from-file", "t0ken-value"]

    def test_an_absolute_path_is_used_unchanged(self, tmp_path_factory: pytest.TempPathFactory) -> None:
        secret = tmp_path_factory.mktemp("run") / "secret"
        secret.write_text("from-afar")
        loaded = load(store_with(f'client_secret = "file:{secret}"'))
        assert loaded.stores["abc123"].client_secrets == (SecretStr("from-afar"),)

    def test_places_of_literal_secrets_are_collected(self) -> None:
        loaded = load(
            store_with(
                'access_token = "t"\nclient_secret = ["env:SECRET", "s"]\n'
                'webhook_headers = { A = "env:OTHER", "X.Y" = "h" }'
            )
        )
        assert loaded.literal_secrets == (
            "stores.abc123.access_token",
            "stores.abc123.client_secret",
            "stores.abc123.webhook_headers.X.Y",
        )
        assert load(STORE).literal_secrets == ()

    def test_no_secret_is_shown_by_repr(self) -> None:
        loaded = load(store_with('webhook_headers = { A = "0ther-value" }'))
        for secret in ("t0ken-value", "s3cret-value", "0ther-value"):
            assert secret not in repr(loaded) + str(loaded)

    @pytest.mark.parametrize(
        ("secret", "message"),
        [
            ("env:NOPE", "the environment variable NOPE is not set."),
            ("env:BLANK", "the environment variable BLANK is empty."),
            ("env:", "the text after env: is not the name of an environment variable."),
            ("env:A B", "the text after env: is not the name of an environment variable."),
            ("file:none", "the file none does not exist."),
            ("file:/none/at all", 'the file "/none/at all" does not exist.'),
            ("file:.", "the file . is a directory, not a file."),
            ("file:blank", "the file blank is empty."),
            ("file:binary", "the file binary is not UTF-8 text (byte 2)."),
            ("file:loop", "the file loop cannot be read (Too many levels of symbolic links)."),
            (r"file:a\u0000b", r'the file "a\u0000b" has an invalid name.'),
            (" ", "the text is empty."),
            ("", "the text is empty."),
        ],
    )
    def test_a_missing_secret_is_named(self, folder: Path, secret: str, message: str) -> None:
        (folder / "blank").write_text("\n")
        (folder / "binary").write_bytes(b"a\xff")
        (folder / "loop").symlink_to("loop")
        place = "stores.toml: [stores.abc123] client_secret"
        assert problem(store_with(f'client_secret = "{secret}"')).startswith(f"{place}: {message} ")
        in_a_list = problem(store_with(f'client_secret = ["env:SECRET", "{secret}"]'))
        assert in_a_list.startswith(f"{place} (item 2): {message} ")

    def test_an_unreadable_file_is_named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        read_bytes = Path.read_bytes

        def guarded(path: Path) -> bytes:
            if path.name == "guarded":
                raise PermissionError(13, "Permission denied")
            return read_bytes(path)

        monkeypatch.setattr(Path, "read_bytes", guarded)
        message = "the file guarded is not readable by this user."
        assert message in problem(store_with('access_token = "file:guarded"'))

    @pytest.mark.parametrize("secret", ["hünter2", " hunter2", "hun\\nter2", "hunter2\\t", "hunter2\\u007f"])
    def test_a_secret_that_is_invalid_in_a_header_is_refused_where_it_is_sent(self, secret: str) -> None:
        for key in ("access_token", "webhook_headers.A"):
            found = problem(store_with(f'{key} = "{secret}"'))
            assert "cannot be sent in an HTTP header" in found
            assert "nter2" not in found
        assert load(store_with(f'client_secret = "{secret}"')).stores["abc123"].client_secrets


class TestFile:
    def test_a_missing_file_is_reported_with_the_cures(self) -> None:
        with pytest.raises(ConfigError) as caught:
            load_stores(Path("nowhere/stores.toml"), {})
        assert str(caught.value) == (
            "nowhere/stores.toml: the stores file does not exist. "
            "`enrich init` writes one. If you have one elsewhere, set ENRICH_CONFIG to its path."
        )

    def test_a_directory_is_one_line(self, folder: Path) -> None:
        with pytest.raises(ConfigError, match=r"the stores file is a directory, not a file\.") as caught:
            load_stores(folder, {})
        assert "\n" not in str(caught.value)

    def test_text_that_is_not_utf8_is_one_line(self) -> None:
        assert problem(STORE.encode("utf-16")).startswith("stores.toml: the stores file is UTF-16 text")

    def test_an_invalid_path_is_one_line(self) -> None:
        with pytest.raises(ConfigError, match="has an invalid name"):
            load_stores(Path("a\0b"), {})

    @pytest.mark.parametrize(
        ("text", "start"),
        [
            ("[a]\nb = ", "stores.toml: end of document: this is not TOML: Invalid value."),
            ("[a]\nb = yes", "stores.toml: line 2, column 5: this is not TOML: Invalid value."),
            ("[a\n", "stores.toml: line 1, column 3: this is not TOML: Expected ']'"),
            (
                STORE + STORE,
                "stores.toml: line 7, column 15: this is not TOML: Cannot declare ('stores', 'abc123') twice.",
            ),
            (f"a = {'9' * 5000}", "stores.toml: a number has thousands of digits"),
            (f"a = {'[' * 5000}", "stores.toml: a number has thousands of digits, or brackets"),
        ],
    )
    def test_bad_toml_is_reported_with_line_and_column(self, text: str, start: str) -> None:
        assert problem(text).startswith(start)

    def test_a_file_without_stores_is_refused(self) -> None:
        assert problem("").startswith("stores.toml: [stores]: is missing. For example: [stores.abc123]")
        assert problem("[stores]") == "stores.toml: [stores]: there is no store. Add a table [stores.<store hash>]."

    @pytest.mark.parametrize("text", ["stores = 3", "[[stores]]", "stores.abc123 = 'x'", "stores = ['a']"])
    def test_stores_that_are_not_tables_are_refused(self, text: str) -> None:
        assert "expected a table." in problem(text)

    def test_unknown_keys_are_refused_with_the_closest_known_key(self) -> None:
        text = (
            "[bigcomerce]\n[bigcommerce]\napi_urls = 'x'"
            + STORE.replace("client_secret", "client_secrets")
            + "webhook_headers.A = 'x'\nextra_fields.a = {frm = 'order.id', default = 'x'}\nzzz = 1"
        )
        assert problems(text) == [
            'stores.toml: [bigcommerce] api_urls: unknown key. Did you mean "api_url"?',
            'stores.toml: [bigcomerce]: unknown key. Did you mean "bigcommerce"?',
            'stores.toml: [stores.abc123.extra_fields.a] frm: unknown key. Did you mean "from"?',
            'stores.toml: [stores.abc123] client_secrets: unknown key. Did you mean "client_secret"?',
            "stores.toml: [stores.abc123] zzz: unknown key. Known keys are name, access_token, "
            "webhook_headers, client_secret, incomplete_orders, channels, existing_values, strategy, "
            "late_values, follow, overflow, order_comment, writes, extra_fields, po_number.",
        ]

    def test_hash_is_not_a_key_of_a_store(self) -> None:
        assert problem(store_with('hash = "abc123"')).startswith("stores.toml: [stores.abc123] hash: unknown key")

    def test_all_problems_are_reported_at_once(self) -> None:
        found = problems(
            """
            [bigcommerce]
            api_url = "http://api.bigcommerce.com"
            [stores.One]
            incomplete_orders = "never"
            [stores.two]
            access_token = "env:NOPE"
            client_secret = 3
            channels = [0, "1", true]
            extra_fields = { a = { value = "x", match = "y" }, b = "" }
            """
        )
        assert [line.partition(": ")[2].split(":")[0] for line in found] == [
            "[bigcommerce] api_url",
            "[stores.One]",
            "[stores.One] access_token",
            "[stores.One] client_secret",
            "[stores.One] incomplete_orders",
            "[stores.One] po_number",
            "[stores.two] access_token",
            "[stores.two] client_secret",
            "[stores.two] channels (item 1)",
            "[stores.two] channels (item 2)",
            "[stores.two] channels (item 3)",
            "[stores.two.extra_fields.a] match",
            "[stores.two.extra_fields] b",
        ]

    def test_valid_rules_are_returned_along_with_problems(self) -> None:
        Path("stores.toml").write_text(
            "[stores.ABC]\npo_number = 'order.id'\nextra_fields = { \"a b\" = { value = 'x' }, c = 3 }"
        )
        result = read_stores(Path("stores.toml"), {})
        assert result.stores_file is None
        assert [place for place, _ in result.rules] == [
            "stores.toml: [stores.ABC.po_number]",
            'stores.toml: [stores.ABC.extra_fields."a b"]',
        ]
