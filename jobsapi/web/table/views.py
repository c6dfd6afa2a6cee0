"""What a table asks of the server: what has changed, to do something with a job, or with several."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any

from django.contrib import messages
from django.contrib.auth.views import redirect_to_login
from django.core.cache import cache
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.template.loader import render_to_string
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from jobsapi import policy
from jobsapi.clock import database_time
from jobsapi.exceptions import JobsApiError
from jobsapi.models import Heartbeat, Job
from jobsapi.web.requests import NO_CONTENT, from_htmx, reload, when_seen
from jobsapi.web.rows import Row
from jobsapi.web.table.actions import BUILT_IN, CustomJobAction
from jobsapi.web.table.changes import Changes, seen_of
from jobsapi.web.table.lines import Offer, enabled, offers_of
from jobsapi.web.table.selection import COMMANDS, apply, chosen
from jobsapi.web.table.showing import contents_of, glances_of, lines_of, parts_of, row_parts_of, viewer_of
from jobsapi.web.table.tokens import Expired, Shown
from jobsapi.web.table.versions import summary

logger = logging.getLogger(__name__)

STOP_POLLING = 286
"""With this status htmx asks no more: https://htmx.org/docs/#polling."""
CHECKED_EVERY = 5
"""Seconds for which all pages believe one look at the heartbeats."""


@never_cache
@require_POST
def changes(request: HttpRequest) -> HttpResponse:
    """What differs from what a page shows (``seen``); no body when nothing does. One query.

    It changes nothing. It is a POST because an address with the versions of 200 rows is longer than proxies take.
    """
    if not request.user.is_authenticated:
        return reload()
    try:
        shown = Shown.opened(request.POST.get("token", ""), request.user)
    except Expired:
        return _expired(request)
    viewer = viewer_of(request.user, remembered=True)
    rows = glances_of(shown, viewer)
    found = Changes.between(seen_of(request.POST.getlist("seen")), rows)
    headers = when_seen((row.scheduler, row.seen_at) for row in rows)
    if found is not None and not any(found):
        return HttpResponse(status=NO_CONTENT, headers=headers)
    if found is None or found.gone or found.arrived:
        contents = contents_of(shown, viewer)
        context, lines = parts_of(shown, contents), {line.number: line for line in contents.lines}
    else:
        context, lines = row_parts_of(shown), lines_of(shown, viewer, found.changed)
    if found is not None:
        context |= {
            "gone": found.gone,
            "changed": [lines[number] for number in found.changed if number in lines],
            "arrived": [(behind, lines[number]) for behind, number in found.arrived if number in lines],
        }
    context |= {"summary": summary(rows), "swap": True}
    return _rendered(request, context, headers)


def _rendered(request: HttpRequest, context: Mapping[str, Any], headers: Mapping[str, str]) -> HttpResponse:
    return HttpResponse(render_to_string("jobsapi/table/changes.html", context, request=request), headers=headers)


def in_a_table(view: Callable[..., HttpResponseBase]) -> Callable[..., HttpResponseBase]:
    """A view that does something in the table of a page, which it is given behind the request."""

    @require_POST
    @wraps(view)
    def opened(request: HttpRequest, **kwargs: Any) -> HttpResponseBase:
        if not request.user.is_authenticated:
            return reload() if from_htmx(request) else redirect_to_login("/")
        try:
            shown = Shown.opened(request.POST.get("token", ""), request.user)
        except Expired:
            return _expired(request)
        if not shown.table.show_actions:
            raise Http404("In this table nothing can be done.")
        return view(request, shown, **kwargs)

    return opened


@in_a_table
def act(request: HttpRequest, shown: Shown, index: int, job_id: int) -> HttpResponseBase:
    """Do the action at this place of the table's list, if the table offers it for this job to this user now."""
    job = _found(request, shown, job_id)
    offers = offers_of(job, Row.of(job), shown.table, enabled(job, shown.table), may_manage=True)
    offer = next((each for each in offers if each.place == index and not each.is_divider), None)
    if offer is None:
        raise Http404("This job does not offer that.")
    if offer.asks and not from_htmx(request) and "confirmed" not in request.POST:
        return _asked(request, shown, offer.asks, offer.label)
    return _done(request, shown, job, offer)


@in_a_table
def act_on_selected(request: HttpRequest, shown: Shown) -> HttpResponse:
    """Stop, run again or delete the selected jobs of a table, as far as the user may act on them."""
    command = COMMANDS.get(request.POST.get("command", ""))
    if command is None:
        raise Http404("There is no such command.")
    jobs = list(chosen(request.user, shown.table.source.jobs, request.POST.getlist("job")))
    if not jobs:
        return _told(request, shown, "error", "Select jobs first.")
    if not from_htmx(request) and "confirmed" not in request.POST:
        return _asked(request, shown, command.asks.replace("{n}", str(len(jobs))), command.label)
    return _told(request, shown, "success", apply(command, jobs), is_over=True)


@never_cache
@require_safe
def alive(request: HttpRequest) -> HttpResponse:
    """What is missing for jobs to be run, for the page to say; empty when all is well."""
    if not request.user.is_authenticated:
        return reload()
    silent = cache.get_or_set("jobsapi-silent", lambda: Heartbeat.silent(database_time()), CHECKED_EVERY)
    return render(request, "jobsapi/table/alive.html", {"silent": silent, "is_staff": request.user.is_staff})


def _found(request: HttpRequest, shown: Shown, job_id: int) -> Job:
    """A job of the table that the user may act on: asked anew, whatever the page was told."""
    try:
        job = policy.find(request.user, job_id, shown.table.source.jobs.select_related("scheduler", "user"))
    except Job.DoesNotExist:
        raise Http404("There is no such job.") from None
    if not policy.may_manage(request.user, job):
        raise PermissionDenied("This job is shared with you to look at. Its owner can let your group manage it.")
    return job


def _done(request: HttpRequest, shown: Shown, job: Job, offer: Offer) -> HttpResponseBase:
    action = shown.table.actions[offer.place]
    try:
        if isinstance(action, CustomJobAction):
            if not callable(action.callback_or_url):
                raise Http404("That is a page to go to.")
            if not offer.is_possible:
                return _told(request, shown, "error", f"{offer.label}: not possible now for “{job.name}”.")
            return _answered(request, shown, offer, action.call(request, job))
        built_in = BUILT_IN[action]
        if not built_in.command:
            raise Http404("That is a page to go to.")
        getattr(job, built_in.command)(**built_in.options)
    except JobsApiError as error:
        return _told(request, shown, "error", str(error))
    except Http404:
        raise
    except Exception:  # an app's own code may raise anything: its words are for the log, not for the page
        logger.exception("“%s” has failed for job %s", offer.label, job.pk)
        return _told(request, shown, "error", f"{offer.label} failed for “{job.name}”. The site’s log says why.")
    return _told(request, shown, "", "")


def _answered(request: HttpRequest, shown: Shown, offer: Offer, answer: Any) -> HttpResponseBase:
    """What an app's function has returned, as an answer."""
    if not isinstance(answer, HttpResponseBase):
        return _told(request, shown, "success", str(answer) if answer else f"{offer.label}: done.")
    if not from_htmx(request):
        return answer
    if location := answer.headers.get("Location"):
        return HttpResponse(status=NO_CONTENT, headers={"HX-Redirect": location})
    answer.headers["HX-Retarget"], answer.headers["HX-Reswap"] = f"#{shown.key}-shown", "innerHTML"
    answer.headers["HX-Trigger-After-Swap"] = "jobs-show"
    return answer


def _told(request: HttpRequest, shown: Shown, tag: str, words: str, *, is_over: bool = False) -> HttpResponse:
    """Say something on the page, and have it look for what has changed."""
    if from_htmx(request):
        trigger = {"HX-Trigger": "jobs-changed, jobs-over" if is_over else "jobs-changed"}
        if not words:
            return HttpResponse(status=NO_CONTENT, headers=trigger)
        context = {"key": shown.key, "tag": tag, "words": words, "swap": True}
        said = render_to_string("jobsapi/table/said.html", context, request=request)
        return HttpResponse(said, headers=trigger)
    if words:
        level = messages.ERROR if tag == "error" else messages.SUCCESS
        messages.add_message(request, level, words, fail_silently=True)
    return redirect(shown.path)


def _asked(request: HttpRequest, shown: Shown, question: str, label: str) -> HttpResponse:
    """The page that asks before something is done, for browsers without script."""
    repeated = [
        (name, value)
        for name, values in request.POST.lists()
        if name in ("token", "job", "command")
        for value in values
    ]
    context = {"question": question, "label": label, "repeated": repeated, "back": shown.path}
    return render(request, "jobsapi/table/confirm.html", context)


def _expired(request: HttpRequest) -> HttpResponse:
    if from_htmx(request):
        return HttpResponse(status=STOP_POLLING, headers={"HX-Trigger": "jobs-expired"})
    return render(request, "jobsapi/table/expired.html", status=410)
