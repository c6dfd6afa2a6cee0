"""After a change of keys: what an older key has sealed or encrypted is sealed anew, while everything else goes on.

Each piece is swapped by one guarded UPDATE or in one short transaction; whatever has changed meanwhile is left to its
writer, who has the new key. So it may be run twice, and cut short.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field

from django.db import IntegrityError, transaction
from django.db.models import Q

from jobsapi.exceptions import SealBroken
from jobsapi.models import JobBlob, Purpose, Scheduler
from jobsapi.sealing import current_key, keys, seal
from jobsapi.sealing.keys import fingerprint

BATCH = 100
CHUNK = 1024**2


@dataclass
class Resealed:
    """What was sealed anew, or would be."""

    rows: int = 0
    """Sealed bytes in the database."""
    files: int = 0
    size: int = 0
    """Bytes of both."""
    credentials: int = 0
    changed: int = 0
    """Replaced by others meanwhile: nothing was left to do."""
    broken: list[str] = field(default_factory=list)
    """A sentence for each thing that cannot be opened. It is left as it is."""


def preview() -> Resealed:
    """What ``reseal`` would do. Opens no sealed bytes: their fingerprint tells whether their key is known."""
    found = Resealed()
    known = {fingerprint(key).hex() for key in keys()}
    for blob in _older():
        if blob.key in known:
            _count(found, blob)
        else:
            found.broken.append(f"{_named(blob)}: the key that sealed it is gone from SEALING_KEYS.")
    for _, again in _encrypted_again(found):
        found.credentials += len(again)
    return found


def reseal() -> Resealed:
    """Seal all of it anew with the newest key."""
    done = Resealed()
    for blob in _older():
        try:
            now = JobBlob.objects.select_related("job").get(pk=blob.pk, token=blob.token, live=True)
            swapped = _file_again(now) if now.in_storage else _row_again(now)
        except (SealBroken, OSError) as error:
            done.broken.append(f"{_named(blob)}: {error}")
            continue
        except (JobBlob.DoesNotExist, IntegrityError):  # the job was deleted, or has something newer
            swapped = False
        if swapped:
            _count(done, blob)
        else:
            done.changed += 1
    for scheduler, again in _encrypted_again(done):
        before = {column: getattr(scheduler, column) for column in again}
        if Scheduler.objects.filter(pk=scheduler.pk, **before).update(**again):
            done.credentials += len(again)
        else:
            done.changed += len(again)
    return done


def _older() -> Iterator[JobBlob]:
    """All that an older key has sealed, a batch at a time, without the bytes."""
    last, rows = 0, JobBlob.objects.filter(live=True).exclude(key=current_key()).order_by("pk")
    while blobs := list(rows.filter(pk__gt=last).select_related("job").defer("sealed")[:BATCH]):
        last = blobs[-1].pk
        yield from blobs


def _row_again(blob: JobBlob) -> bool:
    """Seal bytes that lie in their row anew. False if they have been replaced meanwhile."""
    with blob.open() as file:
        data = file.read()
    fresh = JobBlob(purpose=blob.purpose, attempt=blob.attempt)
    fresh.job = blob.job
    unchanged = JobBlob.objects.filter(pk=blob.pk, token=blob.token, live=True)
    sealed = seal(data, *fresh.context)
    return bool(unchanged.update(token=fresh.token, key=current_key(), sealed=sealed))


def _file_again(blob: JobBlob) -> bool:
    """Seal a file anew, into another file that takes its place. False, and nothing of it left, if that has gone."""
    job = blob.job
    job.absorb({"submission_id": blob.attempt})  # of the attempt that it belongs to; this instance is never saved
    with blob.open() as old, JobBlob.writing(job, Purpose(blob.purpose), blob.name) as out:
        shutil.copyfileobj(old, out, CHUNK)
    mine = Q(pk=blob.pk, token=blob.token, live=True) | Q(pk=out.blob.pk, token=out.blob.token)
    with transaction.atomic():
        there = JobBlob.objects.select_for_update().filter(mine).values_list("pk", flat=True)
        unchanged = {blob.pk, out.blob.pk} - {None} == set(there)
        if unchanged:
            out.keep()
    if not unchanged:
        out.abandon()
    return unchanged


def _encrypted_again(report: Resealed) -> Iterator[tuple[Scheduler, dict[str, str]]]:
    """Schedulers that have credentials which an older key has encrypted, with these encrypted by the newest."""
    for scheduler in Scheduler.objects.all():
        again = {}
        for column, name, encrypted_again in scheduler.encrypted_again():
            try:
                again[column] = encrypted_again()
            except SealBroken as error:
                report.broken.append(f"{name} of the scheduler “{scheduler}”: {error}")
        if changed := {column: token for column, token in again.items() if token != getattr(scheduler, column)}:
            yield scheduler, changed


def _count(report: Resealed, blob: JobBlob) -> None:
    report.files += blob.in_storage
    report.rows += not blob.in_storage
    report.size += blob.size


def _named(blob: JobBlob) -> str:
    return f"{blob.purpose} of job {blob.job_id}"
