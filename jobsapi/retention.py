"""What is removed of jobs that have ended, and when: ``JOBSAPI["RETENTION"]``. What it does not name is kept for ever.

A job that is run again, or that a worker has in its hands, is never touched. Every function is safe to run twice.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from functools import reduce
from operator import or_
from typing import Any, NamedTuple

from django.core.exceptions import ImproperlyConfigured
from django.db import transaction
from django.db.models import Count, Exists, OuterRef, Q, QuerySet, Subquery, Sum
from django.db.models.functions import Coalesce

from jobsapi import conf
from jobsapi.due import unleased
from jobsapi.models import Job, JobBlob, JobEvent, Purpose
from jobsapi.models.blobs import OF_RESULT
from jobsapi.shown import shown
from jobsapi.status import TERMINAL, Status

logger = logging.getLogger(__name__)

ANY = "*"
STATES = {str(status.label): status for status in Status if status in TERMINAL | {Status.OTHER}}
"""The ways for a job to end, by their names; ``Other`` is a custom status that counts as one."""
BLOBS: Mapping[str, Sequence[Purpose]] = {"inputs": (Purpose.INPUT,), "results": OF_RESULT, "logs": (Purpose.LOGS,)}
KINDS = ("rows", *BLOBS, "events")
"""What can be removed. Rows come first: with them goes all else."""
TOLD = frozenset({"inputs", "results"})
"""What leaves a line in the history of its job."""
LONGEST = 36_500
"""Days, which is a hundred years: more than anybody means, and what dates can be reckoned with."""
BATCH = 500
"""Jobs of one transaction, at most: other writers wait for it."""
WEIGHT = 32 * 1024**2
"""Bytes in rows that one transaction deletes, unless one job has more: SQLite takes 0.2 s for them."""


class Rule(NamedTuple):
    """Of these jobs, this goes so many days after they have ended."""

    kind: str
    days: float
    jobs: Q

    def ended(self, now: datetime) -> Q:
        """The jobs that it has come to be true for."""
        return self.jobs & Q(completion_time__lt=now - timedelta(days=self.days))

    def due(self, now: datetime) -> QuerySet[Job]:
        """Those of them that nobody has in hand, and that are not deleted already."""
        return Job._base_manager.filter(self.ended(now), unleased(now), deleted_at=None)


class Removed(NamedTuple):
    """What went, or would go, of an app's jobs that have ended in one way."""

    app: str
    status: str
    kind: str
    jobs: int
    size: int
    """Bytes of inputs, results and logs."""


def problems(policy: Any) -> Iterator[str]:
    """What is wrong with a policy, a sentence each."""
    if not isinstance(policy, Mapping):
        yield f"It is a {type(policy).__name__}, and must be a dict of apps."
        return
    for app, states in policy.items():
        if not isinstance(app, str) or not isinstance(states, Mapping):
            yield f"{shown(app)} must be the package of an app or “*”, with a dict of states."
            continue
        for state, kinds in states.items():
            where = f"[{shown(app)}][{shown(state)}]"
            if state != ANY and state not in STATES:
                yield f"{where}: no job ends as {shown(state)}. Choose of {', '.join(STATES)}, *."
            if not isinstance(kinds, Mapping):
                yield f"{where} must be a dict of kinds with days."
                continue
            for kind, days in kinds.items():
                if kind not in KINDS:
                    yield f"{where}: {shown(kind)} is nothing that can be removed. Choose of {', '.join(KINDS)}."
                if days is not None and not _is_number_of_days(days):
                    must = f"must be days from 0 to {LONGEST:,}, or None to keep"
                    yield f"{where}[{shown(kind)}] is {shown(days)}, and {must}."


def _is_number_of_days(days: Any) -> bool:
    return isinstance(days, int | float) and not isinstance(days, bool) and 0 <= days <= LONGEST


def rules() -> list[Rule]:
    """What ``JOBSAPI["RETENTION"]`` says: of a kind's rules for a job the narrowest; an app narrows more than a state.

    Raises ``ImproperlyConfigured`` for a policy that is not understood: then nothing is removed.
    """
    policy = conf.get("RETENTION")
    if wrong := list(problems(policy)):
        raise ImproperlyConfigured(f'JOBSAPI["RETENTION"]: {" ".join(wrong)}')
    found = []
    for kind in KINDS:
        days = {(app, state): kinds[kind] for app in policy for state, kinds in policy[app].items() if kind in kinds}
        for cell in days:
            narrower = [_jobs(*other) for other in days if _narrowness(*other) > _narrowness(*cell)]
            if days[cell] is not None:
                jobs = _jobs(*cell) & ~reduce(or_, narrower) if narrower else _jobs(*cell)
                found.append(Rule(kind, days[cell], jobs))
    return found


def _jobs(app: str, state: str) -> Q:
    of_app, so_ended = Q() if app == ANY else Q(label=app), Q() if state == ANY else Q(_status=STATES[state])
    return of_app & so_ended


def _narrowness(app: str, state: str) -> tuple[bool, bool]:
    return app != ANY, state != ANY


def apply(now: datetime) -> list[Removed]:
    """Remove what is due by ``now``, in short transactions. Files are deleted by ``sweep``, an hour later.

    Whole jobs go as with ``job.delete()``: hidden now, and cleared up by a worker.
    """
    jobs: Counter[tuple[str, str, str]] = Counter()
    sizes: Counter[tuple[str, str, str]] = Counter()
    for rule in rules():
        for batch in _batches(rule, now):
            for job, size in _remove(rule, batch, now).items():
                what = (job.label, str(Status(job._status).label), rule.kind)
                jobs[what] += 1
                sizes[what] += size
    return [Removed(*what, count, sizes[what]) for what, count in sorted(jobs.items())]


def preview(now: datetime) -> list[Removed]:
    """What ``apply`` would remove."""
    all_rules = rules()
    whole = [rule.ended(now) for rule in all_rules if rule.kind == "rows"]
    found = []
    for rule in all_rules:
        due = rule.due(now).filter(_has(rule.kind))
        if rule.kind != "rows" and whole:
            due = due.exclude(reduce(or_, whole))
        purposes = BLOBS.get(rule.kind, () if rule.kind == "events" else Purpose.values)
        size = Sum("blobs__size", filter=Q(blobs__live=True, blobs__purpose__in=purposes), default=0)
        rows = due.order_by().values_list("label", "_status").annotate(jobs=Count("pk", distinct=True), size=size)
        found += [Removed(app, str(Status(status).label), rule.kind, *counts) for app, status, *counts in rows]
    return sorted(found)


def _has(kind: str) -> Q:
    """Jobs that have something of this kind."""
    if kind in BLOBS:
        return Q(Exists(JobBlob.objects.filter(job=OuterRef("pk"), purpose__in=BLOBS[kind], live=True)))
    return Q(Exists(JobEvent.objects.filter(job=OuterRef("pk")))) if kind == "events" else Q()


def _batches(rule: Rule, now: datetime) -> Iterator[list[int]]:
    """Keys of jobs that have something to remove, not too much at a time. Read without holding up anybody."""
    last, found = 0, rule.due(now).filter(_has(rule.kind)).order_by("pk")
    in_rows = JobBlob.objects.filter(
        job=OuterRef("pk"), purpose__in=BLOBS.get(rule.kind, ()), live=True, in_storage=False
    )
    sizes = Coalesce(Subquery(in_rows.values("job").values_list(Sum("size"))), 0)
    while rows := list(found.filter(pk__gt=last).values_list("pk", sizes)[:BATCH]):
        last, batch, weight = rows[-1][0], [], 0
        for pk, size in rows:
            batch.append(pk)
            weight += size
            if weight > WEIGHT:
                yield batch
                batch, weight = [], 0
        if batch:
            yield batch


def _remove(rule: Rule, batch: list[int], now: datetime) -> dict[Job, int]:
    """Remove one kind of thing of those jobs that it is still due for; each with how many bytes went."""
    columns = ("kind", "label", "_status", "attempts", "backend_state")
    with transaction.atomic():
        jobs = rule.due(now).filter(pk__in=batch).select_for_update().only(*columns).in_bulk()
        blobs = JobBlob.objects.filter(job__in=[*jobs], live=True, purpose__in=BLOBS.get(rule.kind, Purpose.values))
        sizes = {jobs[pk]: size for pk, size in blobs.order_by().values_list("job").annotate(Sum("size"))}
        if rule.kind == "rows":
            Job.objects.filter(pk__in=[*jobs]).delete()
        elif rule.kind == "events":
            JobEvent.objects.filter(job__in=[*jobs]).delete()
            sizes = {}
        else:
            JobBlob.discard(blobs)
            _tell(rule, [*sizes], now)
            return sizes
    return dict.fromkeys(jobs.values(), 0) | sizes


def _tell(rule: Rule, jobs: list[Job], now: datetime) -> None:
    """Write into the history of jobs what they have lost; with results, forget the words that a list shows of them."""
    if rule.kind in TOLD:
        message = f"Its {rule.kind} were removed {rule.days:g} days after it ended (RETENTION)."
        JobEvent.objects.bulk_create([job.event("retention", message, now=now) for job in jobs], BATCH)
    if rule.kind == "results":
        shown = [job for job in jobs if job.backend_state.pop("preview", None)]
        Job._base_manager.bulk_update(shown, ["backend_state"], BATCH)


class Swept(NamedTuple):
    """Files that were nobody's any more."""

    files: int
    size: int


def nobodys(now: datetime) -> QuerySet[JobBlob]:
    """Rows of files that are nobody's. Those of a job that a worker has in its hands are not judged now."""
    return JobBlob.dead(now).filter(unleased(now, "job__leased_until")).order_by("pk")


def sweep(now: datetime) -> Swept:
    """Delete files that are nobody's, then their rows."""
    files = size = last = 0
    while blobs := list(nobodys(now).filter(pk__gt=last).select_related("job")[:BATCH]):
        last = blobs[-1].pk
        gone = [blob for blob in blobs if _deleted(blob)]
        JobBlob.objects.filter(pk__in=[blob.pk for blob in gone], live=False).delete()
        files, size = files + len(gone), size + sum(blob.size for blob in gone)
    return Swept(files, size)


def _deleted(blob: JobBlob) -> bool:
    """Whether its file is gone. If not now, then at the next run: the row stays as long."""
    try:
        blob.delete_file()
    except Exception:
        logger.exception("The file %s cannot be deleted now", blob.path)
        return False
    return True
