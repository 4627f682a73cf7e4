"""The runbook: where it leads, it leads somewhere, and what it names exists."""

import re

from service.receiver.authentication import Refusal
from service.receiver.webhooks import Answer
from tests.fakes.log_table import PAGE, RUNBOOK, TABLE, names, section
from tests.docs.test_readme import commands

# What alerts link to: these paragraphs keep their names.
WHAT_TO_DO = {
    "orders-missing-the-window",
    "failures-waiting",
    "quota-nearly-spent",
    "hook-down-or-watch-on",
    "no-worker",
    "webhooks-refused",
    "redis-lost",
    "credentials-refused",
    "a-fault-of-this-program",
}


def slugs() -> list[str]:
    """The names by which headings can be linked to, as GitHub makes them."""
    text = re.sub(r"^```.*?^```$", "", RUNBOOK, flags=re.DOTALL | re.MULTILINE)
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return [re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings]


def test_every_link_on_the_page_leads_somewhere() -> None:
    assert len(slugs()) == len(set(slugs())), "two headings of one name"
    assert set(re.findall(r"\]\(#([^)]+)\)", RUNBOOK)) <= set(slugs())
    targets = re.findall(r"\]\((?!https?:|#)([^)#]+)", RUNBOOK)
    assert [target for target in targets if not (PAGE.parent / target).exists()] == []


def test_paragraphs_of_what_to_do_keep_their_names_and_each_is_led_to() -> None:
    assert set(slugs()) >= WHAT_TO_DO
    assert {link for row in TABLE.values() for link in re.findall(r"\]\(#([^)]+)\)", row.cure)} >= WHAT_TO_DO


def test_every_error_leads_to_a_paragraph_of_what_to_do() -> None:
    assert [row.event for row in TABLE.values() if "error" in row.levels and "](#" not in row.cure] == []


def test_every_command_and_option_that_is_named_exists() -> None:
    known = dict(commands())
    blocks = re.findall(r"^```\n(.*?)^```$", RUNBOOK, re.DOTALL | re.MULTILINE)
    code = "\n".join([*blocks, *re.findall(r"`([^`\n]+)`", RUNBOOK)])
    named = re.findall(r"^enrich ((?:orders |hooks )?[a-z]+)(.*)", code, re.MULTILINE)
    assert named
    assert {command for command, _ in named} <= known.keys()
    for command, rest in named:
        options = {option for parameter in known[command].params for option in parameter.opts}
        assert set(re.findall(r"(?<!\S)--[a-z-]+", rest)) <= options, command


def test_every_reason_of_a_refused_webhook_is_told() -> None:
    told = re.findall(r"^\| (`[^|]*) \|", section("Webhooks refused", 3), re.MULTILINE)
    reasons = {*Refusal, Answer.NOT_A_WEBHOOK, Answer.TOO_LARGE, Answer.TOO_SLOW}
    assert frozenset().union(*map(names, told)) == {reason.value for reason in reasons}
