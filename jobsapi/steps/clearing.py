"""What ended jobs left at their scheduler is removed, and what logs say is kept."""

from __future__ import annotations

import json
from collections.abc import Iterable
from contextlib import suppress

from jobsapi.exceptions import InvalidJob, TransferFailed
from jobsapi.models import Job, JobBlob, Purpose
from jobsapi.models.text import clean
from jobsapi.reach import Line
from jobsapi.status import Status
from jobsapi.steps.after import make_way, mark

LOGS_KEPT = 5
"""Of so many jobs of a batch that have failed, the logs are fetched before what they left is removed."""


def cleanup(line: Line, jobs: list[Job]) -> Iterable[Job]:
    """Remove what ended jobs left at the scheduler; of some that failed, keep the logs first."""
    failed = [job for job in jobs if job._status == Status.ERROR and job.native_id]
    for job in failed[:LOGS_KEPT]:
        if JobBlob.find(job, Purpose.LOGS) is None:
            with suppress(InvalidJob, TransferFailed):  # nothing that keeps anybody from clearing up
                keep_logs(line, job)
    again = list(line.backend.cleanup(jobs))
    mark([job for job in jobs if job not in again], cleanup_pending=False)
    line.next_steps.append(("submit", Job._base_manager.filter(pk__in=[job.pk for job in jobs])))
    make_way(line)
    return again


def keep_logs(line: Line, job: Job) -> None:
    """Fetch the ends of a job's logs, for readers."""
    logs = {
        clean(name, len(name)): {
            "text": tail.text,
            "offset": tail.offset,
            "size": tail.offset + len(tail.text.encode()) if tail.size is None else tail.size,
        }
        for name, tail in line.backend.logs(job).items()
    }
    if logs:
        JobBlob.store(job, Purpose.LOGS, json.dumps(logs).encode())
