"""How ``--help`` tells which values an option takes: in words, where Typer writes names of Python types."""

from pathlib import Path
from typing import Any, get_args, get_origin

from typer.core import TyperArgument, TyperCommand, TyperGroup, TyperOption

_WORDS: dict[Any, str] = {str: "TEXT", int: "NUMBER", float: "NUMBER", Path: "FILE"}


def describe_values(command: TyperCommand | TyperGroup) -> None:
    """Let the help of this command, and of all below it, say in words which values are expected.

    ``<int range>`` becomes ``NUMBER`` with its limits as ``1 to 50``; an argument is told by its name alone. A
    ``metavar`` of an option stays.
    """
    if isinstance(command, TyperGroup):
        for below in command.commands.values():
            assert isinstance(below, TyperCommand | TyperGroup)
            describe_values(below)
    for param in command.params:
        if isinstance(param, TyperOption | TyperArgument):
            word, limits = _word(param), _limits(param.min, param.max)
            param.display_type_rich = lambda ctx, word=word: word  # type: ignore[method-assign, misc]
            param._get_number_range_help_str = lambda limits=limits: limits  # type: ignore[method-assign, misc]  # noqa: SLF001


def _word(param: TyperOption | TyperArgument) -> str | None:
    if isinstance(param, TyperArgument):
        return None
    if param.is_flag or param.metavar is not None:
        return param.metavar
    described = param.type_descriptor
    if described.is_choice:
        return "|".join(getattr(choice, "value", str(choice)) for choice in described.choices or ())
    annotation: Any = described.annotation
    if get_origin(annotation) is list:
        (annotation,) = get_args(annotation)
    return _WORDS.get(annotation, "VALUE")


def _limits(least: float | None, most: float | None) -> str | None:
    match least, most:
        case None, None:
            return None
        case None, _:
            return f"at most {most}"
        case _, None:
            # Nobody has to be told that a count or a duration is not negative.
            return None if least in (0, 1) else f"at least {least}"
        case _:
            return f"{least} to {most}"
