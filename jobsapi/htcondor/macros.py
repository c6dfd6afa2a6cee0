"""The macros of a submit description: what ``$(name)`` becomes."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from jobsapi.exceptions import InvalidJob
from jobsapi.shown import shown

MACRO = re.compile(r"(?P<dollars>\$+)(?P<function>[A-Za-z_]*)\((?P<name>[^():$]*)(?::(?P<default>[^()$]*))?\)")
LONGEST = 1_000_000
"""Characters that a value may have when its macros are replaced."""
ROUNDS = 10
"""How often macros may make new ones, as in ``$(a$(b))``."""

Unknown = Callable[[re.Match[str]], str]


def value_of(name: str, values: Mapping[str, str], unknown: Unknown) -> str:
    """What ``$(name)`` becomes among ``values``, which are named in small letters; "" if it is not there.

    ``unknown`` says what to put for a macro that is not among them, and for functions such as ``$INT(…)``. Raises
    ``InvalidJob`` when macros go in circles, over which condor_submit would never end, or become huge.
    """
    return expand(values.get(name, ""), values, unknown, (name,))


def expand(text: str, values: Mapping[str, str], unknown: Unknown, within: tuple[str, ...] = ()) -> str:
    """``text`` with its macros replaced; see ``value_of``. ``within``: the macros whose values it is part of."""
    for _ in range(ROUNDS):
        replaced = _once(text, values, unknown, within) if "$" in text else text
        if replaced == text:
            return text
        text = replaced
    raise InvalidJob(f"The macros of {shown(text)} make ever new ones. Write them plainly.")


def _once(text: str, values: Mapping[str, str], unknown: Unknown, within: tuple[str, ...]) -> str:
    known: dict[str, str] = {}
    parts, end, length = list[str](), 0, 0
    for match in MACRO.finditer(text):
        name = match["name"].strip().lower()
        if match["dollars"] != "$" or match["function"] or name not in values:
            value = unknown(match)
        elif within and within[-1] == name:
            value = ""  # it means the value that it had before
        elif name in within:
            circle = " → ".join(f"$({each})" for each in (*within[within.index(name) :], name))
            raise InvalidJob(f"The macros go in a circle: {circle}. Break it.")
        else:
            if name not in known:
                known[name] = expand(values[name], values, unknown, (*within, name))
            value = known[name]
        parts += [text[end : match.start()], value]
        end = match.end()
        length += len(parts[-2]) + len(value)
        if length > LONGEST:
            raise InvalidJob(f"With its macros replaced, {shown(text)} has more than {LONGEST:,} characters.")
    return "".join([*parts, text[end:]])
