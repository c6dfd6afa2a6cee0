"""Beat goes on when its clock is set back."""

from datetime import timedelta

import pytest

from worker import app
from worker.beat import SteadyScheduler


class Noting(SteadyScheduler):
    """Notes what it would send, and needs no broker."""

    producer = None

    def apply_entry(self, entry, producer=None):
        self.sent.append(entry.name)


@pytest.fixture
def beat(tmp_path):
    scheduler = Noting(app, schedule_filename=str(tmp_path / "schedule"))
    scheduler.sent = []
    yield scheduler
    scheduler.close()


def test_what_ran_an_hour_ahead_runs_again_when_its_interval_is_over(beat):
    rescue = beat.schedule["rescue"]
    for entry in beat.schedule.values():
        entry.last_run_at = entry.default_now() + timedelta(hours=1)
    beat.tick()
    assert beat.sent == []
    assert all(entry.last_run_at <= entry.default_now() for entry in beat.schedule.values())

    rescue.last_run_at -= timedelta(seconds=rescue.schedule.run_every.total_seconds() + 1)
    beat._heap = None
    beat.tick()

    assert beat.sent == ["rescue"]


def test_it_is_the_one_that_beat_uses():
    assert app.conf.beat_scheduler == "worker.beat:SteadyScheduler"
