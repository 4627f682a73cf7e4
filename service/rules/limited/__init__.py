"""Evaluates rules that somebody is still writing, in a process of its own that may be killed."""

from service.rules.limited.evaluator import LimitedEvaluator

__all__ = ["LimitedEvaluator"]
