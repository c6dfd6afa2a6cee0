"""The table of edges is what happens: each edge of it can be taken, by who is named there, from each of its sources.

That nothing else happens is what ``test_lifecycle_machine`` looks for.
"""

from __future__ import annotations

import pytest
from django.utils import timezone

from jobsapi import lifecycle
from jobsapi.backends.base import Observation, Result
from jobsapi.models import Job, JobBlob, Purpose
from jobsapi.models.vocabulary import Vocabulary
from jobsapi.status import EDGES, TERMINAL, Status
from jobsapi.testing import FakeBackend

ENDED_LABEL = "Wrapped up"
FETCHED = {("worker", Status.COMPLETE), ("worker", Status.VARIOUS_COMPLETE)}
"""What closes old connections on its way, which is not to be done within a transaction of a test."""
EVERY = [
    pytest.param(edge.by, source, edge.to, marks=pytest.mark.django_db(transaction=(edge.by, edge.to) in FETCHED))
    for edge in EDGES
    for source in sorted(edge.sources)
]


@pytest.fixture
def ended_label():
    """A custom status that counts among those of a job that has ended."""
    known = vars(Vocabulary)["TERMINAL_STATUSES"].custom
    known[ENDED_LABEL] = None
    yield ENDED_LABEL
    del known[ENDED_LABEL]


def said(status: Status) -> str:
    """What an app says to have it so."""
    return "Calibrating" if status is Status.OTHER else status.value


def execute(job, source, world):
    if source is not Status.PENDING:
        job.update_status(said(source))
    job.execute(1)


def resubmit(job, source, world):
    job.execute(1)
    job.update_status(ENDED_LABEL if source is Status.OTHER else said(source))
    job.resubmit()


def process_results(job, source, world):
    job.execute(1)
    job.update_status("Error")
    JobBlob.store(job, Purpose.RESULT, b"kept")
    job.process_results()


def stop(job, source, world):
    if source is not Status.PENDING:
        job.update_status(said(source))
    job.stop()


def submitted(job, source):
    job.execute(1)
    lifecycle.submit(job.pk)
    job.refresh_from_db()
    if source is not Status.SUBMITTED:
        job.update_status(said(source))


def observed(to):
    def observe(job, source, world):
        submitted(job, source)
        FakeBackend.say(job, Observation(to, "as it says"))
        lifecycle.refresh(job.scheduler_id)

    return observe


def lose(job, source, world):
    submitted(job, source)
    Job.observe_many({Job.objects.get(): Observation(Status.ERROR, "gone", lost=True)})


def fetched(to):
    def fetch(job, source, world):
        submitted(job, source)
        world.results[job.submission_id] = Result(1, to)
        lifecycle.fetch_results(job.pk)

    return fetch


def refuse(job, source, world):
    """A worker that hands the job over is told that it cannot be, whatever the app has said meanwhile."""
    world.refuses = "no such queue"
    job.execute(1)
    if source is not Status.SUBMITTED:
        job.update_status(said(source))
    lifecycle.submit(job.pk)


def cancel(job, source, world):
    submitted(job, source)
    job.stop()
    lifecycle.cancel(job.pk)


def give_up(job, source, world):
    submitted(job, source)
    job.scheduler.give_up()
    lifecycle.give_up(job.scheduler_id)


def adopt(job, source, world):
    """As ``jobsapi.reconcile`` writes it; its own tests have the whole way."""
    if source is not Status.PENDING:
        job.update_status(said(source))
    job.transition(Status.SUBMITTED, by="admin")


def says(to):
    def say(job, source, world):
        if source is not Status.PENDING:
            job.update_status(said(source))
        job.update_status("Calibrating on" if to is Status.OTHER else said(to))

    return say


def way(by: str, to: Status):
    """How ``by`` brings a job to ``to``."""
    return {
        "execute": execute,
        "resubmit": resubmit,
        "process_results": process_results,
        "stop": stop,
        "scheduler": observed(to),
        "lost": lose,
        "worker": {Status.ERROR: refuse, Status.ABORTED: cancel}.get(to) or fetched(to),
        "admin": adopt if to is Status.SUBMITTED else give_up,
        "app": says(to),
    }[by]


@pytest.mark.parametrize(("by", "source", "to"), EVERY, ids=lambda each: str(each))
def test_an_edge_of_the_table_can_be_taken(by, source, to, silent, make_job, ended_label):
    job = make_job()
    job.save()

    if (by, source, to) in SAID_TWICE:
        job.update_status(source)
        before = Job.objects.values().get()
        job.update_status(to)
        assert Job.objects.values().get() == before, "what an app says twice is said once"
        return
    way(by, to)(job, source, silent)

    row, last = Job.objects.get(), Job.objects.get().events.exclude(message__startswith="Accepted").last()
    assert (row._status, last.by, last.status) == (to, by, to)
    assert (row.completion_time is not None) == (to in TERMINAL)


SAID_TWICE = {("app", status, status) for status in Status if status is not Status.OTHER}


@pytest.mark.django_db
def test_a_status_that_no_edge_leads_to_is_never_written(silent, make_job):
    """All that is in the row at its birth is Pending; nothing leads back there."""
    job = make_job()
    job.execute(1)
    Job.observe_many({Job.objects.get(): Observation(Status.PENDING, "?")})

    assert Job.objects.get()._status == Status.SUBMITTED
    assert Job.objects.get().execute_time <= timezone.now()
