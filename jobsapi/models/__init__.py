"""The tables of jobsapi, and the job types that come with it."""

from jobsapi.models.basic import BasicJob
from jobsapi.models.blobs import JobBlob, Purpose
from jobsapi.models.dask import DaskJob
from jobsapi.models.events import JobEvent
from jobsapi.models.heartbeat import Heartbeat
from jobsapi.models.job import Job
from jobsapi.models.schedulers import CondorScheduler, DaskScheduler, Scheduler, SchedulerAssignment
from jobsapi.models.spec import spec_property

TethysJob = Job
"""The name that ported apps use."""

__all__ = [
    "BasicJob",
    "CondorScheduler",
    "DaskJob",
    "DaskScheduler",
    "Heartbeat",
    "Job",
    "JobBlob",
    "JobEvent",
    "Purpose",
    "Scheduler",
    "SchedulerAssignment",
    "TethysJob",
    "spec_property",
]
