"""Which datasets at a Dask scheduler are this portal's. Pure functions."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from uuid import UUID

from jobsapi.backends.base import Accepted, Adoption, Found
from jobsapi.backends.dask.observe import accepted
from jobsapi.backends.dask.scheduler import Held, Snapshot
from jobsapi.backends.dask.tasks import RESULT_OF, task_name
from jobsapi.exceptions import InvalidJob

STATES = {"memory": "done", "erred": "failed", "processing": "running", "missing": "unknown to it"}
"""What users read of a leaf by its state in Dask; in any other state it waits."""


def prefix_of(portal: str) -> str:
    """What the names of the datasets of this portal begin with, and maybe those of others."""
    return f"{portal}/"


def found_in(held: Iterable[Held], portal: str) -> Iterator[Found]:
    """What is this portal's: the names are ``portal/job/attempt``, and a portal's own name may have a slash in it."""
    for each in held:
        name = re.fullmatch(rf"{re.escape(portal)}/([0-9a-f]{{32}})/([0-9a-f]{{32}})", str(each["name"]))
        if name is not None:
            yield Found(
                id=each["name"],
                what="dataset",
                submission_id=UUID(name[2]),
                uid=UUID(name[1]),
                kind="DaskJob" if each["published"] else "",
                native_id=each["key"] if isinstance(each["key"], str) else each["name"],
                name=name_of(each["key"]),
                words=words_of(each),
                size=each["nbytes"],
            )


def name_of(key: object) -> str:
    """What a job is called of which only the key of its result is known."""
    return task_name(str(key[0] if isinstance(key, tuple) else key).removeprefix(RESULT_OF)) if key else ""


def words_of(held: Held) -> str:
    """``2 done, 1 waiting``: how the leaves of a dataset are."""
    if not held["published"]:
        return "reserved, and never published"
    return ", ".join(f"{count:,} {STATES.get(state, 'waiting')}" for state, count in counted(held["leaves"]).items())


def counted(leaves: Mapping[str, int]) -> dict[str, int]:
    """The states of Dask with those together that users need not tell apart, the most frequent first."""
    found: dict[str, int] = {}
    for state, count in leaves.items():
        known = state if state in STATES else "waiting"
        found[known] = found.get(known, 0) + count
    return dict(sorted(found.items(), key=lambda pair: -pair[1]))


def adoption(found: Found, snapshot: Snapshot) -> Adoption:
    """See ``Backend.adopt``. Its graph is not known, so it can be submitted no second time."""
    outcome = accepted(found.id, snapshot)
    if outcome is None:
        raise InvalidJob("The Dask scheduler does not have all of it any more, so nobody can tell how it has ended.")
    state = {**outcome.state, "adopted": True}
    return Adoption(Accepted(outcome.native_id, state, outcome.progress_total), found.kind, found.name)
