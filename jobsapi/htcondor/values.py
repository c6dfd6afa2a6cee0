"""Texts and numbers as a line of a submit description or of a DAG file takes them."""

from __future__ import annotations

import math
import re
from typing import Any

from jobsapi.exceptions import InvalidJob
from jobsapi.shown import shown

INT32 = 2**31 - 1
CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f\ud800-\udfff]")
"""Control characters other than tabs, and halves of characters, which have no place in UTF-8."""
MOST_JOBS = 1_000_000
"""Procs of one job. A schedd that takes fewer says so itself."""


def check_text(what: str, text: Any, *, limit: int = 100_000) -> str:
    """``text`` as it is. Raises ``InvalidJob`` unless it is text that stays on its line.

    A line ends at a line break, and goes on in the next one after a backslash.
    """
    if not isinstance(text, str):
        raise InvalidJob(f"{what} is {shown(text)}, which is no text. Give it as text.")
    if len(text) > limit:
        raise InvalidJob(f"{what} has {len(text):,} characters, more than {limit:,}. Put it into an input file.")
    if CONTROL.search(text):
        raise InvalidJob(f"{what} has a line break or another control character in it: {shown(text)}. Remove it.")
    if text.rstrip().endswith("\\"):
        why = "ends in a backslash, which would join it with the next line"
        raise InvalidJob(f"{what} {why}. Remove it: {shown(text)}")
    return text


def scalar(what: str, value: Any) -> str:
    """A text, number or truth value as HTCondor writes it. Raises ``InvalidJob`` for anything else."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        if abs(value) >= 2**63:
            raise InvalidJob(f"{what} is {shown(value)}, which HTCondor has no room for.")
        return str(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise InvalidJob(f"{what} is {value}, which is no number.")
        return repr(value)
    if not isinstance(value, str):
        raise InvalidJob(f"{what} is {shown(value)}. Give it text, a number, True, False, or a list of texts.")
    return check_text(what, value)


def check_int(what: str, value: Any, least: int = -INT32, most: int = INT32) -> int:
    """``value`` as it is. Raises ``InvalidJob`` unless it is a whole number in the range."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise InvalidJob(f"{what} is {shown(value)}. Give it a whole number.")
    if not least <= value <= most:
        raise InvalidJob(f"{what} is {shown(value)}. HTCondor takes {least} to {most}.")
    return value


def check_count(what: str, value: Any) -> None:
    """Raises ``InvalidJob`` unless ``value`` is a number of procs that can be queued."""
    check_int(what, value, 1, MOST_JOBS)


def quoted(text: str) -> str:
    """``text`` as a string of a submit description, quotes around it. A backslash stands for itself there."""
    escaped = text.replace('"', '\\"')
    return f'"{escaped}"'
