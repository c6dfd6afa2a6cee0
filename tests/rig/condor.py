"""A real HTCondor pool on loopback, and an sshd that makes it a remote submit host as well. All are processes of ours.

``tests/conftest.py`` imports the fixtures, and nobody else does: so the pool is started once for all that ask for it.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any

import psutil
import pytest

from jobsapi.portal.demo import ROOT
from jobsapi.portal.guardian import die_with_parent
from tests.rig.eventually import eventually
from tests.rig.services import folder, missing

SCRIPT = ROOT / "scripts" / "htcondor-pool"
PASSPHRASE = "htcondor"
"""Of the key ``rsa_pass``."""
SETTINGS = "HTCONDOR_POOL_"
KEPT = ("HTCONDOR_POOL_SUITE", "HTCONDOR_POOL_INSTALL", "HTCONDOR_POOL_MIRROR", "HTCONDOR_POOL_USER")
"""Settings that the tests' caller may choose; HTCONDOR_POOL_SUITE=sid has them all run on HTCondor 25."""


@dataclass(frozen=True)
class Login:
    """How to get to the pool over SSH: what a CondorScheduler has to be told."""

    host: str
    port: int
    user: str
    host_key: str
    """Its Ed25519 key, as known_hosts and ``scheduler.host_key`` have it: type and base64."""
    host_key_rsa: str
    keys: Path
    password: str
    """Empty when the tests do not run as root: then the sshd takes none."""

    def key(self, kind: str = "ed25519") -> Path:
        """A private key that opens it: ``ed25519``, ``ecdsa``, ``rsa`` (PEM), or ``rsa_pass`` with ``PASSPHRASE``."""
        return self.keys / f"id_{kind}"

    @property
    def known_hosts(self) -> Path:
        return self.keys / "known_hosts"


class CondorPool:
    """``with CondorPool() as pool: pool.condor("condor_q")``. Its own ports and queue; several may run at a time.

    Under root its daemons and jobs belong to another account, which must be able to write where jobs do: see
    ``workspace()``.
    """

    def __init__(self, slots: int = 8, *, ssh: bool = True) -> None:
        self._folder = folder()
        self.folder = self._folder.__enter__()
        inherited = {name: text for name, text in os.environ.items() if not name.startswith(SETTINGS) or name in KEPT}
        self._settings = {**inherited, f"{SETTINGS}HOME": str(self.folder), f"{SETTINGS}SLOTS": str(slots)}
        self._with_ssh = ssh
        self._process: subprocess.Popen[bytes] | None = None
        self.portal = f"pool-{self.folder.name.removeprefix('jobsapi-')}"
        """A name for the portal that uses it: pools of one machine share the home of their account."""

    @property
    def env(self) -> dict[str, str]:
        """To be added to the environment of what shall find this pool's tools."""
        return {
            "PATH": f"{self.folder / 'bin'}{os.pathsep}{os.environ['PATH']}",
            "CONDOR_CONFIG": str(self.folder / "pool" / "condor_config"),
        }

    @property
    def user(self) -> str:
        """The account of its daemons and jobs."""
        return self.folder.joinpath("pool", "spool").owner()

    @property
    def _home(self) -> Path:
        """The home of its account, where portals have their jobs' folders when they come over SSH."""
        return Path(f"~{self.user}").expanduser()

    @property
    def ssh(self) -> Login:
        keys = self.folder / "ssh"
        host_key, host_key_rsa = (
            " ".join((keys / f"host_{kind}.pub").read_text().split()[:2]) for kind in ("ed25519", "rsa")
        )
        facts = dict(line.removeprefix("export ").split("=", 1) for line in self._script("env").splitlines())
        secret = Path(facts[f"{SETTINGS}SSH_PASSWORD_FILE"].strip("'") or os.devnull)
        port = int((self.folder / "ssh_port").read_text())
        return Login("127.0.0.1", port, self.user, host_key, host_key_rsa, keys, secret.read_text())

    def start(self) -> None:
        """Install HTCondor if it is not there, start all, and wait until jobs can match."""
        self._script("install")
        if self._with_ssh and not Path("/usr/sbin/sshd").exists() and shutil.which("sshd") is None:
            missing("There is no sshd: run scripts/install-test-services")
        log = self.folder / "run.log"
        with log.open("wb") as said:
            self._process = subprocess.Popen(
                [SCRIPT, "run", *(["ssh"] if self._with_ssh else [])],
                cwd=self.folder,
                env=self._settings,
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                start_new_session=True,
                preexec_fn=partial(die_with_parent, os.getpid()),
            )
        eventually(lambda: "htcondor-pool: ready\n" in log.read_text() or self._process.poll() is not None, timeout=90)
        if self._process.poll() is not None:
            raise RuntimeError(f"The pool did not start:\n{log.read_text()}")

    def stop(self) -> None:
        """Stop all. Running jobs are killed, and everything is forgotten."""
        if self._process is not None:
            self._process.terminate()  # it stops the pool; when it is killed itself, its guard does
            try:
                self._process.wait(40)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None
            for place in self._home.joinpath("jobsapi").glob(f"{self.portal}*"):
                shutil.rmtree(place, ignore_errors=True)
        self._folder.__exit__(None, None, None)

    def condor(self, *command: str | Path, cwd: Path | None = None, input: str = "") -> str:
        """What a tool of the pool prints. Raises ``CalledProcessError``, with what it said, when it fails."""
        environment = {**os.environ, **self.env}
        done = subprocess.run(
            command, cwd=cwd, env=environment, check=False, capture_output=True, text=True, timeout=60, input=input
        )
        if done.returncode:
            raise subprocess.CalledProcessError(done.returncode, command, done.stdout, done.stderr)
        return done.stdout

    def queue(self, *options: str) -> list[dict[str, Any]]:
        """The ads of all jobs in the queue, or of those that ``condor_q`` chooses by ``options``."""
        return list(json.loads(self.condor("condor_q", "-allusers", "-json", *options) or "[]"))

    def history(self, *options: str) -> list[dict[str, Any]]:
        """The ads of jobs that have left the queue, the newest first."""
        return list(json.loads(self.condor("condor_history", "-json", *options) or "[]"))

    def forget_history(self) -> None:
        """Empty the history: jobs that have left the queue are known nowhere any more."""
        for path in (self.folder / "pool" / "spool").glob("history*"):
            path.write_bytes(b"")

    def is_ready(self) -> bool:
        """Whether the schedd answers now."""
        with suppress(subprocess.SubprocessError):
            self.condor("condor_q", "-totals")
            return True
        return False

    @property
    def schedd(self) -> int:
        """The schedd's process id."""
        return self._daemon("schedd")

    def kill_schedd(self) -> None:
        """End the schedd with SIGKILL. The master starts it again in a moment: ``eventually(pool.is_ready)``."""
        os.kill(self.schedd, signal.SIGKILL)

    @contextmanager
    def frozen_schedd(self) -> Iterator[None]:
        """The schedd is there but answers nobody, for as long as the block runs."""
        with stopped([self.schedd]):
            yield

    @contextmanager
    def frozen_master(self) -> Iterator[None]:
        """Whatever dies stays dead, for as long as the block runs: the master starts nothing again."""
        with stopped([self._master().pid]):
            yield

    @contextmanager
    def starting_nothing(self) -> Iterator[None]:
        """Jobs are taken and none starts, as when all slots are taken, for as long as the block runs.

        What is in the queue before is removed: a slot that is given back now would be used again.
        """
        with suppress(subprocess.CalledProcessError):  # there is nothing
            self.condor("condor_rm", "-all")
        eventually(lambda: not self.queue(), timeout=60)
        with stopped([self._daemon("negotiator")]):
            yield

    @contextmanager
    def without_schedd(self) -> Iterator[None]:
        """No schedd runs, for as long as the block does. Afterwards it is back."""
        pid = self.schedd
        self.condor("condor_off", "-fast", "-daemon", "schedd")
        eventually(lambda: not psutil.pid_exists(pid), timeout=30)
        try:
            yield
        finally:
            self.condor("condor_on", "-daemon", "schedd")
            eventually(self.is_ready, timeout=30)

    def cut_ssh(self) -> int:
        """Kill what serves the open connections; new ones are taken. Returns how many processes that were.

        What clients have started there is left to itself, as when a network is cut.
        """
        sessions = self.ssh_sessions
        for pid in sessions:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        eventually(lambda: not any(map(psutil.pid_exists, sessions)))
        return len(sessions)

    @contextmanager
    def frozen_ssh(self) -> Iterator[None]:
        """The submit host takes connections and says nothing, on new ones and on old ones."""
        with stopped([self._sshd().pid, *self.ssh_sessions]):
            yield

    @property
    def ssh_connections(self) -> int:
        """How many are open."""
        return len(self._sshd().children())

    def _daemon(self, name: str) -> int:
        """The process id of one of the master's daemons."""
        return next(child.pid for child in self._master().children() if child.name() == f"condor_{name}")

    def _master(self) -> psutil.Process:
        return psutil.Process(int((self.folder / "pool" / "run" / "master.pid").read_text()))

    def _sshd(self) -> psutil.Process:
        return psutil.Process(int((self.folder / "ssh" / "sshd.pid").read_text()))

    @property
    def ssh_sessions(self) -> list[int]:
        """The process ids of what serves the open connections."""
        found = []
        for child in self._sshd().children(recursive=True):
            with suppress(psutil.NoSuchProcess):  # what it serves comes and goes
                if child.name().startswith("sshd"):
                    found.append(child.pid)
        return found

    def _script(self, *command: str) -> str:
        done = subprocess.run([SCRIPT, *command], env=self._settings, check=False, capture_output=True, text=True)
        if done.returncode:
            missing(f"HTCondor is not to be had here: {(done.stderr.strip().splitlines() or ['?'])[-1]}")
        return done.stdout

    def __enter__(self) -> CondorPool:
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


@contextmanager
def stopped(pids: Iterable[int]) -> Iterator[None]:
    """Processes that do nothing at all, for as long as the block runs."""
    pids = list(pids)
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


@contextmanager
def workspace() -> Iterator[Path]:
    """A folder that the pool's jobs may write to.

    They run as another account when the tests run as root. So this process, and what it starts meanwhile, makes files
    that everybody may write.
    """
    with folder() as path:
        path.chmod(0o777)
        before = os.umask(0)
        try:
            yield path
        finally:
            os.umask(before)


@pytest.fixture(scope="session")
def condor_pool() -> Iterator[CondorPool]:
    """The pool that tests share. Leave it as you found it: running, with nothing of yours in its queue."""
    with CondorPool() as pool:
        yield pool


@pytest.fixture
def condor_tools(condor_pool: CondorPool, monkeypatch: pytest.MonkeyPatch, settings: Any) -> Mapping[str, str]:
    """This process finds the pool's tools, as on its submit host, and is a portal that no other pool knows."""
    settings.JOBSAPI = {**settings.JOBSAPI, "PORTAL": condor_pool.portal}
    for name, value in condor_pool.env.items():
        monkeypatch.setenv(name, value)
    return condor_pool.env


@pytest.fixture
def condor_workspace(settings: Any) -> Iterator[Path]:
    """The root of all workspaces is a folder that the pool's jobs may write to."""
    with workspace() as path:
        settings.JOBSAPI = {**settings.JOBSAPI, "WORKSPACE_ROOT": str(path)}
        yield path
