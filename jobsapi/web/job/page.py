"""The page of a job: everything about it. It follows the job by asking for those of its sections that have changed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from django.contrib.auth.views import redirect_to_login
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from jobsapi.models import Job
from jobsapi.web.access import visible_job
from jobsapi.web.job import facts, frame
from jobsapi.web.job.frame import Section
from jobsapi.web.job.history import History, history_section, traceback_of
from jobsapi.web.job.results import Outcome, result_section
from jobsapi.web.job.sharing import Sharing
from jobsapi.web.job.timeline import Drawing, Entry, Run, entries, runs
from jobsapi.web.requests import NO_CONTENT, from_htmx, reload, when_seen
from jobsapi.web.rows import Row

HERE = "Overview"
FACTS = "jobsapi/job/facts.html"
LAST_LINES = 6
"""So many lines of a traceback are shown; the rest folds open."""
RUNS_SHOWN = 5
"""The runs that are drawn: the last ones."""


@never_cache
@require_safe
def job_page(request: HttpRequest, job_id: int) -> HttpResponse:
    """Everything about a job. With ``?live``, those sections of a page (``seen``) that have changed; else no body."""
    if not request.user.is_authenticated:
        return reload() if from_htmx(request) else redirect_to_login(request.get_full_path())
    try:
        job = visible_job(request.user, job_id)
    except Http404:
        if from_htmx(request):  # deleted while it was shown
            return HttpResponse(status=NO_CONTENT, headers={"HX-Redirect": reverse("jobsapi:jobs")})
        raise
    if "live" in request.GET:
        return _changes(request, job, request.GET["live"])
    found = Sections(request, job, HERE)
    sections = {name: build(found) for name, build in OVERVIEW.items()}
    context = {**frame.frame(request, job, HERE), "sections": sections, "sharing": Sharing.of(request.user, job)}
    return render(request, "jobsapi/job.html", context)


def _changes(request: HttpRequest, job: Job, here: str) -> HttpResponse:
    """What differs from what the page shows. Only what it says that it shows is looked at."""
    seen = dict(item.partition(".")[::2] for item in request.GET.getlist("seen"))
    sections = Sections(request, job, here)
    found = [build(sections) for name, build in EVERY.items() if name in seen]
    changed = [section for section in found if section.version != seen[section.name]]
    headers = when_seen([(job.scheduler_id, job.scheduler.polled_at)]) if job.scheduler and not job.ended else {}
    if not changed:
        return HttpResponse(status=NO_CONTENT, headers=headers)
    context = {"job": job, "changed": changed, "now": timezone.now()}
    return HttpResponse(render_to_string("jobsapi/job/changes.html", context, request=request), headers=headers)


@dataclass(frozen=True)
class Chart:
    """The runs of a job as bars."""

    runs: tuple[Run, ...]
    growth: int
    left_out: int
    """Earlier runs that are not drawn."""

    @property
    def drawn(self) -> list[tuple[Run, Drawing]]:
        """Each run, the newest first, with its bar as it is at this moment."""
        now = timezone.now()
        return [(run, run.drawn(now)) for run in reversed(self.runs)]


@dataclass(frozen=True)
class Events:
    """What happened, the newest first."""

    entries: tuple[Entry, ...]
    has_earlier: bool
    created: datetime


@dataclass(frozen=True)
class Ending:
    """What has come of the job: why it failed, or what it gave."""

    traceback: str
    """The last lines of it."""
    is_longer: bool
    outcome: Outcome


class Sections:
    """The sections of a job's pages, each made when it is asked for."""

    def __init__(self, request: HttpRequest, job: Job, here: str) -> None:
        self.request, self.job, self.here = request, job, here

    @cached_property
    def history(self) -> History:
        """What two of them are made of."""
        return History.of(self.job)

    def head(self) -> Section:
        """See ``frame``."""
        return frame.head_section(self.request, self.job, self.here)

    def said(self) -> Section:
        """See ``frame``."""
        return frame.said_section(self.job)

    def heartbeat(self) -> Section:
        """See ``frame``."""
        return frame.heartbeat_section(self.job, self.here)

    def written(self) -> Section:
        """The newest part of its history, with all words."""
        return history_section(self.job)

    def result(self) -> Section:
        """What has come of it, on a page of its own."""
        return result_section(self.job)

    def ending(self) -> Section:
        """What has come of it, and why it failed."""
        lines = traceback_of(self.job).splitlines() if Row.of(self.job).has_failed else []
        last, is_longer = "\n".join(lines[-LAST_LINES:]), len(lines) > LAST_LINES
        return Section("ending", "jobsapi/job/ending.html", Ending(last, is_longer, Outcome.of(self.job)))

    def chart(self) -> Section:
        """How long it has waited, run, and been held."""
        history = self.history
        found = runs(history.drawable, first=history.first, started=self.job.start_time, is_cut=history.is_cut)
        shown = found[-RUNS_SHOWN:]
        growth = shown[-1].growth(timezone.now()) if shown else 0
        left_out = history.first - 1 + len(found) - len(shown)
        return Section("chart", "jobsapi/job/chart.html", Chart(shown, growth, left_out))

    def events(self) -> Section:
        """What happened, line by line."""
        history = self.history
        listed = tuple(reversed(entries(history.moments, first=history.first)))
        shown = Events(listed, history.has_earlier, self.job.creation_time)
        return Section("events", "jobsapi/job/events.html", shown)

    def about(self) -> Section:
        """What it is, whose, where, and when."""
        return Section("about", FACTS, tuple(facts.about(self.request.user, self.job)))

    def given(self) -> Section:
        """What the app said of it."""
        return Section("given", FACTS, tuple(facts.given(self.job)))

    def there(self) -> Section:
        """What its scheduler says of it."""
        return Section("there", FACTS, tuple(facts.at_scheduler(self.job)))


OVERVIEW: Mapping[str, Callable[[Sections], Section]] = {
    "ending": Sections.ending,
    "chart": Sections.chart,
    "events": Sections.events,
    "about": Sections.about,
    "given": Sections.given,
    "there": Sections.there,
}
"""What the page of a job shows, beside its frame."""

EVERY: Mapping[str, Callable[[Sections], Section]] = {
    "head": Sections.head,
    "said": Sections.said,
    "heartbeat": Sections.heartbeat,
    "history": Sections.written,
    "result": Sections.result,
    **OVERVIEW,
}
"""What any page of a job may ask for."""
