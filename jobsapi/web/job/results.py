"""What has come of a job: a page that shows it, and its files to download. No page opens a pickle."""

from __future__ import annotations

import logging
import os

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.utils.text import slugify
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from jobsapi.exceptions import InvalidJob, OutputNotAllowed
from jobsapi.models import Job
from jobsapi.web.access import visible_job
from jobsapi.web.downloads import Download
from jobsapi.web.plots import drawn
from jobsapi.web.rows import Row

logger = logging.getLogger(__name__)


@never_cache
@login_required
@require_safe
def job_result(request: HttpRequest, job_id: int) -> HttpResponse:
    """A preview of the result, and what can be downloaded."""
    job = visible_job(request.user, job_id)
    try:
        preview, problem = job.result_preview or {}, ""
    except InvalidJob as error:
        preview, problem = {}, str(error)
    context = {
        "job": job,
        "row": Row.of(job),
        "preview": preview,
        "problem": problem,
        "file": job.result_file,
        "drawing": drawn(preview.get("plot")),
        "outputs": job.find_outputs(),
    }
    return render(request, "jobsapi/result.html", context)


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
    return Download(request, file, f"{_stem(job)}-{stored.name}", stored.size, stored.sha256)


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
    file_name = f"{_stem(job)}-{os.path.basename(job.outputs[name])}"
    return Download(request, file, file_name, os.fstat(file.fileno()).st_size)


def _stem(job: Job) -> str:
    """The beginning of a file's name, from which a user knows the job again."""
    return f"{slugify(job.name)[:60] or 'job'}-{job.pk}"


def _refused(request: HttpRequest, job: Job, problem: str, status: int) -> HttpResponse:
    context = {"job": job, "row": Row.of(job), "preview": {}, "problem": problem, "outputs": job.find_outputs()}
    return render(request, "jobsapi/result.html", context, status=status)
