"""The table ``[notify]``: what is refused, in which words, and never with a secret in them."""

import pytest

from service.stores.mail_url import parse_mail_url
from tests.fakes.stores_file import STORE, folder, load, problem, problems

__all__ = ["folder"]

pytestmark = pytest.mark.usefixtures("folder")

SECRET = "a-secret-of-at-least-24-bytes"
SLACK = 'slack = "https://hooks.slack.com/services/T/B/s3cret"'
MAIL = "smtps://robot:s3cret@smtp.example.com?to=ops@example.com&from=enrich@example.com"


def notify(lines: str) -> str:
    return f"[notify]\n{lines}\n{STORE}"


def test_a_file_without_the_table_tells_nobody() -> None:
    assert load(STORE).notify is None


def test_each_channel_takes_one_destination_or_several() -> None:
    table = load(
        notify(
            f'{SLACK}\nteams = ["https://a.example/?sig=1", "https://b.example/"]\nmail = "{MAIL}"\nstores = "abc123"'
        )
    ).notify
    assert table is not None
    assert {kind: len(found) for kind, found in table.destinations.items()} == {
        "webhook": 0,
        "slack": 1,
        "teams": 2,
        "mail": 1,
    }
    assert (table.tells_of("abc123"), table.tells_of("other")) == (True, False)


def test_destinations_are_secrets() -> None:
    loaded = load(notify(f'slack = "env:TOKEN"\nmail = "{MAIL}"').replace("env:TOKEN", "env:URL"), {**ENVIRON})
    assert "s3cret" not in repr(loaded.notify)
    assert loaded.notify
    assert loaded.notify.slack[0].get_secret_value() == ENVIRON["URL"]
    assert loaded.literal_secrets == ("notify.mail",)


ENVIRON = {"TOKEN": "t", "SECRET": "s", "URL": "https://hooks.slack.com/services/T/B/s3cret"}


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("", "stores: the table [notify] has no channel, so nobody would be told. Add webhook, slack, teams or mail"),
        ("slack = 3", "slack: expected text in quotes, or a list of them. For example: slack = "),
        ("slack = []", "slack: the list is empty."),
        ('slack = "s3cret"', "slack: expected a URL that begins with https://. Write the whole URL"),
        ('slack = "http://s3cret.example/x"', "slack: plain http would send the message unencrypted."),
        ('slack = "https://u:s3cret@x.example/"', "slack: expected a URL without user, password and fragment."),
        ('slack = "https://x.example:99999/s3cret"', "slack: expected a URL. Write"),
        ('slack = ["https://x.example/", "ftp://s3cret"]', "slack (item 2): expected a URL that begins with https://."),
        ('teams = "env:NOWHERE"', "teams: the environment variable NOWHERE is not set."),
        (
            'webhook = "https://x.example/"',
            "secret: is missing: the receiver of the webhook could not tell that it comes",
        ),
        (f'{SLACK}\nsecret = "{SECRET}"', "secret: there is no webhook that it could sign. Add webhook, or remove"),
        ('webhook = "https://x.example/"\nsecret = "s3cret"', "secret: the secret is shorter than 24 bytes"),
        ('webhook = "https://x.example/"\nsecret = "whsec_s3cret!"', "secret: the text after whsec_ is not base64."),
        (f'{SLACK}\nlink = "enrich.example.com"', "link: expected a URL that begins with https://. Write where people"),
        (f'{SLACK}\nslak = "x"', 'slak: unknown key. Did you mean "slack"?'),
        (f'{SLACK}\nstores = ["abc124"]', 'stores (item 1): this store is not in the file. Did you mean "abc123"?'),
        (f'{SLACK}\nstores = "zzz"', "stores: this store is not in the file. Stores in this file: abc123."),
        ('mail = "mailto:s3cret"', "mail: expected a URL that begins with smtps:// or smtp://. For example: smtps://"),
        ('mail = "smtps://s3cret@h.example?to=a@b.example"', "mail: expected both a user and a password, or neither."),
        ('mail = "smtps://h.example?from=a@b.example"', "mail: the URL has no recipient."),
        ('mail = "smtps://h.example?to=a@b.example"', "mail: the URL does not say who sends the mail. Add from=."),
        ('mail = "smtps://h.example?to=nobody&from=a@b.example"', "mail: to= is not a mail address."),
        ('mail = "smtps://h.example?to=a@b.example&from=A <a@b.example>"', "mail: expected a URL that begins"),
        (
            'mail = "smtps://h.example?to=a@b.example&form=a@b.example"',
            'mail: the URL has an unknown key. Did you mean "from"?',
        ),
        ('mail = "smtps://u:s3cret/x@h.example?to=a@b.example"', "mail: expected a mail URL."),
        ('mail = "smtps://h.example/path?to=a@b.example"', "mail: expected no path and no # in the URL. In user and"),
    ],
)
def test_a_mistake_is_named_with_its_cure(lines: str, message: str) -> None:
    found = problem(notify(lines))
    assert found.startswith(f"stores.toml: [notify] {message}")
    assert "s3cret" not in found


def test_all_mistakes_are_reported_at_once() -> None:
    found = problems(notify('slack = "x"\nmail = "y"\nlink = "z"\nstores = ["abc124"]'))
    assert [line.removeprefix("stores.toml: [notify] ").partition(":")[0] for line in found] == [
        "slack",
        "mail",
        "link",
        "stores (item 1)",
    ]


def test_a_table_that_is_none_is_refused() -> None:
    assert problem(f'notify = "x"\n{STORE}').startswith(
        "stores.toml: [notify]: expected a table. For example: [notify],"
    )


class TestMail:
    @pytest.mark.parametrize(
        ("url", "port", "uses_tls", "is_local"),
        [
            ("smtps://smtp.example.com", 465, True, False),
            ("smtp://smtp.example.com", 587, False, False),
            ("smtp://smtp.example.com:2525", 2525, False, False),
            ("smtp://localhost", 25, False, True),
            ("smtps://127.0.0.1", 465, True, True),
        ],
    )
    def test_ports_are_those_of_mail_submission(self, url: str, port: int, uses_tls: bool, is_local: bool) -> None:
        account = parse_mail_url(f"{url}?to=a@b.example&from=c@d.example")
        assert (account.port, account.uses_tls, account.is_local) == (port, uses_tls, is_local)

    def test_user_and_password_may_have_any_sign(self) -> None:
        account = parse_mail_url("smtps://me%40x.example:p%2F%3F%23%3A@smtp.example.com?to=a@b.example,c+d@b.example")
        assert (account.user, account.password and account.password.get_secret_value()) == ("me@x.example", "p/?#:")
        assert account.recipients == ("a@b.example", "c+d@b.example")
        assert account.sender == "me@x.example"
        assert "p/?#:" not in repr(account)
