"""A page with a button."""

from __future__ import annotations

from django.contrib.auth.decorators import login_required
from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_POST, require_safe

from jobsapi.exceptions import JobsApiError
from jobsapi.models import Job
from tests.chaos import app
from tests.chaos.ground import Ground, append
from tests.chaos.kinds import Kind, all_kinds, kind_of

OVER = "over"
"""Noted when nothing is left to be done to a job."""
ACTING = [kind.name for kind in all_kinds().values() if type(kind).act is not Kind.act]
"""Kinds whose users do something midway. Dask is imported here, as at the top of an app's views: two threads of which
each imports a part of it first leave it half imported."""


@login_required
@require_POST
def run(request: HttpRequest) -> HttpResponse:
    """Run one job, and say which."""
    job = app.run(int(request.POST["number"]), request.POST["kind"], request.user)
    return redirect("chaos-done", uid=str(job.uid))


@login_required
@require_POST
def act(request: HttpRequest) -> HttpResponse:
    """Do to each job what its user does midway, as far as it is time for that."""
    ground = Ground.here()
    for job in Job.objects.filter(name__regex=f"^chaos [0-9]+ ({'|'.join(ACTING)})$"):
        if OVER in ground.noted(job):
            continue
        try:
            if kind_of(job.name).act(job, ground):
                ground.note(job, OVER)
        except (JobsApiError, DatabaseError) as error:  # the next time, then
            append(ground.members / "acts.log", f"{job.pk} {type(error).__name__}: {error}".replace("\n", " "))
    return redirect("chaos-done", uid="acts")


@require_safe
def done(request: HttpRequest, uid: str) -> HttpResponse:
    """That it was taken."""
    return HttpResponse("Taken.\n", content_type="text/plain")
