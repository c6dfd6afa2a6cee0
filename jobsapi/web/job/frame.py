"""What stands around every page of one job: its head with the actions that are possible now, and the way to the others.

A page passes what ``frame`` gives to its template, which includes ``jobsapi/job/frame.html``. The head follows the job,
whichever of the pages is open: see ``jobsapi.web.job.page``.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, NamedTuple

from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone

from jobsapi import policy
from jobsapi.models import CondorJob, CondorWorkflow, Job
from jobsapi.status import Status
from jobsapi.web.job.again import Again
from jobsapi.web.rows import Row, places_of

POLL = 2
"""Seconds between two looks at a job that has not ended."""

NEVER_RUN = "It has not been run yet. The app that made it starts it."


class Action(NamedTuple):
    """A button of the head."""

    command: str
    """The end of the name of its address: ``jobsapi:job-<command>``."""
    label: str
    question: str
    """What is asked first; empty if nothing is."""
    then: str
    """Where to go on without a script."""


class Tab(NamedTuple):
    """A page of the job."""

    name: str
    address: str
    is_here: bool


@dataclass(frozen=True)
class Section:
    """A piece of a page that is sent anew when its version has changed."""

    name: str
    template: str
    shown: Any
    """All that the template shows; no texts that change with the clock, which are made when it is rendered."""

    @property
    def version(self) -> str:
        """Differs when what is shown differs."""
        return blake2b(repr(self.shown).encode("utf-8", "replace"), digest_size=6).hexdigest()

    @property
    def seen(self) -> str:
        """What a page that shows it sends along to be told of changes."""
        return f"{self.name}.{self.version}"


@dataclass(frozen=True)
class Head:
    """What is said of the job on top of each of its pages."""

    row: Row
    app: str
    owner: str
    scheduler: str
    note: str
    actions: tuple[Action, ...]
    tabs: tuple[Tab, ...]


def frame(request: HttpRequest, job: Job, here: str) -> dict[str, Any]:
    """The context of a page: ``job``, ``row``, ``head``, ``heartbeat``, ``said``, ``now``.

    ``here``: the name of the page among the tabs.
    """
    head = head_section(request, job, here)
    return {
        "job": job,
        "here": here,
        "row": head.shown.row,
        "head": head,
        "heartbeat": heartbeat_section(job, here),
        "said": said_section(job),
        "now": timezone.now(),
    }


def head_section(request: HttpRequest, job: Job, here: str) -> Section:
    """Name, status, progress, messages and actions."""
    row = Row.of(job, place=places_of([job]).get(job.pk, ""))
    manages = policy.may_manage(request.user, job)
    head = Head(
        row=row,
        app=job.label,
        # Most look at their own: whose it is need not be read then.
        owner=(request.user if job.user_id == request.user.pk else job.user).get_username(),
        scheduler=job.scheduler.name if job.scheduler else "",
        note=NEVER_RUN if job._status == Status.PENDING and not row.can_run else "",
        actions=tuple(_actions(job, row)) if manages else (),
        tabs=tuple(_tabs(request, job, row, here)),
    )
    return Section("head", "jobsapi/job/head.html", head)


def heartbeat_section(job: Job, here: str) -> Section:
    """What asks for news: every few seconds, until the job has ended."""
    return Section("heartbeat", "jobsapi/job/heartbeat.html", {"seconds": 0 if job.ended else POLL, "here": here})


def said_section(job: Job) -> Section:
    """The status alone, for screen readers: they are told when it changes, and not of every second that passes."""
    return Section("said", "jobsapi/job/said.html", f"Job {job.pk}: {job.cached_status}")


def may_see_files(user: Any, job: Job) -> bool:
    """Whether the user may look at the job's files.

    Who sees the job sees a folder that is its own. In a workspace lie files of other jobs of its owner, too.
    """
    return has_own_folder(job) or (bool(job.workspace) and (job.user_id == user.pk or policy.manages_all(user)))


def has_own_folder(job: Job) -> bool:
    """Whether its files lie in a folder where nothing of other jobs is."""
    return isinstance(job, CondorJob | CondorWorkflow)


def _actions(job: Job, row: Row) -> list[Action]:
    here = reverse("jobsapi:job", args=[job.pk])
    again = Again(job)
    every = (
        (row.can_run, Action("run", "Run", "", here)),
        (row.can_pause, Action("pause", "Pause", "", here)),
        (row.can_resume, Action("resume", "Resume", "", here)),
        (row.can_run_again, Action("resubmit", "Run again", again.question, here)),
        (
            row.can_run_again and bool(again.from_start),
            Action("resubmit-all", "Run all nodes again", again.from_start, here),
        ),
        (row.can_stop, Action("stop", "Stop", f"Stop job {job.pk}? What it has done so far may be lost.", here)),
        (
            row.can_delete,
            Action("delete", "Delete", f"Delete job {job.pk} with its logs and results?", reverse("jobsapi:jobs")),
        ),
    )
    return [action for possible, action in every if possible]


def _tabs(request: HttpRequest, job: Job, row: Row, here: str) -> list[Tab]:
    pages = [("Overview", "job"), (row.parts, "job-parts"), ("Logs", "job-logs"), ("Result", "job-result")]
    if may_see_files(request.user, job):
        pages.append(("Files", "job-files"))
    return [Tab(name, reverse(f"jobsapi:{page}", args=[job.pk]), name == here) for name, page in pages if name]
