"""A real Dask cluster on loopback: its scheduler and workers are processes of our own, checked to be."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any

from distributed.core import clean_exception, rpc
from distributed.protocol.pickle import dumps

from jobsapi.portal.guardian import die_with_parent
from tests.rig.eventually import eventually
from tests.rig.ports import kept_port

ROOT = Path(__file__).resolve().parents[2]
START = 60.0
"""Seconds that a process of Dask has to start, on a machine that does other things as well."""
ANSWER, TRIES = 10.0, 3
"""Seconds that the scheduler has to answer, and how often it is asked."""


class DaskCluster:
    """One scheduler and some workers. ``with DaskCluster() as cluster: cluster.address``.

    ``settings`` are of ``distributed``, as its configuration names them in the environment.
    """

    def __init__(self, workers: int = 1, threads: int = 1, settings: Mapping[str, str] | None = None) -> None:
        self.size = workers
        self.threads = threads
        self.settings = {"SCHEDULER__ALLOWED_FAILURES": "1", **(settings or {})}
        self._kept = ExitStack()
        self.port = self._kept.enter_context(kept_port())
        self.scheduler: subprocess.Popen[bytes] | None = None
        self.workers: list[subprocess.Popen[bytes]] = []
        folder = tempfile.TemporaryDirectory(prefix="jobsapi-dask-", ignore_cleanup_errors=True)
        self.folder = Path(self._kept.enter_context(folder))

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
        self._kept.close()

    def start_scheduler(self) -> None:
        options = ["--host", "127.0.0.1", "--port", str(self.port), "--no-dashboard", "--no-jupyter"]
        self.scheduler = self._spawn("scheduler", *options)
        eventually(lambda: accepts(self.port) or self.scheduler.poll() is not None, START)
        owner = self.ask(os.getpid) if self.scheduler.poll() is None else None
        if owner != self.scheduler.pid:
            said = Path(self.folder, "scheduler-0.log").read_text()
            raise RuntimeError(f"Process {owner} answers at port {self.port}, not our scheduler, which says:\n{said}")

    def start_worker(self) -> subprocess.Popen[bytes]:
        options = ["--no-nanny", "--nthreads", str(self.threads), "--no-dashboard", "--death-timeout", "20"]
        worker = self._spawn("worker", self.address, *options, "--local-directory", str(self.folder))
        self.workers.append(worker)
        return worker

    def wait_for_workers(self, count: int) -> None:
        """Wait until the scheduler has exactly this many workers."""
        eventually(lambda: self.ask(worker_count) == count, START)

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
        """Call a function that may be repeated on the scheduler, as ``Client.run_on_scheduler`` does.

        Raises ``TimeoutError`` in the end. Not by a Client: its start does not end when the connection is accepted by
        somebody who stays silent.
        """
        with ThreadPoolExecutor(1) as beside:  # this thread may have a loop that runs, as Playwright's has
            return beside.submit(asyncio.run, answer(self.address, function, *args)).result()

    def datasets(self) -> list[str]:
        """The names of all published datasets."""
        return list(self.ask(dataset_names))

    def known_keys(self) -> list[str]:
        """All keys that the scheduler knows, as text."""
        return list(self.ask(task_keys))

    def _spawn(self, *command: str) -> subprocess.Popen[bytes]:
        log = (self.folder / f"{command[0]}-{len(self.workers)}.log").open("ab")
        settings = {f"DASK_DISTRIBUTED__{name}": value for name, value in self.settings.items()}
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


async def answer(address: str, function: Any, *args: Any) -> Any:
    """What ``function(*args, dask_scheduler=...)`` returns, or raises, on the scheduler at ``address``."""
    for _ in range(TRIES):
        with suppress(TimeoutError):
            return await asyncio.wait_for(exchange(address, function, *args), ANSWER)
    raise TimeoutError(f"The scheduler at {address} was asked {TRIES} times and did not answer in {ANSWER:g} s.")


async def exchange(address: str, function: Any, *args: Any) -> Any:
    """As ``answer``, once, however long that takes."""
    async with rpc(address) as scheduler:
        said = await scheduler.run_function(function=dumps(function), args=dumps(args), kwargs=dumps({}), wait=True)
    if said["status"] == "error":
        _, error, trace = clean_exception(**said)
        raise error.with_traceback(trace)
    return said["result"]


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
