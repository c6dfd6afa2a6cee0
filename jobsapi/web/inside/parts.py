"""The parts of a job of HTCondor's, and what HTCondor says of it: read off the row, as the last refresh wrote it.

The keys of ``backend_state`` are those of ``jobsapi/backends/condor/observe/``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from hashlib import blake2b
from typing import Any, NamedTuple

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.contrib.auth.views import redirect_to_login
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from jobsapi import policy
from jobsapi.exceptions import JobsApiError
from jobsapi.models import CondorJob, CondorWorkflow, Job
from jobsapi.status import Status
from jobsapi.web.access import managed_job, visible_job
from jobsapi.web.inside.fragment import Inside
from jobsapi.web.inside.nodes import Vertex, listed, vertices
from jobsapi.web.inside.procs import failed, groups, holds, logs_of
from jobsapi.web.job import frame, logs
from jobsapi.web.requests import NO_CONTENT, from_htmx, positive, reload
from jobsapi.web.rows import Row, duration

PAGE = 100
"""Nodes on a page."""

VERBS: Mapping[str, str] = {"stop": "cancel", "pause": "hold", "resume": "release"}
"""What each button asks for."""

QUESTION = "Stop {what}? What it has done so far may be lost."


class Fact(NamedTuple):
    """Something that HTCondor says of a job."""

    name: str
    words: str


@never_cache
@require_safe
def job_parts(request: HttpRequest, job_id: int) -> HttpResponse:
    """The nodes of a workflow (those in ``?status=``, a ``&page=`` of them), or the parts of a job by status.

    With ``&seen=``, the version of what a page shows, there is no body when that is still so. ``?logs=7`` leads on to
    the logs of part 7.
    """
    if not request.user.is_authenticated:
        return reload() if from_htmx(request) else redirect_to_login(request.get_full_path())
    try:
        job = _visible(request, job_id)
    except Http404:
        if from_htmx(request):  # deleted while it was shown
            return reload()
        raise
    if "logs" in request.GET:
        return _to_logs(job, request.GET["logs"])
    row, found = Row.of(job), vertices(job) if isinstance(job, CondorWorkflow) else []
    view = _nodes(request, found)
    why_held, otherwise_held = holds(job)
    shown = {
        "row": row,
        "manages": policy.may_manage(request.user, job),
        "facts": list(facts(job)),
        "groups": list(groups(job)),
        "holds": why_held,
        "held_otherwise": otherwise_held,
        "failed": list(failed(job)),
        # Something of it may be held, though it is not Paused as a whole.
        "can_resume": row.can_resume or bool(job.backend_state.get("hold") and not (job.ended or job.requested)),
        **view,
    }
    version = blake2b(repr(shown).encode("utf-8", "replace"), digest_size=6).hexdigest()
    if request.GET.get("seen") == version:
        return HttpResponse(status=NO_CONTENT)
    context = {
        **frame.frame(request, job, row.parts),
        **shown,
        "question": question_about(job, "{part}"),
        "poll": logs.address(status=view["status"], page=view["number"], seen=version),
        "inside": Inside.of(job, request.user, found) if found else None,
    }
    return render(request, "jobsapi/parts.html", context)


@login_required
@require_POST
def act_on_part(request: HttpRequest, job_id: int, command: str) -> HttpResponse:
    """Stop, pause or resume the ``part`` that a button names: a node, or a number; with ``all`` the whole job.

    Whether to stop it is asked first, unless a script has asked already (``confirmed``).
    """
    managed_job(request.user, job_id)
    job, part, everything = _visible(request, job_id), request.POST.get("part", ""), "all" in request.POST
    if not everything:
        _require_part(job, part)
    back = f"{reverse('jobsapi:job-parts', args=[job_id])}?{request.GET.urlencode()}"
    if command == "stop" and "confirmed" not in request.POST:
        question = QUESTION.format(what=f"job {job_id}") if everything else question_about(job, part)
        repeated = [(name, request.POST[name]) for name in ("part", "all") if name in request.POST]
        context = {"question": question, "label": "Stop", "repeated": repeated, "back": back}
        return render(request, "jobsapi/table/confirm.html", context)
    try:
        if everything:
            getattr(job, command)()
        elif isinstance(job, CondorWorkflow):
            job.request_part(VERBS[command], part)
        else:
            getattr(job, command)(int(part))
        messages.success(request, f"Asked to {command} {'the job' if everything else part}.", fail_silently=True)
    except JobsApiError as error:
        messages.error(request, str(error), fail_silently=True)
    return redirect(back)


def question_about(job: Job, part: str) -> str:
    """What is asked before a node or a part is stopped."""
    if isinstance(job, CondorWorkflow):
        return QUESTION.format(what=f"node {part} of job {job.pk}") + " Nodes that wait for it do not start."
    return QUESTION.format(what=f"part {part} of job {job.pk}")


def _require_part(job: Job, part: str) -> None:
    if isinstance(job, CondorWorkflow):
        if part not in {*job.node_states, *job.nodes.values_list("name", flat=True)}:
            raise Http404("There is no such node.")
    elif not _is_number(part):
        raise Http404("There is no such part.")


def _is_number(part: str) -> bool:
    return part.isdecimal() and len(part) < 10


def _to_logs(job: Job, part: str) -> HttpResponse:
    if not (isinstance(job, CondorJob) and job.native_id and _is_number(part) and int(part) < job.progress_total):
        raise Http404("There is no such part.")
    return redirect(reverse("jobsapi:job-logs", args=[job.pk]) + logs_of(job, int(part)))


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
    if hold and not (many and state.get("holds")):  # else the page lists the reasons by themselves
        codes = f" (code {hold.get('code')}, {hold.get('subcode')})" if hold.get("code") is not None else ""
        yield Fact("Held", f"{hold.get('reason') or 'for a reason that HTCondor does not tell'}{codes}")
    if state.get("removed"):
        yield Fact("Removed", str(state["removed"]))


def _nodes(request: HttpRequest, found: Sequence[Vertex]) -> dict[str, Any]:
    """The nodes that a page shows, and how many there are in each status."""
    every = listed(found)
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


def _seconds(length: Any) -> str:
    return duration(timedelta(seconds=float(length)))
