"""The last of a job that its user has deleted: its files, then its row."""

from __future__ import annotations

import logging

from django.db.models import Prefetch, prefetch_related_objects

from jobsapi import storage
from jobsapi.due import UNREAD, due
from jobsapi.lease import lease
from jobsapi.models import Job, JobBlob
from jobsapi.models.blobs import INSIDE

logger = logging.getLogger(__name__)

BATCH = 100


def remove_jobs(scheduler_id: int | None) -> None:
    """Delete jobs of this scheduler that are due for it, under a lease, so that no worker submits one meanwhile."""
    last, files = 0, JobBlob.objects.filter(in_storage=True).defer("sealed")
    while True:
        rows = Job._base_manager.filter(due("remove"), scheduler=scheduler_id, pk__gt=last).order_by("pk")
        with lease(rows, "leased_until", BATCH, UNREAD) as held:
            if not held.rows:
                return
            last = held.rows[-1].pk
            prefetch_related_objects(held.rows, Prefetch("blobs", files))
            gone = [job.pk for job in held.rows if _deleted_files(job)]
            heavy = JobBlob.objects.filter(job__in=gone, size__gt=INSIDE).values_list("pk", flat=True)
            for pk in list(heavy):  # one by one: SQLite takes 5 ms for a MiB, and all other writers wait
                JobBlob.objects.filter(pk=pk).delete()
            Job._base_manager.filter(pk__in=gone).delete()


def _deleted_files(job: Job) -> bool:
    """Whether nothing is left of the job's files. If they cannot be removed now, then later: the row stays as long."""
    try:
        for blob in job.blobs.all():
            blob.delete_file()
        storage.delete_folder(str(job.uid))
        job.remove_files()
    except Exception:
        logger.exception("The files of job %s cannot be deleted now", job.pk)
        return False
    return True
