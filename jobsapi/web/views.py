"""The Jobs table. A request reads and writes rows; what has to be said to a scheduler is said by a worker."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from jobsapi.exceptions import JobsApiError
from jobsapi.models import Job
from jobsapi.policy import manages_all
from jobsapi.web.access import managed_job, visible_job
from jobsapi.web.requests import NO_CONTENT, from_htmx, positive, reload
from jobsapi.web.rows import Changes, Row, readable

PAGE = 50
"""Jobs on a page."""

EVERYBODY = "everybody"


@never_cache
@require_safe
def jobs(request: HttpRequest) -> HttpResponse:
    """The table: the user's jobs, newest first; everybody's for staff and with the permission ``jobs_table_actions``.

    With ``?rows`` only what differs from what the page shows (``seen``); no body when nothing does.
    """
    if not request.user.is_authenticated:
        # A login page would be swallowed by the poll: have the whole page loaded again, which leads there.
        return reload() if from_htmx(request) else redirect_to_login(request.get_full_path())
    number = positive(request.GET.get("page"))
    if "rows" in request.GET:
        everybody = request.GET.get("whose") == EVERYBODY and manages_all(request.user)
        return _changes(request, everybody, number)
    may = manages_all(request.user)
    everybody = may and request.GET.get("whose", EVERYBODY) == EVERYBODY
    context = {**_page(request, everybody, number), "may_see_all": may, "now": timezone.now()}
    return render(request, "jobsapi/jobs.html", context)


def _changes(request: HttpRequest, everybody: bool, number: int) -> HttpResponse:
    page = _page(request, everybody, number)
    changes = Changes.between(_seen(request.GET.getlist("seen")), page["rows"])
    if changes is None:
        return reload()
    if not any(changes):
        return HttpResponse(status=NO_CONTENT)
    return render(request, "jobsapi/changes.html", {**page, "changes": changes})


def _page(request: HttpRequest, everybody: bool, number: int) -> dict[str, Any]:
    """The rows of a page, in one query: one job more than fits tells whether there is another page."""
    found = readable(Job.objects.order_by("-pk"))
    found = found.select_related("scheduler", "user") if everybody else found.filter(user=request.user)
    start = (number - 1) * PAGE
    listed = list(found[start : start + PAGE + 1])
    rows = [Row.of(job, owner=job.user.get_username() if everybody else "") for job in listed[:PAGE]]
    whose = EVERYBODY if everybody else "mine"
    query = urlencode({"whose": whose, "page": number})
    return {"rows": rows, "number": number, "has_next": len(listed) > PAGE, "whose": whose, "query": query}


@never_cache
@login_required
@require_safe
def job_traceback(request: HttpRequest, job_id: int) -> HttpResponse:
    """Why a job failed, at length. Loaded when somebody wants to read it, so that the table stays light."""
    job = visible_job(request.user, job_id)
    events = job.events.filter(attempt=job.attempts).exclude(detail="")
    found = job.backend_state.get("traceback") or events.order_by("-pk").values_list("detail", flat=True).first()
    return render(request, "jobsapi/traceback.html", {"job": job, "traceback": found})


@login_required
@require_POST
def act(request: HttpRequest, job_id: int, command: str) -> HttpResponse:
    """Stop, pause or resume a job, run it again or delete it: ``command`` is the name of the job's own method."""
    job = managed_job(request.user, job_id)
    try:
        getattr(job, command)()
    except JobsApiError as error:
        messages.error(request, str(error), fail_silently=True)
        if from_htmx(request):
            return render(request, "jobsapi/messages.html", {"swap": True})
    if from_htmx(request):
        return HttpResponse(status=NO_CONTENT, headers={"HX-Trigger": "jobs-changed"})
    return redirect(f"{reverse('jobsapi:jobs')}?{request.GET.urlencode()}")


@csrf_exempt
@require_http_methods(["GET", "POST"])
def update_job_status(request: HttpRequest, job_id: int) -> JsonResponse:
    """Ask for a refresh of the job's scheduler if the job is under way and that is due. Believes and tells nothing.

    Anybody may call it, a job that has just ended among them: the answer is the same for every number.
    """
    job = Job.objects.select_related("scheduler").filter(pk=job_id).first()
    if job is not None:
        with suppress(Job.DoesNotExist):  # deleted this very moment
            job.update_status()
    return JsonResponse({"success": True})


def _seen(items: Iterable[str]) -> dict[int, str]:
    """The versions of the rows that a page shows, by number. What is malformed is left out."""
    pairs = (item.partition(".")[::2] for item in items)
    return {int(number): version for number, version in pairs if number.isdecimal() and len(number) < 20}
