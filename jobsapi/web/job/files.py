"""The files that a job works with, folder by folder. A browser's path is taken step by step, and follows no link."""

from __future__ import annotations

import os
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import NamedTuple
from urllib.parse import urlencode

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.utils.text import slugify
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from jobsapi.exceptions import InvalidJob, OutputNotAllowed
from jobsapi.htcondor.names import REPORT_FILE
from jobsapi.models import CondorJob, CondorWorkflow, Job
from jobsapi.models.outputs import Listed, Listing, list_folder, open_file
from jobsapi.web.access import visible_job
from jobsapi.web.job import archive
from jobsapi.web.job.archive import Contents, TooMany
from jobsapi.web.job.downloads import Attachment, Download, plain_name, stem
from jobsapi.web.job.frame import frame, may_see_files

HERE = "Files"
PAGE = 1_000
"""Entries on a page."""
DEEPEST, LONGEST = 100, 4_096
"""Folders in each other, and characters of a path, that are looked at."""

KINDS = {"link": archive.LINK, "other": archive.NO_FILE}


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
                never = "The job has no files: it was never submitted."
                later = "The job has no files yet: its folder is made when it is submitted."
                return cls(job.workspace, base, never if job.ended and not job.native_id else later)
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
    return _shown(request, job, _parts(request.GET.get("folder", "")), request.GET.get("after", ""))


@never_cache
@login_required
@require_safe
def download_all(request: HttpRequest, job_id: int) -> HttpResponseBase:
    """What is in the job's folder, or in ``?folder=`` below it, with all folders in it, as one zip."""
    job = _visible(request, job_id)
    parts = _parts(request.GET.get("folder", ""))
    place = Place.of(job)
    if place.problem:
        raise Http404("There are no files.")
    try:
        contents = _contents(job, place, parts)
    except TooMany:
        return _shown(request, job, parts, status=409)
    except (OSError, OutputNotAllowed) as error:
        raise Http404("There is no such folder.") from error
    if not contents.files:
        raise Http404("There are no files.")
    name = "-".join([stem(job), *([slugify(parts[-1])[:60] or "folder"] if parts else [])])
    way = (*place.base, *parts)
    pieces = archive.zipped(place.workspace, way, contents, name, lambda: _run_in_folder(job))
    return Attachment(request, _nothing() if request.method == "HEAD" else pieces, f"{name}.zip", "application/zip")


def _nothing() -> Generator[bytes]:
    yield from ()


def _run_in_folder(job: Job) -> str | None:
    """Of which run of the job the files are that lie in its own folder."""
    return job.attempt_in_folder() if isinstance(job, CondorJob | CondorWorkflow) else None


def _contents(job: Job, place: Place, parts: tuple[str, ...]) -> Contents:
    """What goes into a zip of a folder. Raises as ``archive.contents_of`` does."""
    return archive.contents_of(place.workspace, (*place.base, *parts), lambda way: _is_ours(job, (*parts, *way)))


def _shown(
    request: HttpRequest, job: Job, parts: tuple[str, ...], after: str = "", *, status: int = 200
) -> HttpResponse:
    place = Place.of(job)
    listing, contents, problem, has_too_many = None, None, place.problem, False
    if not problem:
        try:
            listing = list_folder(place.workspace, (*place.base, *parts), after=after, limit=PAGE)
            contents = _contents(job, place, parts)
        except TooMany:
            has_too_many = True
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
        "contents": contents,
        "all": _address(job, parts, page="job-files-all"),
        "most_files": f"{archive.MOST_FILES:,}" if has_too_many else "",
    }
    return render(request, "jobsapi/files.html", context, status=status)


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
        if not _is_ours(job, (*parts, entry.name))
    ]


def _is_ours(job: Job, way: Sequence[str]) -> bool:
    """Whether a file of ours lies there, which is nobody's concern."""
    return tuple(way) == (mark_of(job),) or REPORT_FILE in way


def mark_of(job: Job) -> str:
    """The file of ours in a job's own folder, which is nobody's concern."""
    return job.MARK if isinstance(job, CondorJob | CondorWorkflow) else ""


def _leads_to(job: Job, parts: tuple[str, ...], entry: Listed) -> str:
    if entry.kind == "folder":
        return _address(job, parts)
    if entry.kind == "file":
        return f"{reverse('jobsapi:job-file', args=[job.pk])}?{urlencode({'path': '/'.join(parts)})}"
    return ""


def _address(job: Job, parts: tuple[str, ...], *, page: str = "job-files", **more: str) -> str:
    query = urlencode({"folder": "/".join(parts), **more} if parts else more)
    return reverse(f"jobsapi:{page}", args=[job.pk]) + (f"?{query}" if query else "")


def _reason(error: Exception) -> str:
    return error.strerror or "it cannot be read" if isinstance(error, OSError) else str(error)
