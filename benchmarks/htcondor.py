"""What a refresh of 1 to 500 HTCondor jobs costs, and submitting 200, on this machine and over SSH.

``python -m benchmarks.htcondor``. Beside it, by turns and on the same clusters of a real pool: plain condorpy, which
asks for one job at a time, and bare ``condor_submit``. Of many jobs condorpy is asked for ``SAMPLE`` in each round, and
its time is scaled: it is the same for each of them.
"""

from __future__ import annotations

import os
import statistics
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from benchmarks import ground, plain
from tests.rig.condor import CondorPool, Login, workspace
from tests.rig.eventually import eventually

SIZES = (1, 10, 100, 500)
ROUNDS = 5
SAMPLE = 5
SUBMITTED = 200
BATCH = 10
"""Jobs that are submitted in one go before it is bare ``condor_submit``'s turn."""
TALK = ("run", "read", "tails", "stage", "bring", "remove")
"""What is a command, of all that a transport counts. On this machine files are written without any."""


def main() -> None:
    """Print two tables."""
    try:
        with CondorPool(slots=1) as pool, ground.django(), workspace() as folder, stage(pool, folder) as things:
            refreshes(things)
            pool.condor("condor_rm", "-constraint", "true")
            eventually(lambda: not pool.queue(), timeout=60)
            submissions(things)
    except pytest.skip.Exception as reason:
        print(f"No figures of HTCondor. {reason}")


@dataclass(frozen=True)
class Stage:
    """What both tables need."""

    here: Any
    there: Any
    """The schedulers: the same schedd, on this machine and over SSH."""
    login: Login
    client: Any
    """condorpy's connection to the submit host."""
    script: Path
    owner: Any
    jobs: Any

    def saved(self, scheduler: Any, count: int) -> list[Any]:
        """New jobs. They never start: so they cost nothing, and all of them stay in the queue."""
        jobs = [
            self.jobs.create_job(
                "job {id}",
                self.owner,
                job_type="CONDOR",
                scheduler=scheduler,
                condorpy_template_name="vanilla_transfer_files",
                attributes={"executable": self.script.name, "arguments": "1", "requirements": "false"},
                remote_input_files=[str(self.script)],
            )
            for _ in range(count)
        ]
        for job in jobs:
            job.save()
        return jobs


@contextmanager
def stage(pool: CondorPool, folder: Path) -> Iterator[Stage]:
    """Two schedulers of one pool, the way to it that condorpy has, and a script to run."""
    from django.conf import settings

    from jobsapi.backends.condor.transport import transport_of
    from jobsapi.compute import create_condor_scheduler

    dispatcher = "jobsapi.dispatch.DummyDispatcher"
    settings.JOBSAPI = {**settings.JOBSAPI, "DISPATCHER": dispatcher, "WORKSPACE_ROOT": str(folder)}
    os.environ |= pool.env
    script = folder / "work.sh"
    script.write_text("#!/bin/sh\necho $1\n")
    script.chmod(0o755)
    login = pool.ssh
    key = {"private_key_path": str(login.key("rsa")), "port": login.port, "host_key": login.host_key}
    here = create_condor_scheduler("local", "")
    there = create_condor_scheduler("over SSH", login.host, login.user, **key)
    here.save()
    there.save()
    with plain.connected(login) as client:
        yield Stage(here, there, login, client, script, ground.user(), ground.manager())
    transport_of(there).close()


def refreshes(things: Stage) -> None:
    """The same clusters, asked for by a refresh and by condorpy in turn, on both ways to them."""
    from jobsapi import lifecycle
    from jobsapi.models import CondorJob

    plainly: dict[Any, list[Callable[[int], str]]] = {
        things.here: [plain.status],
        things.there: [partial(plain.status_anew, login=things.login), partial(plain.status, through=things.client)],
    }
    rows = CondorJob._base_manager.order_by("pk")
    ground.row("refresh", "jobs", "commands", "statements", "ms", "condorpy ms", "ratio", "kept ms", "ratio")
    for size in SIZES:
        rows.update(scheduler=things.here)
        new = things.saved(things.here, size - rows.count())
        for job in new:
            job.execute()
        lifecycle.submit(new[0].pk)
        clusters = [int(each) for each in rows.values_list("native_id", flat=True)]
        assert len(set(clusters)) == size
        for scheduler, others in plainly.items():
            rows.update(scheduler=scheduler)
            refresh = partial(lifecycle.refresh, scheduler.pk)
            refresh()  # it connects
            counts: list[tuple[int, int]] = []
            ours: list[float] = []
            theirs: list[list[float]] = [[] for _ in others]
            for turn in range(ROUNDS):
                counts.append(counted(scheduler, refresh))
                ours += ground.times(refresh, 3)
                for other, taken in zip(others, theirs, strict=True):
                    taken.append(one_by_one(other, clusters, turn))
            median = statistics.median(ours)
            cells = [(each, each / median) for each in map(statistics.median, theirs)]
            ground.row(scheduler.name, size, *min(counts), median, *(cell for pair in cells for cell in pair))


def one_by_one(status: Callable[[int], str], clusters: Sequence[int], turn: int) -> float:
    """How long it takes to ask for each cluster, in milliseconds. Of more than ``SAMPLE``, others at each turn."""
    step = -(-len(clusters) // SAMPLE)
    asked = clusters[turn % step :: step]
    said: list[str] = []
    taken = ground.times(lambda: said.extend(map(status, asked)), 1)[0]
    assert {*said} == {"Idle"}
    return taken * len(clusters) / len(asked)


def counted(scheduler: Any, call: Callable[[], object]) -> tuple[int, int]:
    """Commands at the submit host, and statements at the database, that a call takes."""
    from jobsapi.backends.condor.transport import transport_of

    exchanges = transport_of(scheduler).exchanges
    before = exchanges.copy()
    with CaptureQueriesContext(connection) as queries:
        call()
    done = exchanges - before
    return sum(done[what] for what in (TALK[:1] if scheduler.is_local else TALK)), len(queries)


def submissions(things: Stage) -> None:
    """Jobs by turns with as many ``condor_submit`` of the description of one of them, in its own folder."""
    from jobsapi import conf, lifecycle
    from jobsapi.backends.condor.layout import layout_of
    from jobsapi.backends.condor.transport import transport_of
    from jobsapi.models import CondorJob

    ground.row("submission", "jobs", "execute()", "commands", "statements", "ms", "bare ms", "ratio")
    for scheduler, through in ((things.here, None), (things.there, things.client)):
        transport = transport_of(scheduler)
        executed: list[float] = []
        submitted: list[float] = []
        bare: list[float] = []
        talk = statements = 0
        for turn in range(-1, SUBMITTED // BATCH):
            jobs = things.saved(scheduler, BATCH)
            taken = [ground.times(job.execute, 1)[0] for job in jobs]
            submit = partial(lifecycle.submit, jobs[0].pk)
            if turn < 0:  # counted, not timed
                talk, statements = counted(scheduler, submit)
                continue
            executed += taken
            submitted.append(ground.times(submit, 1)[0] / BATCH)
            assert not CondorJob._base_manager.filter(native_id="").exists()
            job = jobs[0]
            folder = transport.folder_of(job.workspace, job.folder.name, job.uid.hex, conf.get("PORTAL"))
            bare += ground.times(partial(plain.submit, layout_of(job).submit, folder, through), BATCH)
        ours, theirs = statistics.median(submitted), statistics.median(bare)
        ground.row(
            scheduler.name,
            SUBMITTED,
            statistics.median(executed),
            talk / BATCH,
            statements / BATCH,
            ours,
            theirs,
            ours / theirs,
        )
    print(f"SSH connections in all: {transport_of(things.there).exchanges['connect']}")


if __name__ == "__main__":
    main()
