"""What has come of a job: a page that shows it, and its files to download. No page opens a pickle."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from jobsapi.exceptions import InvalidJob, OutputNotAllowed
from jobsapi.models import BasicJob, CondorJob, CondorWorkflow, Job
from jobsapi.models.outputs import Output
from jobsapi.status import Status
from jobsapi.web.access import visible_job
from jobsapi.web.job.downloads import Download, stem
from jobsapi.web.job.frame import Section, frame
from jobsapi.web.job.plots import drawn

logger = logging.getLogger(__name__)

HERE = "Result"


@dataclass(frozen=True)
class Kept:
    """The file of a result."""

    name: str
    size: int
    sha256: str


@dataclass(frozen=True)
class Outcome:
    """What has come of a job, as its pages show it."""

    preview: Mapping[str, Any]
    file: Kept | None
    outputs: tuple[Output, ...]
    problem: str
    """Why what is kept cannot be shown."""
    why_none: str
    """Why there is no result; empty if there is one."""

    @classmethod
    def of(cls, job: Job) -> Self:
        """Read it. Of a job that has not ended only its outputs are looked for."""
        outputs = tuple(job.find_outputs()) if job.attempts or job.ended else ()
        if not job.ended:
            return cls({}, None, outputs, "", why_none(job))
        try:
            preview, problem = job.result_preview or {}, ""
        except InvalidJob as error:
            preview, problem = {}, str(error)
        kept = job.result_file
        file = Kept(kept.name, kept.size, kept.sha256) if kept else None
        return cls(preview, file, outputs, problem, "" if preview or problem or file else why_none(job))

    @property
    def drawing(self) -> dict[str, Any] | None:
        """The plot of the preview, as shapes."""
        return drawn(self.preview.get("plot"))


def why_none(job: Job) -> str:
    """Why a job has no result, or none yet, and where to look."""
    status = Status(job._status)
    if status is Status.PENDING:
        return "There is no result: the job has not been run yet."
    if isinstance(job, CondorJob | CondorWorkflow) and job.keeps_no_result:
        if job.ended and not job.native_id:
            return "There is no result: HTCondor never had the job."
        return (
            "The results of this job are its files: see Files."
            if job.ended
            else "The results of this job will be its files: see Files."
        )
    if not job.ended:
        return "There is no result yet. It shows up here when the job is complete."
    if status is Status.ERROR:
        return "There is no result: the job failed. Its message and its logs say why."
    if status is Status.ABORTED:
        return "There is no result: the job was stopped before its end."
    if job.keeps_no_result:
        return "The app asked for no result to be kept."
    if isinstance(job, BasicJob):
        return "The app that made this job keeps its results itself."
    return "No result is kept of this job, or not any more."


@never_cache
@login_required
@require_safe
def job_result(request: HttpRequest, job_id: int) -> HttpResponse:
    """A preview of the result, and what can be downloaded."""
    job = visible_job(request.user, job_id)
    return render(request, "jobsapi/result.html", {**frame(request, job, HERE), "result": result_section(job)})


def result_section(job: Job) -> Section:
    """The outcome, on a page that follows the job."""
    return Section("result", "jobsapi/job/result.html", Outcome.of(job))


@never_cache
@login_required
@require_safe
def download_result(request: HttpRequest, job_id: int) -> HttpResponseBase:
    """The result, in a format that everybody can read."""
    job = visible_job(request.user, job_id)
    stored = job.result_file
    if stored is None:
        raise Http404("No such file is kept.")
    try:
        file = stored.open()
    except InvalidJob as error:
        return _refused(request, job, str(error), 409)
    except Exception:  # a storage of the site's own may raise anything
        logger.exception("The result of job %s cannot be read now", job.pk)
        return _refused(request, job, "The storage of results cannot be reached now. Try again later.", 503)
    return Download(request, file, f"{stem(job)}-{stored.name}", stored.size, stored.sha256)


@never_cache
@login_required
@require_safe
def download_output(request: HttpRequest, job_id: int, name: str) -> HttpResponseBase:
    """A file that the job left in its workspace, by the name that the job gave it: no path comes from a browser."""
    job = visible_job(request.user, job_id)
    try:
        file = job.open_output(name)
    except (KeyError, FileNotFoundError) as error:
        raise Http404("There is no such file.") from error
    except (OutputNotAllowed, OSError) as error:
        return _refused(request, job, str(error), 409)
    file_name = f"{stem(job)}-{os.path.basename(job.outputs[name])}"
    return Download(request, file, file_name, os.fstat(file.fileno()).st_size)


def _refused(request: HttpRequest, job: Job, refusal: str, status: int) -> HttpResponse:
    context = {**frame(request, job, HERE), "result": result_section(job), "refusal": refusal}
    return render(request, "jobsapi/result.html", context, status=status)
