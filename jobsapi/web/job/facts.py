"""What is known of a job, as pairs of a name and words: what it is, what it was given, what its scheduler says."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from itertools import islice
from typing import Any, NamedTuple

from django.urls import NoReverseMatch, reverse

from jobsapi import policy
from jobsapi.models import CondorJob, CondorWorkflow, DaskJob, Job, JobBlob, Purpose
from jobsapi.models.progress import words
from jobsapi.models.spec import spec_property
from jobsapi.web.inside import parts
from jobsapi.web.job import frame
from jobsapi.web.rows import duration

LONG = 4_000
"""Characters of a value that are shown."""
MOST = 200
"""Pairs that are shown."""


class Fact(NamedTuple):
    """A name, and what is said: one of words, a moment, lines of text, or pairs."""

    name: str
    words: str = ""
    time: datetime | None = None
    text: str = ""
    pairs: tuple[tuple[str, str], ...] = ()
    link: str = ""


def about(user: Any, job: Job) -> Iterator[Fact]:
    """What it is, whose, where, and when."""
    yield Fact("Type", job.type)
    if job.label:
        yield Fact("App", job.label)
    if job.scheduler is not None:
        yield Fact("Scheduler", job.scheduler.name, link=_admin_of(job.scheduler) if user.is_staff else "")
    if job.native_id:
        yield Fact(_name_of_id(job), job.native_id)
    if job.submission_id is not None:
        yield Fact("Submission id", str(job.submission_id))
    if job.attempts > 1:
        yield Fact("Attempt", f"{job.attempts}; its scheduler lost those before")
    if job.priority:
        yield Fact("Priority", str(job.priority))
    yield from _times(job)
    if job.workspace and policy.may_share(user, job):
        yield Fact("Workspace", str(job.folder) if isinstance(job, CondorJob | CondorWorkflow) else job.workspace)


def _name_of_id(job: Job) -> str:
    return "Cluster id" if frame.has_own_folder(job) else "Key" if isinstance(job, DaskJob) else "Native id"


def _times(job: Job) -> Iterator[Fact]:
    yield Fact("Created", time=job.creation_time)
    if job.execute_time:
        yield Fact("Asked to run", time=job.execute_time)
    if job.start_time:
        yield Fact("Started", time=job.start_time)
    if job.completion_time:
        yield Fact("Ended", time=job.completion_time)
        if length := job.run_time:
            yield Fact("Took", duration(length) + ("" if job.start_time else ", with all waiting"))


def _admin_of(scheduler: Any) -> str:
    try:
        return reverse(f"admin:jobsapi_{type(scheduler)._meta.model_name}_change", args=[scheduler.pk])
    except NoReverseMatch:  # a site without our admin
        return ""


def given(job: Job) -> Iterator[Fact]:
    """What the app said of the job. What ``execute()`` was given stays sealed: only its size is told."""
    if isinstance(job, CondorJob):
        yield Fact("Attributes", pairs=_pairs(job.attributes))
        yield Fact("Times to run", f"{job.num_jobs:,}")
        if job.condorpy_template_name:
            yield Fact("Template", job.condorpy_template_name)
    if isinstance(job, CondorWorkflow):
        if job.max_jobs:
            yield Fact("At a time", pairs=_pairs(job.max_jobs))
        if job.config:
            yield Fact("Configuration", job.config)
    if isinstance(job, CondorJob | CondorWorkflow):
        if job.remote_input_files:
            yield Fact("Input files", text=_lines(job.remote_input_files))
        if job.submit_options:
            yield Fact("Submit options", text=_lines(job.submit_options))
    if isinstance(job, DaskJob):
        yield Fact("Work", _work(job))
        if job.forget:
            yield Fact("Result", "not to be kept (forget)")
    if job._process_results_function:
        yield Fact("Processing function", job._process_results_function)
    if job.outputs:
        yield Fact("Outputs", pairs=_pairs(job.outputs))
    properties = {key: value for key, value in job.extended_properties.items() if key != job.OTHER_STATUS_KEY}
    if properties:
        yield Fact("Extended properties", pairs=_pairs(properties))
    told = {name: value for name, value in job.spec.items() if name not in SHOWN_OTHERWISE}
    if others := {name: value for name, value in told.items() if not _is_as_usual(job, name, value)}:
        yield Fact("Other attributes", pairs=_pairs(others))


def _is_as_usual(job: Job, name: str, value: Any) -> bool:
    """Whether an attribute says nothing that its type does not say without it."""
    described = getattr(type(job), name, None)
    return value in ("", [], {}, None) or (isinstance(described, spec_property) and value == described.default())


SHOWN_OTHERWISE = frozenset(
    {
        "attributes",
        "num_jobs",
        "condorpy_template_name",
        "remote_input_files",
        "submit_options",
        "max_jobs",
        "config",
        "from_start",
        "resubmitted",
        "forget",
        "outputs",
    }
)
"""Entries of ``spec`` that have a line of their own, or that are no words of the app's."""


def _work(job: DaskJob) -> str:
    if job.backend_state.get("from_future"):
        return "a Future that the app had made"
    if job.submission_id is None:
        return "none yet"
    kept = JobBlob.of(job, Purpose.INPUT)
    if kept is None:
        return "not kept any more"
    return f"a packed graph or function, {_size(kept.size)}; sealed, and kept to run it again"


def at_scheduler(job: Job) -> Iterator[Fact]:
    """What the scheduler says of it, beyond its status."""
    said = job.reported.get("parts", {})
    if said and not job.ended and not isinstance(job, CondorWorkflow):  # its nodes have a page of their own
        yield Fact("What its parts say", pairs=tuple((name, words(said[name])) for name in islice(said, MOST)))
    for fact in parts.facts(job):
        if fact.name != "Cluster id":  # told already
            yield Fact(fact.name, fact.words)


def _pairs(values: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    pairs = ((str(name), value if isinstance(value, str) else json.dumps(value)) for name, value in values.items())
    return tuple((name, _cut(words)) for name, words in islice(pairs, MOST))


def _lines(values: Sequence[str]) -> str:
    return _cut("\n".join(values))


def _cut(text: str) -> str:
    return text if len(text) <= LONG else text[: LONG - 1] + "…"


def _size(count: int) -> str:
    return f"{count:,} bytes" if count < 10_000 else f"{count / 1e6:,.2f} MB"
