"""The files that a job works with, folder by folder. A browser's path is taken step by step, and follows no link."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import NamedTuple
from urllib.parse import urlencode

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from jobsapi.exceptions import InvalidJob, OutputNotAllowed
from jobsapi.htcondor.names import REPORT_FILE
from jobsapi.models import CondorJob, CondorWorkflow, Job
from jobsapi.models.outputs import Listed, Listing, list_folder, open_file
from jobsapi.web.access import visible_job
from jobsapi.web.job.downloads import Download, plain_name
from jobsapi.web.job.frame import frame, may_see_files

HERE = "Files"
PAGE = 1_000
"""Entries on a page."""
DEEPEST, LONGEST = 100, 4_096
"""Folders in each other, and characters of a path, that are looked at."""

KINDS = {"link": "a link, which is not followed", "other": "no plain file"}


class Step(NamedTuple):
    """A folder on the way to the one that is shown."""

    name: str
    address: str


class Line(NamedTuple):
    """Something in the folder that is shown."""

    entry: Listed
    name: str
    """As it can be read: what is no letter is told by its code."""
    address: str
    """Where it leads; empty if it is not served."""
    words: str


@dataclass(frozen=True)
class Place:
    """Where a job's files are."""

    workspace: str
    base: tuple[str, ...]
    """What leads from the workspace to the job's own folder, if it has one."""
    problem: str = ""
    """Why there is nothing to show."""

    @classmethod
    def of(cls, job: Job) -> Place:
        """The job's own folder, or the workspace that it shares with other jobs."""
        if not isinstance(job, CondorJob | CondorWorkflow):
            return cls(job.workspace, ())
        base = (job.folder.name,)
        try:
            if job.attempt_in_folder() is None:
                return cls(job.workspace, base, "The job has no files yet: its folder is made when it is submitted.")
        except InvalidJob as error:
            return cls(job.workspace, base, str(error))
        away = "" if job.files_are_here else "Its files lie at the submit host, and are brought here when it has ended."
        return cls(job.workspace, base, away)


@never_cache
@login_required
@require_safe
def job_files(request: HttpRequest, job_id: int) -> HttpResponse:
    """What is in the job's folder, or in ``?folder=`` below it; a page of it, with ``&after=`` the next one."""
    job = _visible(request, job_id)
    parts, after = _parts(request.GET.get("folder", "")), request.GET.get("after", "")
    place = Place.of(job)
    listing, problem = None, place.problem
    if not problem:
        try:
            listing = list_folder(place.workspace, (*place.base, *parts), after=after, limit=PAGE)
        except FileNotFoundError as error:
            if parts:
                raise Http404("There is no such folder.") from error
            problem = "There are no files: the folder has not been made yet."
        except (OSError, OutputNotAllowed) as error:
            problem = f"The folder cannot be shown: {_reason(error)}"
    context = {
        **frame(request, job, HERE),
        "problem": problem,
        "listing": listing,
        "lines": _lines(job, parts, listing) if listing else [],
        "steps": [Step(readable(part), _address(job, parts[: depth + 1])) for depth, part in enumerate(parts)],
        "own": bool(place.base),
        "is_further": bool(after),
        "top": _address(job, parts),
        "more": _address(job, parts, after=listing.more_after) if listing and listing.more_after else "",
    }
    return render(request, "jobsapi/files.html", context)


@never_cache
@login_required
@require_safe
def download_file(request: HttpRequest, job_id: int) -> HttpResponseBase:
    """One of the job's files, as ``?path=`` names it."""
    job = _visible(request, job_id)
    parts = _parts(request.GET.get("path", ""))
    place = Place.of(job)
    if not parts or place.problem or REPORT_FILE in parts:
        raise Http404("There is no such file.")
    try:
        file = open_file(place.workspace, (*place.base, *parts))
    except (OSError, OutputNotAllowed) as error:
        raise Http404("There is no such file.") from error
    return Download(request, file, plain_name(parts[-1]), os.fstat(file.fileno()).st_size)


def readable(name: str) -> str:
    """A name as it can be read in a line: ``two\\nlines`` for one with a line break, “ x” for one that spaces begin."""
    words = "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in name)
    return words if words == words.strip() else f"“{words}”"


def _visible(request: HttpRequest, job_id: int) -> Job:
    job = visible_job(request.user, job_id)
    if not may_see_files(request.user, job):
        raise Http404("The files of this job are not shared.")
    return job


def _parts(path: str) -> tuple[str, ...]:
    """The steps of a path. Each is looked at before it is taken: see ``jobsapi.models.outputs``."""
    parts = tuple(part for part in path.split("/") if part)
    if len(path) > LONGEST or len(parts) > DEEPEST:
        raise Http404("There is no such path.")
    return parts


def _lines(job: Job, parts: tuple[str, ...], listing: Listing) -> list[Line]:
    return [
        Line(entry, readable(entry.name), _leads_to(job, (*parts, entry.name), entry), KINDS.get(entry.kind, ""))
        for entry in listing.entries
        if (parts or entry.name != mark_of(job)) and entry.name != REPORT_FILE
    ]


def mark_of(job: Job) -> str:
    """The file of ours in a job's own folder, which is nobody's concern."""
    return job.MARK if isinstance(job, CondorJob | CondorWorkflow) else ""


def _leads_to(job: Job, parts: tuple[str, ...], entry: Listed) -> str:
    if entry.kind == "folder":
        return _address(job, parts)
    if entry.kind == "file":
        return f"{reverse('jobsapi:job-file', args=[job.pk])}?{urlencode({'path': '/'.join(parts)})}"
    return ""


def _address(job: Job, parts: tuple[str, ...], **more: str) -> str:
    query = urlencode({"folder": "/".join(parts), **more} if parts else more)
    return reverse("jobsapi:job-files", args=[job.pk]) + (f"?{query}" if query else "")


def _reason(error: Exception) -> str:
    return error.strerror or "it cannot be read" if isinstance(error, OSError) else str(error)
