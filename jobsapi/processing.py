"""Code of the app's own on a result, and a line that shows a result without opening it again.

Whatever it raises is told.
"""

from __future__ import annotations

import reprlib
import traceback
from typing import Any

from jobsapi.exceptions import ProcessingFailed
from jobsapi.models import Job
from jobsapi.models.text import clean

PREVIEW_LIMIT = 500


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


def shown(value: Any) -> str:
    """``value`` in a few words, for pages: they never unpickle."""
    shape, dtype = getattr(value, "shape", None), getattr(value, "dtype", None)
    kind = type(value).__name__
    try:
        head = f"{kind} {tuple(shape)} {dtype or ''}".strip() if shape else ""
        body = str(value) if shape else _brief(value)
        return clean(f"{head}: {body}" if head else body, PREVIEW_LIMIT)
    except Exception as error:  # noqa: BLE001  (a class of the app's own may not know how to show itself)
        return clean(f"{kind} (its repr raised {type(error).__name__}: {error})", PREVIEW_LIMIT)


def _brief(value: Any) -> str:
    brief = reprlib.Repr()
    brief.maxstring = brief.maxother = 300
    brief.maxlist = brief.maxtuple = brief.maxdict = brief.maxset = 10
    return brief.repr(value)
