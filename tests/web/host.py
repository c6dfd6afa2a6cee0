"""A page of an app's own with two Jobs tables, for tests: nothing of it is jobsapi's but the tables."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template import engines
from django.urls import include, path

from jobsapi.exceptions import InvalidJob
from jobsapi.gizmos import CustomJobAction, JobsTable
from jobsapi.manager import JobManager

PAGE = """{% load jobsapi %}<!DOCTYPE html>
<html lang="en"><head><title>An app</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>
  body { font-family: serif; margin: 1rem; }
  button { background: orange; border-radius: 0; text-transform: uppercase; }
  table { border-collapse: separate; } h2 { color: purple; }
</style></head>
<body><h1>An app</h1><button id="own">The app's own</button>
{% jobs_table first %}{% if second %}<h2>Others</h2>{% gizmo second %}{% endif %}</body></html>"""


class App:
    """Names its jobs."""

    package = "tests"


class Calls:
    """What was called, and with whom."""

    made: list[Any] = []


def archive(job: Any) -> str:
    """A custom action that says something."""
    Calls.made.append(("archive", job.pk))
    return f"Archived <{job.name}>."


def publish(request: HttpRequest, job: Any) -> HttpResponse:
    """A custom action that leads somewhere."""
    Calls.made.append(("publish", request.user.username, job.pk))
    return redirect("/published/")


class Actions:
    """Static methods can be actions, too."""

    @staticmethod
    def refuse(job: Any) -> None:
        raise InvalidJob("It has no outlet.")

    @staticmethod
    def crash(job: Any) -> None:
        raise RuntimeError("secret internals")


def has_ended(job: Any, status: str) -> bool:
    """Enables an action."""
    return status in job.TERMINAL_STATUSES


def wrong(job: Any, status: str) -> bool:
    """An ``enabled_callback`` that fails."""
    raise KeyError("depth")


ACTIONS = [
    "run",
    "resubmit",
    "|",
    "logs",
    "results",
    "|",
    CustomJobAction("Archive", archive, has_ended, "Archive this job?", show_overlay=True),
    {"label": "Publish", "callback_or_url": publish},
    ("Refuse", Actions.refuse),
    ("Crash", Actions.crash),
    CustomJobAction("Look closer", modal_url="closer"),
    CustomJobAction("Go there", "closer", job_type="CONDOR"),
    CustomJobAction("Odd", archive, wrong),
    "|",
    "terminate",
    "delete",
]


def table_of(request: HttpRequest, **options: Any) -> JobsTable:
    """The table of the page, made as an app would make it."""
    fields = ("id", "name", ("Made", "creation_time"), "extended_properties.depth", "run_time", "user")
    jobs = JobManager(App).list_jobs(request.user)
    known = {"column_fields": fields, "actions": ACTIONS, "hover": True, "results_url": "closer", "reverse_sort": True}
    return JobsTable(**{"jobs": jobs, **known, **options})


def page(request: HttpRequest) -> HttpResponse:
    """One table, or two with ``?two``."""
    second = table_of(request, column_fields=["name", "status"]) if "two" in request.GET else None
    template = engines["django"].from_string(PAGE)
    first = table_of(request, refresh_interval=500)
    answer = HttpResponse(template.render({"first": first, "second": second}, request))
    answer._csp_exempt = True  # its style is its own affair
    return answer


def closer(request: HttpRequest, job_id: int) -> HttpResponse:
    """What a dialog shows."""
    return HttpResponse(f"<p>Closer to job {job_id}.</p>")


urlpatterns = [
    path("app/", page, name="app"),
    path("app/<int:job_id>/", closer, name="closer"),
    path("published/", page),
    path("", include("jobsapi.portal.urls")),
]
