"""The parts of a job of HTCondor's, and what HTCondor says of it: read off the row, as the last refresh wrote it.

The keys of ``backend_state`` are those of ``jobsapi/backends/condor/observe/``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from hashlib import blake2b
from typing import Any, NamedTuple, Self

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.contrib.auth.views import redirect_to_login
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from jobsapi.exceptions import JobsApiError
from jobsapi.models import CondorJob, CondorWorkflow, Job, PartWish
from jobsapi.status import RUNNING, Status
from jobsapi.web import logs
from jobsapi.web.access import managed_job, visible_job
from jobsapi.web.requests import NO_CONTENT, from_htmx, positive, reload
from jobsapi.web.rows import TONES, WISHES, Row, duration

PAGE = 100
"""Nodes on a page."""

VERBS: Mapping[str, str] = {"stop": "cancel", "pause": "hold", "resume": "release"}
"""What each button asks for."""

OUTCOMES: Mapping[str, Status] = {"ok": Status.COMPLETE, "bad": Status.ERROR, "removed": Status.ABORTED}
"""The status of parts that have ended, by the name under which ``backend_state["ended"]`` keeps their numbers."""


@dataclass(frozen=True)
class Node:
    """A node of a workflow."""

    name: str
    type: str
    after: str
    code: str
    status: str
    tone: str
    wish: str
    message: str
    retries: int
    native_id: str
    ran: str
    """Where, how long, and with how much memory."""
    can_stop: bool
    can_pause: bool
    can_resume: bool
    logs: str

    @classmethod
    def of(cls, name: str, state: Mapping[str, Any], wish: str, type: str = "", after: Collection[str] = ()) -> Self:
        """A node as ``backend_state["nodes"]`` has it; ``after`` are its parents."""
        status = Status(state.get("status", Status.PENDING))
        native_id = str(state.get("native_id") or "")
        is_there = bool(native_id) and status in RUNNING | {Status.SUBMITTED, Status.PAUSED} and wish != "cancel"
        return cls(
            name=name,
            type=type,
            after=", ".join(after),
            code=status.value,
            status=str(status.label),
            tone=TONES[status],
            wish=WISHES.get(wish, ""),
            message=str(state.get("message") or ""),
            retries=int(state.get("retries") or 0),
            native_id=native_id,
            ran=", ".join(_ran(state)),
            can_stop=is_there,
            can_pause=is_there and status in RUNNING and wish != "hold",
            can_resume=is_there and (status is Status.PAUSED or bool(state.get("held"))) and wish != "release",
            logs=logs.address(find=f"/{name}/") if native_id else "",
        )


class Group(NamedTuple):
    """How many parts of a job are in one state, and which, as far as it is known."""

    name: str
    tone: str
    amount: int
    numbers: str = ""


class Failed(NamedTuple):
    """A part that ended badly."""

    number: str
    words: str
    logs: str


class Fact(NamedTuple):
    """Something that HTCondor says of a job."""

    name: str
    words: str


@never_cache
@require_safe
def job_parts(request: HttpRequest, job_id: int) -> HttpResponse:
    """The nodes of a workflow (those in ``?status=``, a ``&page=`` of them), or the parts of a job by status.

    With ``&seen=``, the version of what a page shows, there is no body when that is still so.
    """
    if not request.user.is_authenticated:
        return reload() if from_htmx(request) else redirect_to_login(request.get_full_path())
    try:
        job = _visible(request, job_id)
    except Http404:
        if from_htmx(request):  # deleted while it was shown
            return reload()
        raise
    row, view = Row.of(job), _nodes(request, job)
    shown = {
        "row": row,
        "facts": list(facts(job)),
        "groups": list(groups(job)),
        "failed": list(failed(job)),
        # Something of it may be held, though it is not Paused as a whole.
        "can_resume": row.can_resume or bool(job.backend_state.get("hold") and not (job.ended or job.requested)),
        **view,
    }
    version = blake2b(repr(shown).encode("utf-8", "replace"), digest_size=6).hexdigest()
    if request.GET.get("seen") == version:
        return HttpResponse(status=NO_CONTENT)
    poll = logs.address(status=view["status"], page=view["number"], seen=version)
    return render(request, "jobsapi/parts.html", {**shown, "job": job, "poll": poll, "now": timezone.now()})


@login_required
@require_POST
def act_on_part(request: HttpRequest, job_id: int, command: str) -> HttpResponse:
    """Stop, pause or resume the ``part`` that a button names: a node, or a number; with ``all`` the whole job."""
    managed_job(request.user, job_id)
    job, part = _visible(request, job_id), request.POST.get("part", "")
    try:
        if "all" in request.POST:
            getattr(job, command)()
        elif isinstance(job, CondorWorkflow):
            if part not in {*job.node_states, *job.nodes.values_list("name", flat=True)}:
                raise Http404("There is no such node.")
            job.request_part(VERBS[command], part)
        elif part.isdecimal() and len(part) < 10:
            getattr(job, command)(int(part))
        else:
            raise Http404("There is no such part.")
        asked = "the job" if "all" in request.POST else part
        messages.success(request, f"Asked to {command} {asked}.", fail_silently=True)
    except JobsApiError as error:
        messages.error(request, str(error), fail_silently=True)
    return redirect(f"{reverse('jobsapi:job-parts', args=[job_id])}?{request.GET.urlencode()}")


def _visible(request: HttpRequest, job_id: int) -> CondorJob | CondorWorkflow:
    job = visible_job(request.user, job_id)
    if not isinstance(job, CondorJob | CondorWorkflow):
        raise Http404("Such a job has no parts.")
    return job


def facts(job: Job) -> Iterator[Fact]:
    """What HTCondor says of a job, as far as it says something."""
    state, many = job.backend_state, isinstance(job, CondorJob) and job.progress_total > 1
    hold = state.get("hold") or {}
    if job.native_id:
        yield Fact("Cluster id", job.native_id)
    if state.get("position") is not None:
        yield Fact("Before it in the queue", f"{state['position']} of this portal’s jobs")
    if state.get("where"):
        yield Fact("Where", ", ".join(map(str, state["where"])))
    if state.get("run_time"):
        yield Fact("Run time", _seconds(state["run_time"]) + (" of its ended parts together" if many else ""))
    if state.get("memory"):
        yield Fact("Memory", f"{state['memory']:,} MB" + (" at most in a part" if many else ""))
    if state.get("exit_code") is not None:
        yield Fact("Exit code", str(state["exit_code"]))
    if state.get("exit_signal") is not None:
        yield Fact("Killed by signal", str(state["exit_signal"]))
    if hold:
        codes = f" (code {hold.get('code')}, {hold.get('subcode')})" if hold.get("code") is not None else ""
        yield Fact("Held", f"{hold.get('reason') or 'for a reason that HTCondor does not tell'}{codes}")
    if state.get("removed"):
        yield Fact("Removed", str(state["removed"]))


def groups(job: Job) -> Iterator[Group]:
    """The parts of a job by status."""
    if not isinstance(job, CondorJob) or job.progress_total < 2:
        return
    ended, left = job.backend_state.get("ended") or {}, job.progress_total
    for outcome, status in OUTCOMES.items():
        if count := _count(ended.get(outcome, "")):
            left -= count
            yield Group(str(status.label), TONES[status], count, str(ended[outcome]).replace(",", ", "))
    held = int((job.backend_state.get("hold") or {}).get("parts") or 0)
    if held:
        yield Group(str(Status.PAUSED.label), TONES[Status.PAUSED], held)
    if left > held:
        yield Group("Running or waiting", TONES[Status.RUNNING], left - held)


def failed(job: Job) -> Iterator[Failed]:
    """The parts that failed, of a job that has several: the first of them, if there are many."""
    if isinstance(job, CondorJob) and job.progress_total > 1:
        for part in job.backend_state.get("failed") or []:
            number = str(part.get("part", ""))
            yield Failed(number, str(part.get("words", "")), logs.address(find=f".{job.native_id}.{number}."))


def nodes(job: CondorWorkflow) -> list[Node]:
    """The nodes of a workflow, as they were made, and behind them those of its splices."""
    wishes = dict(PartWish.objects.filter(job=job.pk).values_list("part", "verb"))
    states, made = job.node_states, job.graph()
    known = {node.name for node in made}
    inner = sorted(states.keys() - known)
    # HTCondor knows of a splice only the nodes in it, which are called SPLICE+NODE.
    spliced = {name.partition("+")[0] for name in inner} - states.keys()
    found = [
        Node.of(node.name, states.get(node.name, {}), wishes.get(node.name, ""), node.type, node.parent_names)
        for node in made
        if node.name not in spliced
    ]
    return found + [Node.of(name, states[name], wishes.get(name, "")) for name in inner]


def _ran(state: Mapping[str, Any]) -> Iterator[str]:
    if state.get("where"):
        yield f"on {state['where']}"
    if state.get("run_time"):
        yield _seconds(state["run_time"])
    if state.get("memory"):
        yield f"{state['memory']:,} MB"


def _nodes(request: HttpRequest, job: Job) -> dict[str, Any]:
    """The nodes that a page shows, and how many there are in each status."""
    every = nodes(job) if isinstance(job, CondorWorkflow) else []
    code, number = request.GET.get("status", ""), positive(request.GET.get("page"))
    counted = Counter(node.code for node in every)
    chosen = [node for node in every if code in ("", node.code)]
    start = (number - 1) * PAGE
    return {
        "nodes": chosen[start : start + PAGE],
        "counts": [(status.value, status.label, counted[status.value]) for status in Status if counted[status.value]],
        "total": len(every),
        "status": code,
        "number": number,
        "has_next": len(chosen) > start + PAGE,
        "query": logs.address(status=code, page=number),
    }


def _count(ranges: object) -> int:
    """How many numbers ``"0-41,43"`` names."""
    pieces = [piece.partition("-") for piece in str(ranges or "").split(",") if piece]
    return sum(int(last or first) - int(first) + 1 for first, _, last in pieces)


def _seconds(length: Any) -> str:
    return duration(timedelta(seconds=float(length)))
