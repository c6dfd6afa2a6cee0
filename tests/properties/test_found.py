"""What the state machine has found, each as a story of its own."""

from __future__ import annotations

import pytest

from jobsapi.models import Job
from jobsapi.models.vocabulary import Vocabulary

pytestmark = pytest.mark.django_db


@pytest.fixture
def wrapped_up():
    """A custom status that counts among those of a job that has ended."""
    known = vars(Vocabulary)["TERMINAL_STATUSES"].custom
    known["Wrapped up"] = None
    yield "Wrapped up"
    del known["Wrapped up"]


def test_a_custom_status_that_ends_a_job_also_ends_what_was_wished_of_it(silent, make_job, wrapped_up):
    job = make_job()
    job.save()
    job.update_status("Calibrating")
    job.delete()

    job.update_status(wrapped_up)

    row = Job._base_manager.get()
    assert (row.ended, row.requested) == (True, "")
