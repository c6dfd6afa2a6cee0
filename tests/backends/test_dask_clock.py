"""A clock that is set back does not keep the work of a kept connection from the Dask scheduler."""

import time

from dask import delayed

from tests.rig.eventually import eventually

HOUR = 3600.0


def test_a_worker_whose_clock_was_an_hour_ahead_goes_on_handing_out_jobs(desk, monkeypatch):
    client = desk.backend.client
    stream = client.scheduler_comm
    monkeypatch.setattr("distributed.batched.time", lambda: time.time() + HOUR)
    client.loop.add_callback(stream.send, {"op": "heartbeat-client"})
    eventually(lambda: stream.next_deadline and stream.next_deadline > time.time() + HOUR / 2)

    monkeypatch.undo()

    assert desk.computed(delayed(sum)([1, 2])) == 3
