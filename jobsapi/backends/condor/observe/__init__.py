"""What HTCondor's answers mean for jobs and workflows. Pure functions."""

from jobsapi.backends.condor.observe.job import left, missing, observe_job
from jobsapi.backends.condor.observe.nodes import nodes_of
from jobsapi.backends.condor.observe.order import positions
from jobsapi.backends.condor.observe.workflow import observe_workflow

__all__ = ["left", "missing", "nodes_of", "observe_job", "observe_workflow", "positions"]
