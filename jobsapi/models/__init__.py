"""The tables of jobsapi, and the job types that come with it."""

from jobsapi.models.basic import BasicJob
from jobsapi.models.blobs import JobBlob, Purpose
from jobsapi.models.condor import (
    CondorJob,
    CondorWorkflow,
    CondorWorkflowDataNode,
    CondorWorkflowFinalNode,
    CondorWorkflowJobNode,
    CondorWorkflowNode,
    CondorWorkflowSpliceNode,
    CondorWorkflowSubdagNode,
)
from jobsapi.models.dask import DaskJob
from jobsapi.models.events import JobEvent
from jobsapi.models.heartbeat import Heartbeat
from jobsapi.models.job import Job
from jobsapi.models.logs import Log, LogPiece
from jobsapi.models.parts import PartWish
from jobsapi.models.refreshes import RefreshWish
from jobsapi.models.schedulers import CondorScheduler, DaskScheduler, Scheduler, SchedulerAssignment
from jobsapi.models.sharing import JobShare, Right
from jobsapi.models.spec import spec_property
from jobsapi.models.strays import Stray

TethysJob = Job
"""The name that ported apps use."""

__all__ = [
    "BasicJob",
    "CondorJob",
    "CondorScheduler",
    "CondorWorkflow",
    "CondorWorkflowDataNode",
    "CondorWorkflowFinalNode",
    "CondorWorkflowJobNode",
    "CondorWorkflowNode",
    "CondorWorkflowSpliceNode",
    "CondorWorkflowSubdagNode",
    "DaskJob",
    "DaskScheduler",
    "Heartbeat",
    "Job",
    "JobBlob",
    "JobEvent",
    "JobShare",
    "Log",
    "LogPiece",
    "PartWish",
    "Purpose",
    "RefreshWish",
    "Right",
    "Scheduler",
    "SchedulerAssignment",
    "Stray",
    "TethysJob",
    "spec_property",
]
