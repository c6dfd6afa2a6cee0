"""The Dask dashboard of a job's scheduler: a link for everybody, and a page around it for administrators."""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import urlsplit

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from jobsapi import policy
from jobsapi.models import DaskJob, Job
from jobsapi.web.access import visible_job
from jobsapi.web.rows import Row

HOST = r"(?:[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?|\[[0-9a-f:]+\])(?::[0-9]{1,5})?"
BARE = re.compile(rf"{HOST}(?:/|$)", re.IGNORECASE)

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'; frame-src {origin}"
)
"""As strict as the portal's other pages, but for the one frame."""


class Dashboard(NamedTuple):
    """Where a dashboard is."""

    address: str
    origin: str

    @classmethod
    def of(cls, job: Job) -> Dashboard | None:
        """The dashboard of a Dask job's scheduler, if an administrator has given its address, over http or https."""
        given = job.scheduler.dashboard.strip() if isinstance(job, DaskJob) and job.scheduler else ""
        # Dask itself prints an address with its scheme; in settings it is often left out.
        address = f"http://{given}" if "://" not in given and BARE.match(given) and ":" in given else given
        try:
            parts = urlsplit(address)
        except ValueError:
            return None
        # The origin goes into a header: only what is surely a host and a port.
        if parts.scheme not in ("http", "https") or not re.fullmatch(HOST, parts.netloc, re.IGNORECASE):
            return None
        return cls(address, f"{parts.scheme}://{parts.netloc}")


@never_cache
@login_required
@require_safe
def job_dashboard(request: HttpRequest, job_id: int) -> HttpResponse:
    """The dashboard in a frame. It shows what everybody computes, so it is for those who manage everybody's jobs."""
    job = visible_job(request.user, job_id)
    dashboard = Dashboard.of(job)
    if dashboard is None or not policy.manages_all(request.user):
        raise Http404("There is no dashboard.")
    here = f"{request.scheme}://{request.get_host()}"
    context = {
        "job": job,
        "row": Row.of(job),
        "dashboard": dashboard,
        "is_refused": request.is_secure() and dashboard.address.startswith("http:"),
        # A frame of our own origin that may run scripts could take off its sandbox.
        "sandbox": "allow-scripts" if dashboard.origin == here else "allow-scripts allow-same-origin",
    }
    response = render(request, "jobsapi/inside/dashboard.html", context)
    response["Content-Security-Policy"] = POLICY.format(origin=dashboard.origin)
    return response
