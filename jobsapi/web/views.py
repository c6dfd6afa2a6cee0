"""The Jobs table. A request reads and writes rows; what has to be said to a scheduler is said by a worker."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from jobsapi.exceptions import JobsApiError
from jobsapi.manager import follow
from jobsapi.models import Job
from jobsapi.policy import manages_all
from jobsapi.web.access import managed_job, visible_job
from jobsapi.web.job.history import traceback_of
from jobsapi.web.requests import NO_CONTENT, from_htmx, way_back
from jobsapi.web.table.options import JobsTable

EVERYBODY = "everybody"
ACTIONS = (
    "run",
    "pause",
    "resume",
    "resubmit",
    "resubmit-all",
    "|",
    "logs",
    "parts",
    "results",
    "|",
    "terminate",
    "delete",
)


@never_cache
@login_required
@require_safe
def jobs(request: HttpRequest) -> HttpResponse:
    """The table: the user's jobs and those shared with them, newest first; everybody's for those who manage all."""
    may = manages_all(request.user)
    everybody = may and request.GET.get("whose", EVERYBODY) == EVERYBODY
    recipe = {"order_by": "-id"} if everybody or not may else {"order_by": "-id", "user": request.user.pk}
    table = JobsTable(
        follow(recipe), sort=False, actions=ACTIONS, results_url="jobsapi:job-result", refresh_interval=2000
    )
    whose = EVERYBODY if everybody else "mine"
    context = {"jobs_table_options": table, "may_see_all": may, "whose": whose}
    return render(request, "jobsapi/jobs.html", context)


@never_cache
@login_required
@require_safe
def job_traceback(request: HttpRequest, job_id: int) -> HttpResponse:
    """Why a job failed, at length. Loaded when somebody wants to read it, so that the table stays light."""
    job = visible_job(request.user, job_id)
    return render(request, "jobsapi/traceback.html", {"job": job, "traceback": traceback_of(job)})


@login_required
@require_POST
def act(
    request: HttpRequest,
    job_id: int,
    command: str,
    type: type[Job] = Job,
    options: Mapping[str, Any] = MappingProxyType({}),
) -> HttpResponse:
    """Stop, pause or resume a job, run it again or delete it: ``command`` is the name of the job's own method.

    ``options`` are what the method is given, ``type`` the jobs that take them. Leads back to ``next``, or to the table.
    """
    job = managed_job(request.user, job_id)
    if not isinstance(job, type):
        raise Http404("Such a job does not offer that.")
    try:
        getattr(job, command)(**options)
    except JobsApiError as error:
        messages.error(request, str(error), fail_silently=True)
        if from_htmx(request):
            return render(request, "jobsapi/messages.html", {"swap": True})
    if from_htmx(request):
        return HttpResponse(status=NO_CONTENT, headers={"HX-Trigger": "jobs-changed"})
    return redirect(way_back(request))
