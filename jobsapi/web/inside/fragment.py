"""What is inside a job: the graph of a workflow, the tasks of a Dask job by name, the parts of a job of many.

A fragment, for a row of the Jobs table and for the page of the job. It keeps itself up to date until the job has ended.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from typing import NamedTuple, Self

from django.contrib.auth.views import redirect_to_login
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from jobsapi import policy
from jobsapi.models import CondorJob, CondorWorkflow, DaskJob, Job
from jobsapi.status import Status
from jobsapi.web.access import visible_job
from jobsapi.web.bars import Segment
from jobsapi.web.inside.dashboard import Dashboard
from jobsapi.web.inside.nodes import Vertex, listed, vertices
from jobsapi.web.inside.pictures import Picture, picture
from jobsapi.web.inside.procs import groups
from jobsapi.web.inside.tasks import Task, tasks
from jobsapi.web.job import logs
from jobsapi.web.requests import NO_CONTENT, from_htmx, reload
from jobsapi.web.rows import TONES, Row

STOP_POLLING = 286
"""A status with which htmx stops asking."""

NOT_RUN = "Nothing to see yet: the job has not been run."
NOT_COUNTED = (
    "Its tasks have not been counted. They are when the scheduler is asked next, unless there are more than it can "
    "count without holding up its work."
)
NO_NODES = "The workflow has no nodes."


class Count(NamedTuple):
    """How many nodes or parts are in one state; ``address`` is where they are listed: the end of an address."""

    amount: int
    name: str
    tone: str
    address: str


@dataclass(frozen=True)
class Inside:
    """Everything that is shown."""

    number: int
    unit: str
    """What ``counts`` counts: nodes or parts."""
    vertices: tuple[Vertex, ...]
    tasks: tuple[Task, ...]
    segments: tuple[Segment, ...]
    counts: tuple[Count, ...]
    total: int
    empty: str
    """Why there is nothing to see; empty if there is something."""
    dashboard: str
    may_embed: bool
    has_ended: bool

    @classmethod
    def of(cls, job: Job, user: object, graph: Sequence[Vertex] | None = None) -> Self:
        """What is inside ``job``, for this user. Raises ``Http404`` for a type of jobs that has no inside.

        ``graph``: that of a workflow, if it has been read already.
        """
        found: tuple[Vertex, ...] = ()
        counts: tuple[Count, ...] = ()
        empty, unit = NOT_RUN, ""
        named: tuple[Task, ...] = ()
        dashboard = None
        if isinstance(job, CondorWorkflow):
            found = tuple(vertices(job) if graph is None else graph)
            empty, unit = NO_NODES, "nodes"
            counts = _counted(found)
        elif isinstance(job, DaskJob):
            named, dashboard = tuple(tasks(job)), Dashboard.of(job)
            empty = NOT_RUN if job._status == Status.PENDING else NOT_COUNTED
        elif isinstance(job, CondorJob):
            counts, unit = tuple(Count(group.amount, group.name, group.tone, "") for group in groups(job)), "parts"
        else:
            raise Http404("Such a job has no inside.")
        return cls(
            number=job.pk,
            unit=unit,
            vertices=found,
            tasks=named,
            segments=Row.of(job).segments,
            counts=counts,
            total=sum(count.amount for count in counts),
            empty="" if counts or named else empty,
            dashboard=dashboard.address if dashboard else "",
            may_embed=dashboard is not None and policy.manages_all(user),
            has_ended=job.ended,
        )

    @cached_property
    def version(self) -> str:
        """Differs when anything that is shown differs."""
        return blake2b(repr(self).encode("utf-8", "replace"), digest_size=6).hexdigest()

    @cached_property
    def picture(self) -> Picture | None:
        """The graph of a workflow, arranged when somebody wants to see it."""
        return picture(self.vertices) if self.vertices else None


@never_cache
@require_safe
def job_inside(request: HttpRequest, job_id: int) -> HttpResponse:
    """What is inside a job. With ``?seen=``, the version that a page shows, only what has changed; else no body."""
    if not request.user.is_authenticated:
        return reload() if from_htmx(request) else redirect_to_login(request.get_full_path())
    try:
        job = visible_job(request.user, job_id)
    except Http404:
        if from_htmx(request):  # deleted while it was shown; what it stands in takes care of that
            return HttpResponse(status=STOP_POLLING)
        raise
    inside = Inside.of(job, request.user)
    if not from_htmx(request):
        return render(request, "jobsapi/inside/page.html", {"inside": inside, "job": job, "row": Row.of(job)})
    if "seen" not in request.GET:
        return render(request, "jobsapi/inside/inside.html", {"inside": inside})
    if request.GET["seen"] == inside.version:
        return HttpResponse(status=NO_CONTENT)
    return render(request, "jobsapi/inside/changes.html", {"inside": inside})


def _counted(found: tuple[Vertex, ...]) -> tuple[Count, ...]:
    """The nodes by status."""
    counted = Counter(Status(node.code) for node in listed(found))
    return tuple(
        Count(counted[status], str(status.label), TONES[status], logs.address(status=status.value))
        for status in Status
        if counted[status]
    )
