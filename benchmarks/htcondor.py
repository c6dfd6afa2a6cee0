"""What a refresh of 1 to 500 HTCondor jobs costs, and submitting 200, on this machine and over SSH.

``python -m benchmarks.htcondor``. Beside it, by turns and on the same clusters of a real pool: plain condorpy, which
asks for one job at a time, and bare ``condor_submit``. Of many jobs condorpy is asked for ``SAMPLE`` in each round, and
its time is scaled: it is the same for each of them. Jobs are also submitted over a line that is ``DELAY`` long, which
tells how many round trips one takes.
"""

from __future__ import annotations

import os
import statistics
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from benchmarks import ground, plain
from tests.rig.condor import CondorPool, Login, workspace
from tests.rig.eventually import eventually
from tests.rig.line import line

SIZES = (1, 10, 100, 500)
ROUNDS = 5
SAMPLE = 5
SUBMITTED = 200
BATCH = 10
"""Jobs that are submitted in one go before it is bare ``condor_submit``'s turn."""
DELAY = 0.05
"""Seconds of a round trip between distant places."""
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
    far: Any
    """Over SSH and a long line."""
    login: Login
    client: Any
    """condorpy's connection to the submit host."""
    far_client: Any
    """The same over the long line."""
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
    """Three schedulers of one pool, the ways to it that condorpy has, and a script to run."""
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
    key = {"private_key_path": str(login.key("rsa")), "host_key": login.host_key}
    with line(login.port, DELAY / 2) as long, plain.connected(login) as client:
        here = create_condor_scheduler("local", "")
        there = create_condor_scheduler("over SSH", login.host, login.user, port=login.port, **key)
        far = create_condor_scheduler("50 ms away", login.host, login.user, port=long.port, **key)
        for scheduler in (here, there, far):
            scheduler.save()
        with plain.connected(replace(login, port=long.port)) as far_client:
            yield Stage(here, there, far, login, client, far_client, script, ground.user(), ground.manager())
            transport_of(far).close()
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


@dataclass
class Costs:
    """What jobs that were submitted to one scheduler have cost, in milliseconds for each."""

    executed: list[float] = field(default_factory=list)
    submitted: list[float] = field(default_factory=list)
    bare: list[float] = field(default_factory=list)


def submissions(things: Stage) -> None:
    """Jobs by turns with as many ``condor_submit`` of the description of one of them, in its own folder."""
    from jobsapi import lifecycle
    from jobsapi.backends.condor.transport import transport_of

    ways = {things.here: None, things.there: things.client, things.far: things.far_client}
    costs = {scheduler: Costs() for scheduler in ways}
    counts = {}
    for scheduler in ways:
        job = executed(things, scheduler, Costs())
        counts[scheduler] = counted(scheduler, partial(lifecycle.submit, job.pk))
    for _ in range(SUBMITTED // BATCH):
        for scheduler, through in ways.items():
            submit_batch(things, scheduler, through, costs[scheduler])
    ground.row("submission", "jobs", "execute()", "commands", "statements", "ms", "bare ms", "ratio")
    medians = {}
    for scheduler, cost in costs.items():
        medians[scheduler] = [statistics.median(each) for each in (cost.executed, cost.submitted, cost.bare)]
        execute, ours, bare = medians[scheduler]
        talk, statements = counts[scheduler]
        ground.row(scheduler.name, SUBMITTED, execute, talk / BATCH, statements / BATCH, ours, bare, ours / bare)
    _, *longer = (far - near for near, far in zip(medians[things.there], medians[things.far], strict=True))
    print("Round trips for a job, and bare:", *(f"{each / (1000 * DELAY):.1f}" for each in longer))
    print(f"SSH connections in all: {transport_of(things.there).exchanges['connect']}")


def executed(things: Stage, scheduler: Any, costs: Costs) -> Any:
    """The first of a batch of jobs that wait to be submitted."""
    jobs = things.saved(scheduler, BATCH)
    costs.executed += [ground.times(job.execute, 1)[0] for job in jobs]
    return jobs[0]


def submit_batch(things: Stage, scheduler: Any, through: Any, costs: Costs) -> None:
    """A batch of jobs, then as many by bare ``condor_submit``, here or ``through`` a connection."""
    from jobsapi import conf, lifecycle
    from jobsapi.backends.condor.layout import layout_of
    from jobsapi.backends.condor.transport import transport_of
    from jobsapi.models import CondorJob

    job = executed(things, scheduler, costs)
    costs.submitted.append(ground.times(partial(lifecycle.submit, job.pk), 1)[0] / BATCH)
    assert not CondorJob._base_manager.filter(native_id="").exists()
    folder = transport_of(scheduler).folder_of(job.workspace, job.folder.name, job.uid.hex, conf.get("PORTAL"))
    costs.bare += ground.times(partial(plain.submit, layout_of(job).submit, folder, through), BATCH)


if __name__ == "__main__":
    main()
