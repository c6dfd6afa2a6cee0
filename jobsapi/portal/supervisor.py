"""Starts processes, watches them and stops them. Whatever becomes of the supervisor, none of them outlives it.

Three things see to that: ``stop()`` on every way out; the kernel, which kills a child when its parent dies (Linux);
and a guardian, a tiny process in a session of its own that kills all their groups as soon as its pipe from the
supervisor closes, grandchildren included and on every system.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, Self

from jobsapi.portal.guardian import die_with_parent, start_guardian
from jobsapi.portal.ports import listens

STOP_SIGNALS = frozenset({signal.SIGINT, signal.SIGTERM, signal.SIGHUP})
BACKOFF = (0.5, 10.0)
"""Seconds before the first restart of a process that died; doubled each time, up to the second number."""
SETTLED = 30.0
"""Seconds after which a restarted process counts as well again."""
PAUSE = 0.05
"""Seconds between two looks at what is waited for."""


class SupervisorError(RuntimeError):
    """The root of what goes wrong with a supervised process."""


class ProcessDied(SupervisorError):
    """Raised when a process that should run has ended; the text has the end of its log."""


class PortTaken(SupervisorError):
    """Raised when somebody else listens on the port that a process was given; another port may do."""


class NotReady(SupervisorError):
    """Raised when a process does not become ready in time; the text has the end of its log."""


class StopRequested(BaseException):
    """Raised in the main thread at the first signal to stop. Like KeyboardInterrupt, no error to be caught as one."""


@dataclass(frozen=True, kw_only=True)
class Command:
    """What to run, and how.

    ``env`` is added to the supervisor's own environment. ``user`` runs it as somebody else, which only root may ask.
    ``restart`` starts it again, after a pause, whenever it ends. ``grace`` is how many seconds it has to end after
    ``stop_signal`` before it is killed.
    """

    name: str
    argv: Sequence[str]
    env: Mapping[str, str] = field(default_factory=dict)
    cwd: Path | None = None
    user: str | None = None
    restart: bool = False
    stop_signal: signal.Signals = signal.SIGTERM
    grace: float = 10.0


class Process:
    """One command under supervision: now running, or dead and perhaps due for a restart."""

    def __init__(self, command: Command, log: Path) -> None:
        self.command = command
        self.log = log
        self.restarts = 0
        self._popen: subprocess.Popen[bytes] | None = None
        self._started = 0.0
        self._backoff = BACKOFF[0]
        self._due: float | None = None

    @property
    def pid(self) -> int:
        """Of the running process or of the last one; also the number of its process group."""
        assert self._popen is not None
        return self._popen.pid

    @property
    def exit_status(self) -> int | None:
        """None while it runs; otherwise its exit status, or minus the signal that killed it."""
        return self._popen.poll() if self._popen else None

    @property
    def alive(self) -> bool:
        return self._popen is not None and self.exit_status is None

    def tail(self, lines: int = 20) -> str:
        """The last lines of its log."""
        with contextlib.suppress(FileNotFoundError):
            return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])
        return ""

    def obituary(self) -> str:
        """How it ended and its last words."""
        status = self.exit_status
        if status is None:
            how = "is running"
        elif status < 0:
            how = f"was killed by {signal.Signals(-status).name}"
        else:
            how = f"ended with status {status}"
        return f"{self.command.name} {how}. The end of {self.log}:\n{self.tail()}"

    def _signal_group(self, signum: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):  # all gone; macOS refuses to signal zombies
            os.killpg(self.pid, signum)


class Supervisor:
    """Runs processes for as long as it is entered. Use it from the main thread.

    Linux ties the death of a child to the *thread* that started it, hence the main thread. Each process has its own
    session, so Ctrl-C in a terminal reaches the supervisor alone, and its own file in ``logs``.
    """

    def __init__(self, logs: Path) -> None:
        self.logs = logs
        self.processes: list[Process] = []
        self._guardian: subprocess.Popen[bytes] | None = None
        self._handlers: dict[signal.Signals, Any] = {}
        self._stopping = False
        self._hurry = False

    def __enter__(self) -> Self:
        self.logs.mkdir(parents=True, exist_ok=True)
        self._guardian = start_guardian()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def heed_signals(self) -> None:
        """From now until ``stop()`` has ended, INT, TERM and HUP raise ``StopRequested`` here, once.

        Another one while it stops kills what is left. A signal that this process was started to ignore, as ``nohup``
        does, stays ignored.
        """
        for number in STOP_SIGNALS:
            handler = signal.getsignal(number)
            if handler is not signal.SIG_IGN:
                self._handlers[number] = handler
                signal.signal(number, self._signalled)

    def start(self, command: Command) -> Process:
        """Start ``command`` and return at once; its log starts empty."""
        process = Process(command, self.logs / f"{command.name}.log")
        process.log.unlink(missing_ok=True)
        self.processes.append(process)
        self._spawn(process)
        return process

    def run(self, command: Command, *, timeout: float = 120.0) -> None:
        """Start ``command`` and wait for its end. Raises ``ProcessDied`` unless it ends well."""
        process = self.start(command)
        self.wait_until(process, lambda: process.exit_status == 0, timeout=timeout)
        self._stop(process)
        self.processes.remove(process)

    def tend(self) -> None:
        """Restart what died and may be restarted. Call it often. Raises ``ProcessDied`` for any other that ended."""
        now = time.monotonic()
        for process in self.processes:
            if process.alive:
                if now - process._started > SETTLED:
                    process._backoff = BACKOFF[0]
            elif not process.command.restart:
                raise ProcessDied(process.obituary())
            elif process._due is None:
                self._bury(process)
                process._due = now + process._backoff
                process._backoff = min(process._backoff * 2, BACKOFF[1])
            elif now >= process._due:
                process.restarts += 1
                self._spawn(process)

    def wait_until(self, process: Process, ready: Callable[[], bool], *, timeout: float = 30.0) -> None:
        """Return when ``ready()`` is true. Raises ``ProcessDied`` or, after ``timeout`` seconds, ``NotReady``."""
        deadline = time.monotonic() + timeout
        while not ready():
            if not process.alive:
                raise ProcessDied(process.obituary())
            if time.monotonic() > deadline:
                raise NotReady(f"Not ready after {timeout:.0f} s: {process.obituary()}")
            time.sleep(PAUSE)

    def wait_listening(self, process: Process, port: int, *, timeout: float = 30.0) -> None:
        """Return when ``process`` itself, or one of its group, listens on 127.0.0.1:``port``.

        Raises ``PortTaken`` as soon as a stranger does. Where there is no /proc, a connection that is accepted while
        the process lives must do.
        """

        def ready() -> bool:
            ours = listens(process.pid, port)
            if ours is False:
                raise PortTaken(f"Port {port} was meant for {process.command.name}, but another process listens on it.")
            return ours is True

        self.wait_until(process, ready, timeout=timeout)

    def stop(self) -> None:
        """Stop all, the last started first, each with its own grace. Afterwards none is left."""
        self._stopping = True
        while self.processes:
            process = self.processes[-1]
            self._stop(process)
            self.processes.remove(process)
        if self._guardian is not None and self._guardian.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self._guardian.stdin.close()
            self._guardian.wait()
            self._guardian = None
        while self._handlers:
            signal.signal(*self._handlers.popitem())

    def _stop(self, process: Process) -> None:
        if process._popen is None or process._due is not None:  # never started, or dead and buried
            return
        if process.alive:
            process._signal_group(process.command.stop_signal)
        deadline = time.monotonic() + process.command.grace
        while process.alive and time.monotonic() < deadline and not self._hurry:
            time.sleep(PAUSE)
        self._bury(process)
        process._popen.wait()

    def _bury(self, process: Process) -> None:
        """Kill what is left of its group, and have the guardian forget its number, which may be another's soon."""
        process._signal_group(signal.SIGKILL)
        self._tell_guardian(-process.pid)

    def _spawn(self, process: Process) -> None:
        if threading.current_thread() is not threading.main_thread():
            raise RuntimeError("Start processes from the main thread: Linux kills them when the thread ends.")
        command = process.command
        # A signal between the fork and the assignment would lose the child.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
        try:
            with process.log.open("ab") as log:
                process._popen = subprocess.Popen(
                    command.argv,
                    env={**os.environ, **command.env},
                    cwd=command.cwd,
                    user=command.user,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                    preexec_fn=partial(die_with_parent, os.getpid(), mask),
                )
            process._started = time.monotonic()
            process._due = None
            self._tell_guardian(process.pid)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)

    def _tell_guardian(self, group: int) -> None:
        if self._guardian is None or self._guardian.stdin is None:
            raise RuntimeError("Enter the supervisor first: with Supervisor(logs) as supervisor: ...")
        with contextlib.suppress(BrokenPipeError):  # the guardian was killed; the kernel's guard still stands
            self._guardian.stdin.write(b"%d\n" % group)
            self._guardian.stdin.flush()

    def _signalled(self, signum: int, frame: FrameType | None) -> None:
        if self._stopping:
            self._hurry = True
        else:
            self._stopping = True
            raise StopRequested(signal.Signals(signum).name)
