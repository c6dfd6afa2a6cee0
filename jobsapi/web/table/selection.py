"""One command for several jobs, and in words what has come of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from jobsapi import policy
from jobsapi.exceptions import JobsApiError
from jobsapi.models import Job
from jobsapi.models.deletion import count
from jobsapi.models.rows import JobQuerySet
from jobsapi.status import Status
from jobsapi.web.table.options import LARGEST


class Command(NamedTuple):
    """What can be done with several jobs at once."""

    method: str
    label: str
    asks: str
    """``{n}`` is how many they are."""
    done: str
    refused: str


COMMANDS: Mapping[str, Command] = {
    "stop": Command("stop", "Stop", "Stop the selected jobs ({n})?", "asked to stop", "had ended already"),
    "resubmit": Command(
        "resubmit",
        "Run again",
        "Run the selected jobs ({n}) again? Their present results are dropped; "
        "workflows that failed keep the nodes that have ended well.",
        "asked to run again",
        "cannot be run again",
    ),
    "delete": Command(
        "delete",
        "Delete",
        "Delete the selected jobs ({n}) and their results? This cannot be undone.",
        "deleted",
        "still under way, so stop first",
    ),
}


def chosen(user: Any, jobs: JobQuerySet, numbers: Iterable[str]) -> JobQuerySet:
    """Those of the table's jobs with these numbers that the user may act on; the others do not exist."""
    wanted = [int(number) for number in numbers if number.isdecimal() and len(number) < 19][:LARGEST]
    found: JobQuerySet = policy.manageable(user, jobs.filter(pk__in=wanted)).select_related("scheduler")
    return found


def apply(command: Command, jobs: Sequence[Job]) -> str:
    """Do it to each, as far as it is possible now, and say what has come of it: ``"3 deleted, 1 still under way"``."""
    if command.method == "delete":
        possible = [job.pk for job in jobs if job.ended or job._status == Status.PENDING]
        done = Job.objects.filter(pk__in=possible).delete()[0] if possible else 0
        refusals: list[str] = []
    else:
        done, refusals = 0, []
        for job in jobs:
            try:
                getattr(job, command.method)()
                done += 1
            except JobsApiError as error:
                refusals.append(str(error))
    left = len(jobs) - done
    told = [f"{count(done, 'job')} {command.done}"] if done or not left else []
    if left:
        why = f": {refusals[0]}" if command.method == "resubmit" and refusals else ""
        told.append(f"{left:,} {command.refused}{why}" if told else f"{count(left, 'job')} {command.refused}{why}")
    words = ", ".join(told)
    return words[:1].upper() + words[1:] + ("" if words.endswith(".") else ".")
