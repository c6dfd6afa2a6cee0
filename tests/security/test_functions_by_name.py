"""A writer in the database names a function: only one of the app's own, or a registered one, is called."""

from __future__ import annotations

import os  # noqa: F401  (for a name that leads through this module)

import pytest

from jobsapi.exceptions import FunctionNotAllowed
from jobsapi.models import Job

HERE = __name__
LIST: list[object] = []


def _private(job):
    """Nobody's to name."""


class Public:
    """What a name may lead to, and what is in it may not."""

    _hidden = staticmethod(_private)


@pytest.mark.django_db
@pytest.mark.parametrize(
    "label", ["tests", "os", "builtins", "subprocess", "", "tests.security.test_functions_by_name"]
)
@pytest.mark.parametrize(
    "path",
    [
        "os.system",
        "builtins.exec",
        "subprocess.call",
        f"{HERE}.os.system",
        f"{HERE}._private",
        f"{HERE}.Public._hidden",
        f"{HERE}.Public.__init__",
        f"{HERE}.LIST.append",
        f"{HERE}._private.__globals__.clear",
        "tests.flood.work.unregistered.__call__",
        "..os.system",
    ],
)
def test_a_function_that_was_written_into_a_row_is_not_found(make_job, label, path):
    """That a worker then calls none, and keeps the result, is tested with the lifecycle."""
    job = make_job()
    job.save()
    Job.objects.filter(pk=job.pk).update(_process_results_function=path, label=label)

    stored = Job.objects.get(pk=job.pk)
    with pytest.raises(FunctionNotAllowed):
        stored.resolve_function(stored._process_results_function)
    assert stored.process_results_function is None
