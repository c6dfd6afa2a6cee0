"""Whether everything that rows say is kept is there and can be opened, as after a restore. Changes nothing."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import BinaryIO

from jobsapi import storage
from jobsapi.exceptions import SealBroken
from jobsapi.models import JobBlob, Scheduler
from jobsapi.sealing import keys
from jobsapi.sealing.keys import fingerprint
from jobsapi.sealing.streams import SealReader

BATCH = 100
CHUNK = 1024**2


@dataclass
class Verified:
    """What was looked at, and what is wrong."""

    rows: int = 0
    """Sealed bytes in the database."""
    files: int = 0
    size: int = 0
    """Bytes of both."""
    keyless: int = 0
    """Of these, sealed with a key that is not there: none of them can be opened before it is back."""
    broken: list[str] = field(default_factory=list)
    """A sentence for each other thing that is not there or cannot be opened."""

    @property
    def well(self) -> bool:
        """Whether nothing is wrong."""
        return not (self.keyless or self.broken)


def verify(*, read: bool) -> Verified:
    """Look for every file and key; to ``read`` is to verify every byte as well, which takes as long as reading them.

    Raises what the storage raises when it cannot be reached.
    """
    found = Verified()
    known = {fingerprint(key).hex() for key in keys()}
    for blob in _kept():
        found.files += blob.in_storage
        found.rows += not blob.in_storage
        found.size += blob.size
        found.keyless += blob.key not in known
        problem = _problem(blob, read=read and blob.key in known)
        # What was replaced or deleted since the row was read is no problem.
        if problem and JobBlob.objects.filter(pk=blob.pk, token=blob.token, live=True).exists():
            found.broken.append(f"{blob.purpose} of job {blob.job_id}: {problem}")
    for scheduler in Scheduler.objects.all():
        for _, name, encrypted_again in scheduler.encrypted_again():
            try:
                encrypted_again()
            except SealBroken as error:
                found.broken.append(f"{name} of the scheduler “{scheduler}”: {error}")
    return found


def _kept() -> Iterator[JobBlob]:
    """All that is kept, a batch at a time, without the bytes."""
    last, rows = 0, JobBlob.objects.filter(live=True).order_by("pk")
    while blobs := list(rows.filter(pk__gt=last).select_related("job").defer("sealed")[:BATCH]):
        last = blobs[-1].pk
        yield from blobs


def _problem(blob: JobBlob, *, read: bool) -> str:
    """What is wrong with it; empty if nothing is."""
    if not (blob.in_storage or read):
        return ""
    try:
        source: BinaryIO = storage.open_file(blob.path) if blob.in_storage else io.BytesIO(bytes(blob.sealed))
    except FileNotFoundError:
        return "its file is missing from the storage of results."
    except JobBlob.DoesNotExist:  # its row has gone
        return "it is not kept any more."
    with source:
        if not read:
            return ""
        reader = SealReader(source, *blob.context)
        try:
            while reader.read(CHUNK):
                pass
        except SealBroken as error:
            return str(error)
    return ""
