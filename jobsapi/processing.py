"""Code of the app's own on a result. Whatever it raises is told."""

from __future__ import annotations

import traceback
from typing import Any

from jobsapi.exceptions import ProcessingFailed
from jobsapi.models import Job


def processed(job: Job, value: Any) -> Any:
    """What the job's processing function makes of ``value``; ``value`` itself without one.

    Raises ``ProcessingFailed`` when the function raises, or cannot be found any more.
    """
    path = job._process_results_function
    if not path:
        return value
    try:
        return job.process(job.resolve_function(path), value)
    except (Exception, SystemExit) as error:
        raise ProcessingFailed(f"{path} raised {type(error).__name__}: {error}.", traceback.format_exc()) from error
