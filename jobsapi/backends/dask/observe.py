"""What the scheduler's answer means for a job. Pure functions."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from jobsapi import conf
from jobsapi.backends.base import Accepted, Observation
from jobsapi.backends.dask.scheduler import Failure, Pinned, Snapshot
from jobsapi.backends.dask.tasks import task_name
from jobsapi.status import Status

if TYPE_CHECKING:
    from jobsapi.models import Job

NO_LITERAL = (ValueError, SyntaxError, TypeError, RecursionError, MemoryError)
"""What ``ast.literal_eval`` raises for what only looks like arguments: a dict as a key, ten thousand minus signs.

https://docs.python.org/3/library/ast.html#ast.literal_eval
"""
ARGUMENTS = 20_000
"""Characters of the arguments of an exception that are looked into."""
RESTARTED = "The Dask scheduler was restarted and has lost the job."


def datasets_of(job: Job) -> str:
    """What the names of the datasets of all attempts of a job begin with."""
    return f"{conf.get('PORTAL')}/{job.uid.hex}/"


def dataset_of(job: Job) -> str:
    """The name under which this attempt of a job is published."""
    assert job.submission_id is not None
    return f"{datasets_of(job)}{job.submission_id.hex}"


def accepted(name: str, snapshot: Snapshot, total: int | None = None) -> Accepted | None:
    """The job whose dataset is ``name``, if the scheduler has all of it. A job of one leaf goes by the leaf's key."""
    pinned = snapshot["datasets"].get(name)
    if pinned is None or pinned["leaves"].get("missing"):
        return None
    native_id = pinned["key"] if isinstance(pinned["key"], str) else name
    taken_by = {"scheduler_id": snapshot["scheduler_id"], "started": snapshot["started"]}
    return Accepted(native_id, {**taken_by, "ran": False, "failed": 0, "errors": []}, total or pinned["total"])


def observation(name: str, snapshot: Snapshot, state: Mapping[str, Any]) -> Observation | None:
    """What is seen of the job whose dataset is ``name``; None when the scheduler does not know it.

    ``state`` is the job's ``backend_state``: the scheduler that took it, whether it has been seen running, and its
    ``tasks`` by name, as ``tasks.Named`` has them.
    """
    pinned = snapshot["datasets"].get(name)
    if pinned is None:
        taken_by = state.get("scheduler_id")
        lost = taken_by is not None and taken_by != snapshot["scheduler_id"]
        return Observation(Status.SUBMITTED, message=RESTARTED, lost=True) if lost else None
    if pinned["leaves"].get("missing"):
        return None
    status, message, detail, found = _read(pinned, snapshot["workers"], was_running=bool(state.get("ran")))
    done, total = pinned["done"], pinned["total"]
    if pinned["tasks"]:
        found["tasks"] = tasks = remembered(state.get("tasks") or (), pinned["tasks"])
        done, total = sum(row[1] for row in tasks), sum(sum(row[1:]) for row in tasks)
    return Observation(
        status,
        message=message,
        detail=detail,
        progress_done=done,
        progress_total=total,
        state={key: value for key, value in found.items() if state.get(key) != value},
    )


def _read(pinned: Pinned, workers: int, *, was_running: bool) -> tuple[Status, str, str, dict[str, Any]]:
    """Status, message, detail, and what to keep in ``backend_state``."""
    leaves, failures = pinned["leaves"], pinned["failures"]
    parts, well, badly = sum(leaves.values()), leaves.get("memory", 0), leaves.get("erred", 0)
    if well == parts:
        return Status.RESULTS_READY, "", "", {}
    if badly == parts:
        words = error_words(failures[0])
        message = words if parts == 1 else f"All {parts} parts failed: {words}"
        return Status.ERROR, message, error_detail(failures[0]), {}
    if well + badly == parts:
        errors = [error_words(each) for each in failures]
        message = failed_words(badly, parts, errors[0])
        return Status.RESULTS_READY, message, error_detail(failures[0]), {"failed": badly, "errors": errors}
    if well + badly:
        done = f"{well + badly} of {parts} parts done"
        detail = error_detail(failures[0]) if failures else ""
        return Status.VARIOUS, f"{done}, {badly} failed" if badly else done, detail, {"ran": True}
    if workers and (pinned["busy"] or pinned["done"]):
        return Status.RUNNING, "", "", {"ran": True}
    if not workers:
        return Status.SUBMITTED, "Waiting for a worker: none is connected to the Dask scheduler.", "", {}
    if "no-worker" in leaves:
        return Status.SUBMITTED, "Waiting for a worker: none of those connected fits the job.", "", {}
    return (Status.RUNNING if was_running else Status.SUBMITTED), "", "", {}


def remembered(before: Sequence[Sequence[Any]], now: Sequence[Sequence[Any]]) -> list[list[Any]]:
    """Tasks by name, where those that Dask has forgotten altogether, as it does when nothing needs them, count as done.

    The graph of an attempt never shrinks, so what is missing from it is what was forgotten.
    """
    counted = {name: list(numbers) for name, *numbers in now}
    for name, done, *others in before:
        numbers = counted.setdefault(name, [0] * (1 + len(others)))
        numbers[0] += min(max(done + sum(others) - sum(numbers), 0), done)
    order = dict.fromkeys([*(name for name, *_ in before), *counted])
    return [[name, *counted[name]] for name in sorted(order, key=lambda name: name == "")]


def failed_words(failed: int, parts: int, first: str) -> str:
    """How many parts failed, and why the first one did."""
    return f"{failed} of {parts} parts failed: {first}"


def error_words(failure: Failure) -> str:
    """One line, as in ``ValueError: bad depth (in task 'simulate')``."""
    return f"{exception_words(failure['exception'])} (in task '{task_name(failure['task'])}')"


def error_detail(failure: Failure) -> str:
    """The traceback as Python prints it."""
    return f"Traceback (most recent call last):\n{failure['traceback']}{exception_words(failure['exception'])}\n"


def exception_words(text: str) -> str:
    """``ValueError: bad depth`` from ``ValueError('bad depth')``, which is all that the scheduler has of it."""
    match = re.fullmatch(r"([\w.]+)\((.*)\)", text, re.DOTALL)
    if match is None:
        return text
    kind, inner = match.groups()
    if len(inner) > ARGUMENTS:
        return text
    if kind == "KilledWorker":
        return "KilledWorker: the workers that ran it died, several times over (is there enough memory?)"
    try:
        arguments = ast.literal_eval(f"({inner},)") if inner else ()
        words = f": {arguments if len(arguments) > 1 else arguments[0]}" if arguments else ""
    except NO_LITERAL:
        return text
    return f"{kind}{words}"
