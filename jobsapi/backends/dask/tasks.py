"""How the tasks of a job are, by name. Runs on the Dask scheduler itself, as ``scheduler.py`` does."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from dask.utils import key_split

RESULT_OF = "result-of-"
"""What the keys of the tasks begin with that only pass a leaf on. They are not counted as progress."""
NAMES_SHOWN = 30
"""Names of tasks that are counted apart; the others of a graph are counted together."""
NAME_CHARACTERS = 80


class Named(NamedTuple):
    """How the tasks of one name are. It leaves the scheduler as a plain tuple."""

    name: str
    """Empty for those of all names that are not counted apart."""
    done: int
    """Also those whose values Dask has let go of, since nothing needs them any more."""
    at_workers: int
    waiting: int
    failed: int
    not_run: int
    """Never to be run: they wait for a task that failed, or only such tasks wait for them."""


DONE, AT_WORKERS, WAITING, FAILED, NOT_RUN = NUMBERS = range(5)
"""Where each number of ``Named`` stands, behind the name."""
STATES = {"memory": DONE, "released": DONE, "processing": AT_WORKERS, "erred": FAILED}
"""Which of them a task counts for by its state in Dask; in any other state it waits."""


def counts(roots: Sequence[Any], limit: int) -> list[Named]:
    """How the tasks below ``roots`` are, by name; empty when there are more than ``limit``.

    Dask has cut the names out of the keys already, as the tasks' prefixes: to do it here would take thrice as long.
    """
    found = reached(roots, limit)
    if len(found) > limit:
        return []
    numbers: dict[Any, list[int]] = {}
    for (prefix, state), amount in Counter([(ts.prefix, ts.state) for ts in found]).items():
        numbers.setdefault(prefix, [0] * len(NUMBERS))[STATES.get(state, WAITING)] += amount
    first: dict[Any, tuple[float, ...]] = {}
    for ts in found:
        order = ts.priority or ()
        if ts.prefix not in first or order < first[ts.prefix]:
            first[ts.prefix] = order
        if ts.state in ("released", "erred") and not was_run(ts):
            numbers[ts.prefix][STATES[ts.state]] -= 1
            numbers[ts.prefix][NOT_RUN] += 1
    # Of "result-of-count_hits-0" the prefix is "result-of".
    named = [prefix for prefix in numbers if not f"{prefix.name}-".startswith(RESULT_OF)]
    named.sort(key=lambda prefix: (first[prefix], prefix.name))
    return [Named(task_name(prefix.name), *numbers[prefix]) for prefix in named]


def was_run(ts: Any) -> bool:
    """Whether a task that is not to be run any more has been run: it had a value, or it is the one that raised."""
    return bool(ts.nbytes >= 0 if ts.state == "released" else ts.exception_blame is ts)


def shortened(counted: Sequence[Named]) -> list[Named]:
    """At most ``NAMES_SHOWN``: those of most tasks, and behind them all others together."""
    if len(counted) <= NAMES_SHOWN:
        return list(counted)
    kept = set(sorted(counted, key=lambda named: -sum(named[1:]))[: NAMES_SHOWN - 1])
    others = zip(*(named[1:] for named in counted if named not in kept), strict=True)
    return [*(named for named in counted if named in kept), Named("", *map(sum, others))]


def total(counted: Iterable[Named]) -> int:
    """How many tasks these are."""
    return sum(sum(named[1:]) for named in counted)


def task_name(key: Any) -> str:
    """The name of a task without what makes its key unique."""
    text = str(key[0] if isinstance(key, tuple) else key)
    return str(key_split(text.rpartition("@")[0] or text))[:NAME_CHARACTERS]


def reached(roots: Sequence[Any], limit: int) -> set[Any]:
    """The tasks that ``roots`` depend on, themselves included; not many more than ``limit``."""
    found, todo = set(roots), list(roots)
    while todo and len(found) <= limit:
        fresh = todo.pop().dependencies - found
        found |= fresh
        todo += fresh
    return found
