"""Checks of the stores file alone."""

from pathlib import Path

from service.checks import Finding, Level, check_file

GOOD = """
[stores.abc123]
access_token = "env:TOKEN"
client_secret = "env:SECRET"
po_number = "order.customer_message"
extra_fields = { Source = { value = "web" } }
"""
ENVIRON = {"TOKEN": "t", "SECRET": "s"}


def check(folder: Path, text: str) -> list[Finding]:
    path = folder / "stores.toml"
    path.write_text(text)
    configuration, findings = check_file(path, ENVIRON)
    assert (configuration is None) == any(found.level is Level.ERROR for found in findings)
    return findings


def test_a_valid_file_is_one_finding(tmp_path: Path) -> None:
    valid = Finding(Level.OK, None, "stores file", "is valid: 1 store with 2 rules.")
    assert check(tmp_path, GOOD) == [valid]


def test_all_problems_are_reported_at_once(tmp_path: Path) -> None:
    bad = GOOD.replace("env:TOKEN", "env:NOWHERE").replace("order.customer_message", "ordr.id")
    found = check(tmp_path, f"[bigcommerce]\nurl = 5\n{bad}")
    path = tmp_path / "stores.toml"
    assert {(finding.level, finding.store, finding.subject, finding.cure) for finding in found} == {
        (Level.ERROR, None, f"{path}: [bigcommerce] url", 'Did you mean "api_url"?'),
        (Level.ERROR, None, f"{path}: [stores.abc123] access_token", "Set it where this program runs."),
        (Level.ERROR, None, f"{path}: [stores.abc123.po_number] from", 'Did you mean "order"?'),
    }


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    configuration, (found,) = check_file(tmp_path / "stores.toml", {})
    assert configuration is None
    assert (found.level, found.message) == (Level.ERROR, "the stores file does not exist.")


def test_each_literal_secret_is_a_warning_of_its_store(tmp_path: Path) -> None:
    literal = GOOD.replace('"env:TOKEN"', '["env:TOKEN", "t0p"]')
    literal = literal.replace("po_number", "webhook_headers = { X-Key = 's3cret' }\npo_number")
    _, *found = check(tmp_path, literal)

    message = "the secret itself is in the stores file."
    cure = "Keep it outside, and write env:NAME or file:/path here."
    assert found == [
        Finding(Level.WARNING, "abc123", "access_token", message, cure),
        Finding(Level.WARNING, "abc123", "webhook_headers.X-Key", message, cure),
    ]


def test_channels_of_notify_are_a_finding_and_a_literal_secret_in_it_a_warning(tmp_path: Path) -> None:
    notify = '[notify]\nteams = ["https://a.example/", "https://b.example/"]\nstores = ["abc123"]\n'
    _, *found = check(tmp_path, notify + GOOD)
    message = "the secret itself is in the stores file."
    cure = "Keep it outside, and write env:NAME or file:/path here."
    assert found == [
        Finding(Level.OK, None, "[notify]", "messages about abc123 go to teams. `enrich notify test` sends one."),
        Finding(Level.WARNING, None, "[notify] teams", message, cure),
    ]


def test_each_endpoint_that_is_not_bigcommerce_is_a_warning(tmp_path: Path) -> None:
    where = 'api_url = "http://127.0.0.1:9100"\nb2b_api_url = "https://api-b2b.bigcommerce.com/"'
    _, found = check(tmp_path, f"[bigcommerce]\n{where}\n{GOOD}")
    assert found == Finding(
        Level.WARNING,
        None,
        "[bigcommerce] api_url",
        "calls go to http://127.0.0.1:9100 instead of https://api.bigcommerce.com.",
        "This is fine for tests; remove the key in production.",
    )
