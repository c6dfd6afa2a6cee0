"""Sealed bytes of a job: small ones in the row, large results in the storage. Never joined into a list."""

from __future__ import annotations

import contextlib
import hashlib
import io
import logging
from collections.abc import Iterator
from datetime import datetime, timedelta
from pickle import PickleBuffer
from typing import IO, TYPE_CHECKING, Any, BinaryIO, ClassVar
from uuid import UUID, uuid4

from django.db import DatabaseError, models
from django.db.models import Exists, OuterRef, Q, QuerySet

from jobsapi import clock, conf, storage
from jobsapi.exceptions import InvalidJob, ResultTooLarge, SealBroken
from jobsapi.sealing import SealReader, SealWriter, current_key

if TYPE_CHECKING:
    from jobsapi.models.columns import JobColumns

logger = logging.getLogger(__name__)

INSIDE = 1024**2
"""Results of more bytes go into the storage."""

DEAD_AFTER = timedelta(hours=1)
"""So old, the row of a file that never came to life, or does not live any more, is nobody's."""


class Purpose(models.TextChoices):
    """What sealed bytes are for; part of their seal."""

    INPUT = "input"
    """What ``execute()`` was given; bound to the job, for all its attempts."""
    RESULT = "result"
    """What ``job.result`` gives, as a pickle; bound to the attempt that made it, as are all that follow."""
    FILE = "file"
    """The result in a format that everybody can read: what pages and scripts download."""
    PREVIEW = "preview"
    """What pages show of the result, as JSON."""
    LOGS = "logs"
    """The logs as they were last fetched, as JSON."""


OF_RESULT = (Purpose.RESULT, Purpose.FILE, Purpose.PREVIEW)


class JobBlob(models.Model):
    """Sealed bytes of a job, and where they are.

    A file in the storage has its row before it is begun, with ``live`` unset, so that no file is ever without one:
    whatever is cut short, ``dead`` finds it.
    """

    job = models.ForeignKey("jobsapi.Job", models.CASCADE, related_name="blobs")
    purpose = models.CharField(max_length=10, choices=Purpose.choices)
    attempt = models.UUIDField()
    """The ``submission_id`` it belongs to; the job's own ``uid`` for an input."""
    token = models.UUIDField(default=uuid4)
    """One for each write; part of the seal and of the file's name, so that no older file passes for it."""
    name = models.CharField(max_length=255, blank=True, default="")
    """The name that a download gets: ``result.npy``."""
    size = models.PositiveBigIntegerField(default=0)
    """Bytes, without the seal."""
    sha256 = models.CharField(max_length=64, blank=True, default="")
    """Of these bytes, in hexadecimal digits."""
    key = models.CharField(max_length=16, blank=True, default="")
    """The fingerprint of the key that sealed it."""
    sealed = models.BinaryField(default=b"")
    in_storage = models.BooleanField(default=False)
    live = models.BooleanField(default=True)
    stored_at = models.DateTimeField(default=clock.now)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["job", "purpose", "attempt"], condition=Q(live=True), name="jobsapi_one_blob_per_purpose"
            )
        ]
        indexes: ClassVar = [models.Index(fields=["stored_at"], name="jobsapi_blob_dead", condition=Q(live=False))]

    def __str__(self) -> str:
        return f"{self.purpose} of job {self.job_id}"

    @classmethod
    def store(cls, job: JobColumns, purpose: Purpose, data: bytes) -> None:
        """Seal and keep ``data`` in the row, in place of what was kept for this job, attempt and purpose."""
        blob = cls._new(job, purpose)
        out = io.BytesIO()
        writer = SealWriter(out, *blob.context)
        writer.write(data)
        writer.finish()
        written = {
            "token": blob.token,
            "size": len(data),
            "sha256": hashlib.sha256(data).hexdigest(),
            "key": blob.key,
            "sealed": out.getvalue(),
            "stored_at": clock.now(),
        }
        cls.objects.update_or_create(
            job_id=job.pk, purpose=purpose, attempt=blob.attempt, live=True, defaults={"in_storage": False, **written}
        )

    @classmethod
    @contextlib.contextmanager
    def writing(cls, job: JobColumns, purpose: Purpose, name: str = "") -> Iterator[BlobWriter]:
        """A file to be written, which may become large. Once the block has ended, its ``keep()`` makes it the job's.

        No more than a few MiB of memory are used, whatever its size. If the block fails, nothing is left.
        """
        with contextlib.ExitStack() as stack:
            writer = BlobWriter(cls._new(job, purpose, name), stack)
            try:
                yield writer
                writer.finish()
            except BaseException:
                writer.abandon()
                raise

    @classmethod
    def of(cls, job: JobColumns, purpose: Purpose) -> JobBlob | None:
        """What is kept of this purpose for the job's attempt, or None. ``open()`` opens it."""
        rows = cls.objects.filter(job_id=job.pk, purpose=purpose, attempt=cls._attempt(job, purpose), live=True)
        blob = rows.defer("sealed").first()
        if blob is not None:
            blob.job = job  # type: ignore[assignment]  # Job is made of this
        return blob

    @classmethod
    def find(cls, job: JobColumns, purpose: Purpose) -> bytes | None:
        """The verified bytes, or None when none are kept. Raises ``SealBroken``."""
        blob = cls.of(job, purpose)
        if blob is None:
            return None
        with blob.open() as file:
            return file.read()

    def open(self) -> IO[bytes]:
        """The bytes, verified as they are read: every read may raise ``SealBroken``, as this call does at once.

        What is refused is logged, and the job's history says so. Raises ``InvalidJob`` when they are not kept any more,
        and what the storage raises when it cannot be reached.
        """
        source: BinaryIO = self._open_file() if self.in_storage else io.BytesIO(self._read_row())
        reader: IO[bytes] = io.BufferedReader(SealReader(source, *self.context, on_broken=self._tell))
        try:
            reader.peek(1)  # type: ignore[attr-defined]
        except BaseException:
            reader.close()
            raise
        return reader

    def _open_file(self) -> BinaryIO:
        try:
            file: BinaryIO = storage.open_file(self.path)
        except FileNotFoundError as error:
            if not JobBlob.objects.filter(pk=self.pk, token=self.token, live=True).exists():
                raise self._not_kept() from error
            missing = SealBroken(f"The file of the stored {self.purpose} is missing from the storage of results.")
            self._log(missing)
            raise missing from error
        return file

    def _read_row(self) -> bytes:
        """The bytes, and what their seal is bound to: both may have been written anew since this was read."""
        if "sealed" not in self.get_deferred_fields():
            return bytes(self.sealed)
        rows = JobBlob.objects.filter(pk=self.pk, live=True, in_storage=False)
        found = rows.values_list("token", "attempt", "sealed").first()
        if found is None:
            raise self._not_kept()
        self.token, self.attempt, sealed = found
        return bytes(sealed)

    def _not_kept(self) -> InvalidJob:
        return InvalidJob(f"The {self.purpose} of job {self.job_id} is not kept any more.")

    @classmethod
    def kept(cls, purpose: Purpose) -> Q:
        """Jobs for which ``find`` would find something of this purpose."""
        attempt = OuterRef("uid" if purpose is Purpose.INPUT else "submission_id")
        return Q(Exists(cls.objects.filter(job=OuterRef("pk"), purpose=purpose, attempt=attempt, live=True)))

    @classmethod
    def fresh(cls, job: JobColumns, purpose: Purpose, seconds: float) -> bool:
        """Whether this was stored less than ``seconds`` ago."""
        since = clock.now() - timedelta(seconds=seconds)
        return cls.objects.filter(
            job_id=job.pk, purpose=purpose, attempt=cls._attempt(job, purpose), live=True, stored_at__gt=since
        ).exists()

    @classmethod
    def discard(cls, rows: QuerySet[JobBlob]) -> None:
        """Nobody finds these any more. Files are deleted later, by a worker; here no storage is asked for anything."""
        rows.filter(in_storage=False).delete()
        rows.filter(in_storage=True).update(live=False, stored_at=clock.now())

    @classmethod
    def dead(cls, now: datetime) -> QuerySet[JobBlob]:
        """Rows whose files are nobody's: cut short, replaced or discarded, an hour ago or more."""
        return cls.objects.filter(live=False, stored_at__lt=now - DEAD_AFTER).defer("sealed")

    def delete_file(self) -> None:
        """Delete the file in the storage, if there is one. To be done before its row is deleted."""
        if self.in_storage:
            storage.delete(self.path)

    @property
    def path(self) -> str:
        """The name of its file in the storage. Nothing that anybody typed is in it."""
        return f"{self.job.uid}/{self.purpose}-{self.token}"

    @property
    def context(self) -> tuple[str, ...]:
        """What the seal is bound to."""
        return str(self.job.uid), str(self.attempt), str(self.purpose), str(self.token)

    @classmethod
    def _new(cls, job: JobColumns, purpose: Purpose, name: str = "") -> JobBlob:
        blob = cls(purpose=purpose, attempt=cls._attempt(job, purpose), name=name, key=current_key())
        blob.job = job  # type: ignore[assignment]  # Job is made of this
        return blob

    @staticmethod
    def _attempt(job: JobColumns, purpose: Purpose) -> UUID | Any:
        return job.uid if purpose is Purpose.INPUT else job.submission_id

    def _tell(self, error: SealBroken) -> None:
        """Log it, and have the job say so."""
        self._log(error)
        type(self.job)._base_manager.filter(pk=self.job_id).update(status_message=str(error))

    def _log(self, error: SealBroken) -> None:
        """Log it, and write it into the job's history, once."""
        logger.error("Job %s, attempt %s: %s", self.job_id, self.attempt, error)
        if not self.job.events.filter(message=str(error)).exists():
            self.job.event("seal", str(error)).save()


class BlobWriter:
    """Takes bytes as a file does, and seals them: into memory at first, into the storage when they become many."""

    closed = False

    def __init__(self, blob: JobBlob, stack: contextlib.ExitStack) -> None:
        self.blob = blob
        self._memory = io.BytesIO()
        self._file: storage.Incoming | None = None
        self._stack = stack
        self.limit = 2 * conf.get("RESULT_MAX_BYTES") + INSIDE
        """Bytes. What Dask says of a result's size may be wrong, and a processing function may return anything."""
        self._failure: Exception | None = None
        self._sha256 = hashlib.sha256()
        self._seal = SealWriter(self._memory, *blob.context)

    def write(self, data: Any) -> int:
        """Take anything in that has a buffer."""
        view = data.raw() if isinstance(data, PickleBuffer) else memoryview(data).cast("B")
        self.blob.size += len(view)
        if self.blob.size > self.limit:
            raise ResultTooLarge(
                f"Written down, the result is larger than {self.limit:,} bytes, twice what may be fetched. Make it "
                'smaller where it is computed or processed, or raise JOBSAPI["RESULT_MAX_BYTES"].'
            )
        try:
            if self.blob.size > INSIDE and self._file is None:
                self._move_out()
            self._seal.write(view)
        except (OSError, DatabaseError) as error:
            self._failure = error
            raise
        self._sha256.update(view)
        return len(view)

    def raise_own_failure(self) -> None:
        """Raise what made a write fail here, if anything did: a full disk is no fault of what was to be written."""
        if self._failure is not None:
            raise self._failure

    def flush(self) -> None:
        """What writes to files calls it; ``finish`` does it."""

    def finish(self) -> None:
        """Everything is written."""
        self._seal.finish()
        self.blob.sha256 = self._sha256.hexdigest()
        if self._file is not None:
            storage.take(self.blob.path, self._file)
        else:
            self.blob.sealed = self._memory.getvalue()

    def keep(self) -> None:
        """Make it the job's, in place of what was. To be called in the transaction that it belongs to."""
        rows = JobBlob.objects.filter(
            job_id=self.blob.job_id, purpose=self.blob.purpose, attempt=self.blob.attempt, live=True
        )
        JobBlob.discard(rows)
        self.blob.live, self.blob.stored_at = True, clock.now()
        self.blob.save(force_update=self.blob.in_storage)

    def abandon(self) -> None:
        """Leave nothing of it. What cannot be deleted now, nobody finds any more, and ``dead`` does later."""
        if self._file is None:
            return
        try:
            self.blob.delete_file()
        except Exception:
            logger.exception("The file %s cannot be deleted now", self.blob.path)
        else:
            JobBlob.objects.filter(pk=self.blob.pk).delete()

    def _move_out(self) -> None:
        self.blob.in_storage, self.blob.live, self.blob.stored_at = True, False, clock.now()
        self.blob.save()
        self._file = self._stack.enter_context(storage.incoming(self.blob.path))
        self._file.write(self._memory.getvalue())
        self._seal.out = self._file  # type: ignore[assignment]
        self._memory.close()
