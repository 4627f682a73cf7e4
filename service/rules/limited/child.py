"""The process that evaluates rules: one JSON line in, with rules and documents; one JSON line out for each rule.

It ends with its input. The kernel ends it where a rule takes too long, wherever it is just then.
"""

import json
import resource
import signal
import sys
from typing import Any

from service.rules.rule_evaluation import CompiledRule, RuleSet, Trace

CPU_LIMIT_S = 1.0
"""Of one rule over all documents. CPU time, so that a busy machine makes no rule too slow."""

DATA_LIMIT_BYTES = 384 * 1024 * 1024
"""Of the process, of which the interpreter and the libraries take about 60 MB."""

MAX_TEXT_LENGTH = 65_536
"""Characters of a value. BigCommerce takes 200 for an extra field; nothing in an order is longer."""

NO_LIMITS = 3
"""The exit code where the system does not let the process limit itself: then nothing is evaluated."""

Applied = tuple[str, str | None, str | None, int, str | None]
"""What a rule gave for a document: kind, source, text, place, failure."""


def main() -> None:
    """Answer requests until the input ends."""
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal's; the parent ends this process
    try:
        resource.setrlimit(resource.RLIMIT_DATA, (DATA_LIMIT_BYTES, DATA_LIMIT_BYTES))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    except OSError:  # a filter of system calls
        sys.exit(NO_LIMITS)
    for line in sys.stdin:
        request: dict[str, Any] = json.loads(line)
        for rule in RuleSet.from_json(request["rules"]).rules:
            signal.setitimer(signal.ITIMER_PROF, CPU_LIMIT_S)
            answer = json.dumps([_apply(rule, document) for document in request["documents"]])
            signal.setitimer(signal.ITIMER_PROF, 0)
            sys.stdout.write(answer + "\n")
            sys.stdout.flush()


def _apply(rule: CompiledRule, document: dict[str, Any]) -> Applied:
    trace, failure = rule.apply(document)
    if trace.text is not None and len(trace.text) > MAX_TEXT_LENGTH:
        trace = Trace(rule.name, None, "none", None, None)
        failure = f"gives more than {MAX_TEXT_LENGTH // 1024} KiB of text"
    return trace.kind, trace.source, trace.text, trace.place, failure


if __name__ == "__main__":
    main()
