"""A real Dask cluster on loopback: its scheduler and workers are processes of our own, checked to be."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any

from distributed import Client

from jobsapi.portal.supervisor import die_with_parent, free_ports
from tests.rig.eventually import eventually

ROOT = Path(__file__).resolve().parents[2]


class DaskCluster:
    """One scheduler and some workers. ``with DaskCluster() as cluster: cluster.address``."""

    def __init__(self, workers: int = 1, threads: int = 1) -> None:
        self.size = workers
        self.threads = threads
        (self.port,) = free_ports(0)
        self.scheduler: subprocess.Popen[bytes] | None = None
        self.workers: list[subprocess.Popen[bytes]] = []
        self._folder = tempfile.TemporaryDirectory(prefix="jobsapi-dask-", ignore_cleanup_errors=True)
        self.folder = Path(self._folder.name)

    @property
    def address(self) -> str:
        return f"tcp://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start all, and wait until the scheduler is our own and has its workers."""
        self.start_scheduler()
        for _ in range(self.size):
            self.start_worker()
        self.wait_for_workers(self.size)

    def stop(self) -> None:
        """Kill all by pid."""
        for process in [*self.workers, self.scheduler]:
            if process is not None:
                kill(process)
        self.workers, self.scheduler = [], None
        self._folder.cleanup()

    def start_scheduler(self) -> None:
        options = ["--host", "127.0.0.1", "--port", str(self.port), "--no-dashboard", "--no-jupyter"]
        self.scheduler = self._spawn("scheduler", *options)
        eventually(lambda: accepts(self.port) or self.scheduler.poll() is not None, timeout=30)
        owner = self.ask(os.getpid)
        if owner != self.scheduler.pid:
            raise RuntimeError(f"Port {self.port} belongs to process {owner}, not to our scheduler. See {self.folder}.")

    def start_worker(self) -> subprocess.Popen[bytes]:
        options = ["--no-nanny", "--nthreads", str(self.threads), "--no-dashboard", "--death-timeout", "20"]
        worker = self._spawn("worker", self.address, *options, "--local-directory", str(self.folder))
        self.workers.append(worker)
        return worker

    def wait_for_workers(self, count: int) -> None:
        """Wait until the scheduler has exactly this many workers."""
        eventually(lambda: self.ask(worker_count) == count, timeout=30)

    def kill_worker(self) -> None:
        """End one worker with SIGKILL."""
        kill(self.workers.pop(0))

    def restart_scheduler(self) -> None:
        """Another scheduler on the same port, with new workers: the old ones do not come back."""
        for process in [*self.workers, self.scheduler]:
            kill(process)
        self.workers = []
        self.start()

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """The scheduler is there but does nothing at all, for as long as the block runs."""
        os.kill(self.scheduler.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self.scheduler.pid, signal.SIGCONT)

    def ask(self, function: Any, *args: Any) -> Any:
        """Call a function on the scheduler, as ``Client.run_on_scheduler`` does."""
        with Client(self.address, set_as_default=False, timeout=10) as client:
            return client.run_on_scheduler(function, *args)

    def datasets(self) -> list[str]:
        """The names of all published datasets."""
        return list(self.ask(dataset_names))

    def known_keys(self) -> list[str]:
        """All keys that the scheduler knows, as text."""
        return list(self.ask(task_keys))

    def _spawn(self, *command: str) -> subprocess.Popen[bytes]:
        log = (self.folder / f"{command[0]}-{len(self.workers)}.log").open("ab")
        settings = {"DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "1"}
        with log:
            return subprocess.Popen(
                [sys.executable, "-m", "dask", *command],
                cwd=self.folder,
                env={**os.environ, "PYTHONPATH": str(ROOT), **settings},
                stdout=log,
                stderr=log,
                preexec_fn=partial(die_with_parent, os.getpid()),
            )

    def __enter__(self) -> DaskCluster:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def worker_count(dask_scheduler: Any = None) -> int:
    return len(dask_scheduler.workers)


def dataset_names(dask_scheduler: Any = None) -> list[str]:
    return list(dask_scheduler.extensions["publish"].datasets)


def task_keys(dask_scheduler: Any = None) -> list[str]:
    return [str(key) for key in dask_scheduler.tasks]


def kill(process: subprocess.Popen[bytes]) -> None:
    """End one process of ours, frozen or not, and wait for it."""
    process.kill()
    process.wait(10)


def accepts(port: int) -> bool:
    """Whether somebody listens on a loopback port."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def silent_listener() -> Iterator[str]:
    """The address of a server that accepts connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"tcp://127.0.0.1:{server.getsockname()[1]}"
