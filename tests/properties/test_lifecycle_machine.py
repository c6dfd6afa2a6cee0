"""Whatever apps, workers, schedulers and time do, in whatever order: the table of edges holds, and every job ends."""

from __future__ import annotations

from typing import ClassVar

import pytest
from django.utils import timezone
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from jobsapi.models import DaskJob
from jobsapi.models.vocabulary import Vocabulary
from tests.properties import a_part_of
from tests.properties.machine import ENDS_ITS_JOB, Machine, unknown_edges
from tests.properties.mortality import Clock

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(1800)]


class Mailbox:
    """A dispatcher that keeps what is sent."""

    sent: ClassVar[list[tuple[str, int]]] = []

    def send(self, verb: str, pk: int, label: str) -> None:
        self.sent.append((verb, pk))


@pytest.fixture
def ground(settings, monkeypatch, user):
    """A clock of the test's, a scheduler that does as it is told, messages that stay where they are."""
    settings.JOBSAPI = {
        **settings.JOBSAPI,
        "BACKENDS": {"dask": "tests.properties.scheduler.Scripted"},
        "DISPATCHER": f"{__name__}.Mailbox",
        "SCHEDULER_THREADS": 8,
    }
    monkeypatch.setattr(DaskJob, "can_hold", True)
    vars(Vocabulary)["TERMINAL_STATUSES"].custom[ENDS_ITS_JOB] = None
    Machine.clock, Machine.sent = Clock(), Mailbox.sent
    monkeypatch.setattr(timezone, "now", Machine.clock)
    Machine.reached.clear()
    yield
    del vars(Vocabulary)["TERMINAL_STATUSES"].custom[ENDS_ITS_JOB]


def test_in_any_order_of_commands_answers_faults_and_deaths_the_table_holds_and_every_job_ends(ground):
    run_state_machine_as_test(Machine, settings=a_part_of(0.4))

    if settings.default.max_examples >= 1_000:
        assert not unknown_edges(Machine.reached), "the machine comes by every edge of the table"
