"""What the campaign breaks: a whole portal of processes, each of which is started again when it has died."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil

from jobsapi.portal.demo import ROOT, processes
from jobsapi.portal.supervisor import BACKOFF, Command, Process, Supervisor
from tests.chaos.clocks import own_clock
from tests.chaos.disks import own_disk, remote_folders
from tests.chaos.ground import VARIABLE, Ground
from tests.rig import postgresql
from tests.rig.condor import CondorPool
from tests.rig.dask import answer
from tests.rig.ports import kept_port
from tests.rig.services import folder

SETTINGS = {
    "REFRESH_INTERVAL": 0.5,
    "RESCUE_INTERVAL": 1.0,
    "LEASE": 6.0,
    "SUBMIT_TIMEOUT": 6.0,
    "POLL_TIMEOUT": 4.0,
    "SSH_TIMEOUT": 4.0,
    "LOST_GRACE": 4.0,
    "BREAKER_MAX": 4.0,
    "RESULT_TIMEOUT": 30.0,
    "MAX_ATTEMPTS": 50,
}
"""Everything that one would wait for, faster; and no job is to end just because its scheduler was killed too often."""

DASK_WORKERS = 2


def portal_name() -> str:
    """Its own: pools of one machine share a submit host, and its folders."""
    return f"chaos-{os.getpid()}"


class Stage:
    """The parts, by name in ``processes``: ``postgresql valkey dask-scheduler dask-worker-0 dask-worker-1
    celery-control celery-work celery-beat celery-beat-2 web-0 web-1``. ``pool`` is an HTCondor pool or None.

    Use it from the main thread. ``portal`` is added to the environment of workers, beats and web processes alone.
    """

    def __init__(self, home: Path, database: str, *, htcondor: bool, clocks: bool) -> None:
        """``clocks``: whether the processes of the portal, and PostgreSQL, have clocks that can be made wrong."""
        self.ground = Ground(home)
        self.ground.make()
        self.database = database
        self.htcondor = htcondor
        self.clocks = clocks
        self.pool: CondorPool | None = None
        self.schedulers: list[str] = []
        """The names of the rows that jobs may be given to: ``dask``, and those that ``pool_rows`` makes."""
        self.portal: dict[str, str] = {}
        self.supervisor = Supervisor(home / "logs")
        self.crew = Supervisor(home / "logs")
        """For processes of the campaign that may end; nobody starts them again."""
        self.sites: list[str] = []
        self.workspaces = home / "workspaces"
        self.results = home / "results"
        self.ports: dict[str, int] = {}
        self.said: list[str] = []
        self._logs: dict[int, int] = {}
        """Where in its log each process began, by its number; those that are missing, at its beginning."""
        self._kept = ExitStack()

    def __enter__(self) -> Stage:
        try:
            self._raise()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop all. No process is left."""
        self._kept.close()

    def process(self, name: str) -> Process:
        """The process of that name."""
        return next(each for each in self.supervisor.processes if each.command.name == name)

    def named(self, prefix: str) -> list[Process]:
        """The processes whose names begin so."""
        return [each for each in self.supervisor.processes if each.command.name.startswith(prefix)]

    def kill(self, name: str, number: signal.Signals = signal.SIGKILL) -> None:
        """Send a signal to one process, and have it started again when it has died; ``tend`` does that."""
        process = self.process(name)
        if process.alive:
            os.kill(process.pid, number)
        self.say(f"{number.name} to {name}")

    def kill_group(self, name: str) -> None:
        """End a process and all that it has started, at once."""
        process = self.process(name)
        if process.alive:
            os.killpg(process.pid, signal.SIGKILL)
        self.say(f"SIGKILL to {name} and its children")

    @contextmanager
    def frozen(self, name: str) -> Iterator[None]:
        """The process is there and does nothing at all, for as long as the block runs."""
        self.kill(name, signal.SIGSTOP)
        try:
            yield
        finally:
            self.kill(name, signal.SIGCONT)

    def say(self, text: str) -> None:
        """Tell what a fault has done; it is kept in the log of faults."""
        self.said.append(text)

    def tend(self) -> None:
        """Start again what has died, half a second later: also what dies often. Call it often."""
        for process in self.supervisor.processes:
            process._backoff = BACKOFF[0]
        ends = {each: each.log.stat().st_size for each in self.supervisor.processes if not each.alive}
        self.supervisor.tend()
        self._logs |= {each.pid: size for each, size in ends.items() if each.alive}

    def is_up(self) -> bool:
        """Whether both workers take messages, and all others are there."""
        workers = self.named("celery-control") + self.named("celery-work")
        return all(map(self._says_ready, workers)) and all(each.alive for each in self.supervisor.processes)

    def _says_ready(self, worker: Process) -> bool:
        """Whether it has said so since it was last started; each start is another process, with a number of its own."""
        with worker.log.open(errors="replace") as log:
            log.seek(self._logs.get(worker.pid, 0))
            return " ready." in log.read()

    def wait(self, seconds: float) -> None:
        """Let time pass, in which what has died is started again."""
        self.until(lambda: False, seconds)

    def until(self, condition: Callable[[], bool], seconds: float) -> bool:
        """Whether ``condition`` came true in so many seconds, in which what has died is started again."""
        deadline = time.monotonic() + seconds
        while not (met := condition()) and time.monotonic() < deadline:
            self.tend()
            time.sleep(0.05)
        return met

    def ask_dask(self, function: Callable[..., Any]) -> Any:
        """What a function of ``dask_scheduler`` returns there."""
        return asyncio.run(answer(f"tcp://127.0.0.1:{self.ports['dask']}", function))

    def descendants(self) -> list[psutil.Process]:
        """All that was started from here, by whomever, and runs."""
        return psutil.Process().children(recursive=True)

    def _raise(self) -> None:
        keep = self._kept.enter_context
        if self.htcondor:
            keep(workspace_mask())
            self.pool = keep(CondorPool(slots=4))
            os.environ.update(self.pool.env)
        private = keep(folder())  # short enough for a unix socket
        os.environ.update(self._environment(private))
        for place in [self.workspaces, *([remote_folders(self.pool, portal_name())] if self.pool else [])]:
            keep(own_disk(place))
        data = keep(folder(postgresql.account())) if self.database == "postgresql" else None
        keep(self.supervisor)  # behind all folders: they go when the processes have ended
        keep(self.crew)
        self.supervisor.heed_signals()
        if data is not None:
            self._raise_postgresql(data)
        broker = self.start(processes.valkey(private / "valkey.sock"))
        self.supervisor.wait_until(broker, lambda: processes.answers(private / "valkey.sock"))
        self._raise_dask()
        self.supervisor.run(replace(processes.migrate(), cwd=ROOT))
        import django

        django.setup()
        self._rows()
        self._raise_portal()

    def start(self, command: Command) -> Process:
        """Start a command that is started again whenever it ends."""
        return self.supervisor.start(replace(command, restart=True, cwd=command.cwd or ROOT))

    def _environment(self, private: Path) -> dict[str, str]:
        home = self.ground.home
        for place in (self.workspaces, self.results):
            place.mkdir(exist_ok=True)
        self.workspaces.chmod(0o777)
        settings = {
            **SETTINGS,
            "PORTAL": portal_name(),
            "WORKSPACE_ROOT": str(self.workspaces),
            "RESULT_ROOT": str(self.results),
            "DISPATCHER": "tests.chaos.dispatching.Dispatcher",
            "BACKENDS": {"dask": "tests.chaos.backends.Dask", "condor": "tests.chaos.backends.Condor"},
        }
        return {
            VARIABLE: str(home),
            "DJANGO_SETTINGS_MODULE": "tests.settings",
            "JOBSAPI_VAR": str(home),
            "JOBSAPI_APPS": "tests.chaos",
            "JOBSAPI_TEST_SETTINGS": json.dumps(settings),
            "JOBSAPI_BROKER_URL": f"redis+socket://{private / 'valkey.sock'}",
            "DATABASE_URL": f"sqlite:///{home / 'db.sqlite3'}",
            "SECRET_KEY": "chaos-chaos-chaos-chaos-chaos-chaos-chaos-chaos-chaos-chaos",
            "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])),
            "PYTHONUNBUFFERED": "1",
            "WEB_CONCURRENCY": "1",
            "DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "50",  # no task is to blame for the workers that we kill
        }

    def _raise_postgresql(self, home: Path) -> None:
        self.ports["postgresql"] = self._kept.enter_context(kept_port())
        command = postgresql.server(home, self.ports["postgresql"])
        process = self.supervisor.start(replace(command, restart=True, env=self._clock(command.name)))
        os.environ["DATABASE_URL"] = postgresql.ready(self.supervisor, process, self.ports["postgresql"])

    def _raise_dask(self) -> None:
        self.ports["dask"] = port = self._kept.enter_context(kept_port())
        said = ["--host", "127.0.0.1", "--port", str(port), "--no-dashboard", "--no-jupyter"]
        witness = ["--preload", "tests.chaos.witness"]
        scheduler = Command(name="dask-scheduler", argv=[*processes.dask("scheduler"), *said, *witness])
        self.supervisor.wait_listening(self.start(scheduler), port)
        for number in range(DASK_WORKERS):
            worker = processes.dask_worker(port, self.ground.home / f"dask-{number}")
            self.start(replace(worker, name=f"dask-worker-{number}", argv=[*worker.argv, "--death-timeout", "10"]))

    def _raise_portal(self) -> None:
        env = {"JOBSAPI_CHAOS_POINTS": "1", **self.portal}
        for command in processes.celery(self.ground.home):
            self.start(replace(command, env=env | self._clock(command.name)))
            if command.name == "celery-beat":
                schedule = str(self.ground.home / "celerybeat-schedule-2")
                argv = [schedule if word.endswith("celerybeat-schedule") else word for word in command.argv]
                clock = self._clock("celery-beat-2")
                self.start(replace(command, name="celery-beat-2", argv=argv, env=env | clock))
        for number in range(2):
            port = self._kept.enter_context(kept_port())
            clock = self._clock(f"web-{number}")
            process = self.start(replace(processes.web_server(port), name=f"web-{number}", env=env | clock))
            self.sites.append(f"http://127.0.0.1:{port}")
            self.supervisor.wait_listening(process, port)
        for name in ("celery-control", "celery-work"):
            worker = self.process(name)
            self.supervisor.wait_until(worker, lambda worker=worker: " ready." in worker.log.read_text(), timeout=60)  # type: ignore[misc]

    def _clock(self, name: str) -> dict[str, str]:
        return own_clock(self.ground.home, name) if self.clocks else {}

    def _rows(self) -> None:
        from django.contrib.auth import get_user_model

        from jobsapi.compute import create_dask_scheduler

        for name in ("ada", "bob"):
            get_user_model().objects.create_user(name, password="pw")
        create_dask_scheduler("dask", f"tcp://127.0.0.1:{self.ports['dask']}").save()
        if self.pool is not None:
            pool_rows(self)
        from jobsapi.models import Scheduler

        self.schedulers = list(Scheduler.objects.values_list("name", flat=True))


def pool_rows(stage: Stage) -> None:
    """The rows of schedulers that lead to the pool: ``pool``, this machine's own, and ``remote``, over SSH."""
    from jobsapi.compute import create_condor_scheduler

    assert stage.pool is not None
    login = stage.pool.ssh
    create_condor_scheduler("pool", "").save()
    create_condor_scheduler(
        "remote",
        login.host,
        username=login.user,
        private_key_path=str(login.key()),
        port=login.port,
        host_key=login.host_key,
    ).save()


@contextmanager
def workspace_mask() -> Iterator[None]:
    """What this process and its children write may be written by all: jobs of HTCondor run as another account."""
    before = os.umask(0)
    try:
        yield
    finally:
        os.umask(before)
