"""What jobs call themselves. Nobody has to be logged in for it, and nobody is believed what state a job is in."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from django.db.models import Q
from django.http import HttpRequest, JsonResponse, QueryDict
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods, require_POST

from jobsapi import conf, sealing
from jobsapi.exceptions import InvalidReport, TransitionNotAllowed
from jobsapi.models import DaskJob, Job, RefreshWish, Scheduler
from jobsapi.models.progress import Report
from jobsapi.models.rows import JobQuerySet
from jobsapi.models.text import storable
from jobsapi.status import ACTIVE, Status

DELAY_MOST = 86_400
"""Seconds by which a refresh can be delayed."""
KEY_MOST = 1_024
"""Characters of a Dask key that are looked at."""
OF_PARTS = re.compile(r".+/([0-9a-f]{32})/[0-9a-f]{32}", re.DOTALL)
"""The key of a job of several parts: portal, job and attempt."""
SCHEDULERS_MOST = 5
"""Schedulers that one call asks for: two may have jobs of one key."""
BODY_MOST = 16 * 1024
"""Bytes of a report."""

BAD_REQUEST, UNAUTHORIZED, FORBIDDEN, CONFLICT, TOO_LARGE = 400, 401, 403, 409, 413


@never_cache
@csrf_exempt
@require_http_methods(["GET", "POST"])
def update_job_status(request: HttpRequest, job_id: int) -> JsonResponse:
    """Ask for a refresh of the job's scheduler if that is due, or in ``?delay=`` seconds. Believes and tells nothing.

    Anybody may call it, a job that has just ended among them: the answer is the same for every number.
    """
    return _refresh(request, Job.objects.filter(pk=job_id))


@never_cache
@csrf_exempt
@require_http_methods(["GET", "POST"])
def update_dask_job_status(request: HttpRequest, key: str) -> JsonResponse:
    """As ``update_job_status``, for the job of that Dask key. What ``?status=`` says is not read.

    Of a job of several parts every attempt's key will do: it has the job's ``uid`` in it.
    """
    known = key if len(key) <= KEY_MOST and storable(key) else ""
    uid = OF_PARTS.fullmatch(known)
    return _refresh(request, DaskJob.objects.filter(Q(native_id=known) | Q(uid=uid[1]) if uid else Q(native_id=known)))


def _refresh(request: HttpRequest, jobs: JobQuerySet) -> JsonResponse:
    """One query, whether there is such a job or not; a second one for the first who asks in an interval."""
    try:
        delay = _delay(request)
    except ValueError as error:
        return _refused(BAD_REQUEST, str(error))
    under_way = jobs.filter(completion_time=None, _status__in=[*ACTIVE, Status.OTHER], submission_id__isnull=False)
    schedulers = Scheduler.objects.filter(pk__in=under_way.order_by().values("scheduler"), given_up_at=None)
    now, interval = timezone.now(), timedelta(seconds=conf.get("REFRESH_INTERVAL"))
    if delay:
        at = RefreshWish.step_after(now + delay)
        for scheduler in schedulers.exclude(RefreshWish.at_that_time(at))[:SCHEDULERS_MOST]:
            RefreshWish.record(scheduler.pk, at)
    else:
        stale = Q(polled_at=None) | Q(polled_at__lte=now - interval)
        unasked = Q(refresh_requested_at=None) | Q(refresh_requested_at__lte=now - interval)
        for scheduler in schedulers.filter(stale, unasked)[:SCHEDULERS_MOST]:
            scheduler.request_refresh(interval)
    return JsonResponse({"success": True})


def _delay(request: HttpRequest) -> timedelta:
    given = request.GET.get("delay") or request.POST.get("delay") or "0"
    try:
        seconds = float(given) if len(given) <= 20 else -1.0
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= DELAY_MOST:
        raise ValueError(f"delay is a number of seconds, from 0 to {DELAY_MOST}.")
    return timedelta(seconds=seconds)


@never_cache
@csrf_exempt
@require_POST
def report_job_status(request: HttpRequest, job_id: int) -> JsonResponse:
    """Keep what a job says of itself, and have its scheduler asked if it says that it has ended.

    It shows its token in the header ``Authorization: Bearer …``. Whatever is wrong with a token, and with a job that is
    not there, is answered alike.
    """
    if request.GET:
        return _refused(
            BAD_REQUEST,
            "Send the token in the header “Authorization: Bearer …” and all else in the body: addresses are logged.",
        )
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        answer = _refused(UNAUTHORIZED, "Send the job's token in the header “Authorization: Bearer …”.")
        answer.headers["WWW-Authenticate"] = 'Bearer realm="jobsapi"'
        return answer
    holder = sealing.attempt_of(token.strip(), timedelta(days=conf.get("REPORT_TOKEN_DAYS")))
    if holder is None:
        return _forbidden()
    body = request.read(BODY_MOST + 1)
    if len(body) > BODY_MOST:
        return _refused(TOO_LARGE, f"The report is longer than {BODY_MOST:,} bytes.")
    try:
        report = Report.of(_fields(request, body))
    except InvalidReport as error:
        return _refused(BAD_REQUEST, str(error))
    uid, attempt = holder
    job = Job.objects.select_related("scheduler").filter(pk=job_id, uid=uid, submission_id=attempt).first()
    if job is None:
        return _forbidden()
    if job.ended:
        return _refused(
            CONFLICT, f"The job has ended: it is {job.cached_status}. What it reports is not taken any more."
        )
    try:
        ignored = job.take_report(report)
    except TransitionNotAllowed as error:
        return _refused(CONFLICT, str(error))
    return JsonResponse({"success": True, "ignored": str(ignored)} if ignored else {"success": True})


def _fields(request: HttpRequest, body: bytes) -> Mapping[str, Any]:
    """The fields of a form or of a JSON object. Raises ``InvalidReport``."""
    try:
        text = body.decode()
        if request.content_type == "application/x-www-form-urlencoded":
            return QueryDict(text, encoding="utf-8").dict()
        if request.content_type == "application/json":
            fields = json.loads(text)
            if isinstance(fields, dict):
                return fields
            raise InvalidReport('The report must be a JSON object: {"progress": 40}.')
    except (ValueError, RecursionError) as error:
        if isinstance(error, InvalidReport):
            raise
        raise InvalidReport("The report cannot be read: it is not the text, in UTF-8, that its type says.") from error
    raise InvalidReport("Send the report as application/json or application/x-www-form-urlencoded.")


def _forbidden() -> JsonResponse:
    return _refused(FORBIDDEN, "This token is not good for this job now. Each attempt of a job has its own.")


def _refused(status: int, sentence: str) -> JsonResponse:
    return JsonResponse({"success": False, "error": sentence}, status=status)
