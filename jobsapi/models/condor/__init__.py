"""Jobs and workflows that HTCondor runs."""

from jobsapi.models.condor.job import CondorJob
from jobsapi.models.condor.nodes import (
    CondorWorkflowDataNode,
    CondorWorkflowFinalNode,
    CondorWorkflowJobNode,
    CondorWorkflowNode,
    CondorWorkflowSpliceNode,
    CondorWorkflowSubdagNode,
)
from jobsapi.models.condor.workflow import CondorWorkflow

__all__ = [
    "CondorJob",
    "CondorWorkflow",
    "CondorWorkflowDataNode",
    "CondorWorkflowFinalNode",
    "CondorWorkflowJobNode",
    "CondorWorkflowNode",
    "CondorWorkflowSpliceNode",
    "CondorWorkflowSubdagNode",
]
