"""``enrich demo --keep`` on a terminal: whoever tries it out is in the console with one link, and Ctrl-C ends it."""

import os
import pty
import re
import signal
import subprocess
from pathlib import Path

import httpx
import pytest

from tests.fakes.cli import COMMAND
from tests.integration.commands.test_console_of_up import read_until

# It starts six processes.
pytestmark = [pytest.mark.integration, pytest.mark.chaos]


def test_the_link_of_a_kept_demo_signs_in_and_an_order_waits_for_a_person(tmp_path: Path) -> None:
    terminal, its_end = pty.openpty()
    words = [*COMMAND, "demo", "--keep", "--orders", "30", "--rate", "20"]
    environ = {**os.environ, "TMPDIR": str(tmp_path)}
    with subprocess.Popen(words, env=environ, stdin=subprocess.DEVNULL, stdout=its_end, stderr=its_end) as process:
        os.close(its_end)
        try:
            printed = read_until(terminal, r"code=\S+\s", r"until you press Ctrl-C")
            form, _, code = re.findall(r"http://\S+/sign-in\?code=\S+", printed)[0].partition("?code=")
            with httpx.Client(trust_env=False, timeout=30, headers={"sec-fetch-site": "same-origin"}) as client:
                page = client.post(form, data={"code": code}, follow_redirects=True)
        finally:
            process.send_signal(signal.SIGINT)
            read_until(terminal, "$^")  # a full terminal would hold it up
        assert process.wait(40) == 0
    os.close(terminal)

    assert "Every order has the expected outcome." in printed
    assert page.status_code == 200
    assert "Sandbox Store: 3 orders failed." in page.text
    assert list(tmp_path.glob("enrich-demo-*")) == []
