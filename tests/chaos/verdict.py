"""What has become of the jobs, told from outside: by their own notes, by the schedulers, by files and by rows."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import timedelta
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from tests.chaos.campaign import Campaign
from tests.chaos.cases import Case, Wrong
from tests.chaos.ground import lines
from tests.chaos.kinds import kind_of, name_of, number_of
from tests.rig.dask import dataset_names, task_keys

BEGINS = ("execute", "resubmit", "lost")
"""Events that begin an attempt."""
TAKEN = ("Accepted by ", "An earlier try had arrived", "Accepted before it was to be stopped")
"""How the events begin that say that a scheduler has an attempt."""


def cases(campaign: Campaign) -> Iterator[Case]:
    """All that is not as it was promised. The stage still stands."""
    yield from taken(campaign)
    for job in jobs():
        yield from ended_rightly(campaign, job)
        yield from accepted_once(job)
    yield from ran_once(campaign)
    yield from rows_left(campaign)
    yield from files_left(campaign)
    yield from dask_left(campaign)
    if campaign.stage.pool is not None and find_spec("tests.chaos.pool_verdict"):
        yield from import_module("tests.chaos.pool_verdict").cases(campaign.stage)


def jobs() -> Iterator[Any]:
    """All jobs of the campaign, also deleted ones whose rows are still there."""
    from jobsapi.models import Job

    return Job._base_manager.filter(name__startswith="chaos ").select_related("scheduler").order_by("pk").iterator()


def taken(campaign: Campaign) -> Iterator[Case]:
    """Each job of the plan has one row, unless it had to go; and so has each whose submission was answered."""
    rows = defaultdict(list)
    for job in jobs():
        rows[number_of(job.name)].append(job.pk)
    told = {int(line.split()[0]) for path in campaign.ground.members.glob("*.taken") for line in lines(path)}
    for number, kind in enumerate(campaign.plan.kinds):
        stays = "deleted" not in kind
        if not rows[number] and (stays or number not in told):
            yield Case(Wrong.LOST, f"{name_of(number, kind)} has no row; its submitter was told: {number in told}.")
        if len(rows[number]) > 1:
            yield Case(Wrong.DOUBLED, f"{name_of(number, kind)} has the rows {rows[number]}.", rows[number][0])
    for text in campaign.broken:
        yield Case(Wrong.LOST, text)


def ended_rightly(campaign: Campaign, job: Any) -> Iterator[Case]:
    """In a state that what it did deserves, with the result that follows from its number, and only one."""
    kind, ground = kind_of(job.name), campaign.ground
    deserved = kind.deserves(job, ground)
    said = f"{job.name} is {job.cached_status}: {job.status_message}"
    if not job.ended:
        yield Case(Wrong.LOST, said, job.pk)
        return
    if job.deleted_at is not None or (not deserved and "delete" in ground.noted(job)):
        yield Case(Wrong.LEFT, f"{said} It was deleted.", job.pk)
        return
    if job.cached_status not in deserved:
        yield Case(Wrong.STATE, f"{said} It deserves {' or '.join(deserved) or 'something else'}.", job.pk)
    if kind.runs and not ground.runs(job):
        yield Case(Wrong.STATE, f"{said} Its work has never run.", job.pk)
    results = job.blobs.filter(purpose="result", live=True).count()
    if job.cached_status == "Complete":
        if (result := job.result) != kind.result(job):
            yield Case(Wrong.STATE, f"{job.name} has the result {result!r:.100}.", job.pk)
        if results != 1:
            yield Case(Wrong.DOUBLED, f"{job.name} has {results} results.", job.pk)
    elif results:
        yield Case(Wrong.STATE, f"{said} It has {results} results.", job.pk)


def accepted_once(job: Any) -> Iterator[Case]:
    """By its history: no attempt was accepted twice."""
    times = 0
    for event in job.events.order_by("pk"):
        if event.by in BEGINS:
            times = 0
        elif event.message.startswith(TAKEN):
            times += 1
            if times > 1:
                yield Case(Wrong.DOUBLED, f"{job.name} was accepted {times} times: {event.message}", job.pk)


def ran_once(campaign: Campaign) -> Iterator[Case]:
    """No task of a Dask job ran more often than the scheduler has started it, and has lost it to a dead worker."""
    may: Counter[str] = Counter()
    for log in campaign.ground.home.glob("dask-*.log"):
        for line in lines(log):
            word, _, rest = line.partition(" ")
            may[rest] += word in ("started", "lost")
    by_uid = {str(job.uid): job for job in jobs()}
    for notes in campaign.ground.ran.iterdir():
        job = by_uid.get(notes.name)
        if job is not None and kind_of(job.name).scheduler != "dask":
            continue
        for key, times in Counter(line.rsplit(" ", 3)[0] for line in lines(notes)).items():
            if "@" in key and times > may[key]:
                text = f"{job.name if job else notes.name}: {key} ran {times} times, and may {may[key]} times."
                yield Case(Wrong.DOUBLED, text, job.pk if job else None)


def rows_left(campaign: Campaign) -> Iterator[Case]:
    """No lease, no wish, nothing to be cleared up, no scheduler that is said to be away."""
    from django.db.models import Q

    from jobsapi.models import Job, PartWish, Scheduler

    leased = Q(leased_until__isnull=False) | Q(cleanup_pending=True) | ~Q(requested="") | Q(deleted_at__isnull=False)
    for job in Job._base_manager.filter(leased):
        said = f"leased_until={job.leased_until} cleanup_pending={job.cleanup_pending} requested={job.requested!r}"
        yield Case(Wrong.LEFT, f"{job.name}: {said} deleted_at={job.deleted_at}", job.pk)
    for scheduler in Scheduler.objects.all():
        if scheduler.poll_leased_until or scheduler.check_leased_until or scheduler.failures:
            said = f"{scheduler.poll_leased_until} {scheduler.check_leased_until} {scheduler.last_error}"
            yield Case(Wrong.LEFT, f"Scheduler {scheduler}: {said}")
    for wish in PartWish.objects.all():
        yield Case(Wrong.LEFT, f"A wish of job {wish.job_id} for {wish.part}", wish.job_id)
    if campaign.stage.database == "postgresql":
        yield from transactions_left(campaign)


def transactions_left(campaign: Campaign) -> Iterator[Case]:
    """Nobody holds a transaction open for seconds and does nothing in it."""
    first = open_transactions()
    campaign.stage.until(lambda: not first & open_transactions(), 10)
    for _, began, query in first & open_transactions():
        yield Case(Wrong.LEFT, f"A transaction is open since {began}: {query}")


def open_transactions() -> set[tuple[Any, ...]]:
    """Those of connections that do nothing now: the server's process, when it began, and its last statement."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("SELECT pid, xact_start, query FROM pg_stat_activity WHERE state LIKE 'idle in%'")
        return set(cursor.fetchall())


def files_left(campaign: Campaign) -> Iterator[Case]:
    """Each file in the storage of results has its row, and each row its file; nothing half written."""
    from django.utils import timezone

    from jobsapi import retention
    from jobsapi.models import JobBlob

    retention.sweep(timezone.now() + timedelta(hours=2))  # what workers do an hour later
    root = campaign.stage.results
    found = {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}
    owned = {blob.path: blob.job_id for blob in JobBlob.objects.filter(in_storage=True).select_related("job")}
    for path in sorted(found - set(owned)):
        yield Case(Wrong.LEFT, f"The file {path} is nobody's.")
    for path in sorted(set(owned) - found):
        yield Case(Wrong.LOST, f"The file {path} is gone.", owned[path])
    if dead := JobBlob.objects.filter(live=False).count():
        yield Case(Wrong.LEFT, f"{dead} rows of files that are nobody's.")


def dask_left(campaign: Campaign) -> Iterator[Case]:
    """Nothing is pinned at the Dask scheduler, and it knows no key."""
    cluster = campaign.stage.ask_dask
    campaign.stage.until(lambda: not cluster(dataset_names) and not cluster(task_keys), 15)
    for name in cluster(dataset_names):
        yield Case(Wrong.LEFT, f"The dataset {name} is published.")
    for key in cluster(task_keys):
        yield Case(Wrong.LEFT, f"The Dask scheduler knows {key}.")
