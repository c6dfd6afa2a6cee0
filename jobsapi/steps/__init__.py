"""What a worker does in each step, for jobs that it holds under a lease: ``jobsapi.lifecycle`` says when.

Each of these is safe to run twice. What cannot be done now is returned, to be done later.
"""

from jobsapi.steps.after import SOON, mark, wake
from jobsapi.steps.clearing import cleanup, keep_logs
from jobsapi.steps.control import cancel, control_parts, hold, release
from jobsapi.steps.polling import go_on, refresh
from jobsapi.steps.results import fetch_results
from jobsapi.steps.submission import submit

__all__ = [
    "SOON",
    "cancel",
    "cleanup",
    "control_parts",
    "fetch_results",
    "go_on",
    "hold",
    "keep_logs",
    "mark",
    "refresh",
    "release",
    "submit",
    "wake",
]
