"""The way to a submit host: argument lists are run there, files go there and come back. Paths are text, never shell."""

from __future__ import annotations

import re
import threading
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from jobsapi.exceptions import BackendUnavailable, InvalidJob, TransferFailed

INCOMING = ".jobsapi-incoming"
"""The folder, in an own folder, in which files lie until they are whole and verified. Never brought home."""
KILL_AFTER = 2.0
"""Seconds that a command has, after SIGTERM at its time-out, before it is killed."""
GRACE = 1.0
"""Seconds that the answer of a command that ended at its time-out has to arrive."""
SLOWEST = 8 * 1024**2
"""Bytes that any disk can be trusted to read, and any processor to sum up, in a second."""
TAILS_MAX = 500
"""Files that one call of ``tails`` reads; a job of 10,000 processes has more, and nobody reads them on one page."""


class CommandKilled(BackendUnavailable):
    """Raised when a command was killed at its time-out: it has surely ended, and what it did is not known."""


@dataclass(frozen=True, slots=True)
class Completed:
    """What a command that was run to its end has said. A status other than 0 is for the caller to judge."""

    status: int
    out: str
    err: str


@dataclass(frozen=True, slots=True)
class Tail:
    """The end of a file."""

    data: bytes
    offset: int
    """Where in the file ``data`` begins; 0 when it is the whole file."""
    size: int
    """How long the file was."""

    @property
    def text(self) -> str:
        """The data as text, whatever is in it. A first character that was cut in two is left out."""
        cut = self.data.lstrip(CONTINUATION) if self.offset else self.data
        return cut.decode(errors="replace")


CONTINUATION = bytes(range(0x80, 0xC0))
"""The bytes that a character in UTF-8 goes on with."""


@dataclass(frozen=True, slots=True)
class Brought:
    """What came home. Everything else of the own folder was there already, the same to the byte."""

    files: int = 0
    size: int = 0
    """In bytes."""
    skipped: tuple[str, ...] = ()
    """What was left behind, and why: links, devices, what cannot be read or leads elsewhere. A sentence each."""


class Transport(ABC):
    """Runs commands at a submit host and moves the files of jobs. One for each process and scheduler; threads share it.

    All calls may be repeated. ``BackendUnavailable`` says that the host could not be reached, or not in time, or has no
    room left, and what a user can do; after it nothing is known of what the call did.
    """

    def __init__(self) -> None:
        self.exchanges: Counter[str] = Counter()
        """How often what was done: "connect"; "run", "read", "tails", "stage", "bring", "remove" for each command or
        read that it took; "sent" and "brought" for each file. For tests and benchmarks."""
        self.identity = ""
        """Who we are at the schedd there, once somebody has asked it. Kept for callers."""
        self._counting = threading.Lock()

    def count(self, what: str, times: int = 1) -> None:
        """Add to ``exchanges``, from any thread."""
        with self._counting:
            self.exchanges[what] += times

    @abstractmethod
    def open(self) -> None:
        """Connect if not connected. Raises ``BackendUnavailable``, ``HostKeyNotAccepted``; then nothing was sent."""

    @abstractmethod
    def run(self, argv: Sequence[str], *, folder: str | None, timeout: float, input: bytes = b"") -> Completed:
        """Run a command to its end in ``folder`` (None: where a login begins), with ``input`` as its standard input.

        After ``timeout`` seconds it is killed, where it runs and with what it started: ``CommandKilled``, or
        ``BackendUnavailable`` when that could not be seen; the latter also when the command is not installed there.
        Raises ``TransferFailed`` when the folder is not there.
        """

    @abstractmethod
    def folder_of(self, job_workspace: str, own_folder: str, uid: str, portal: str) -> str:
        """The path, at the submit host, of a job's own folder. Connects to nothing."""

    @abstractmethod
    def stage(
        self,
        folder: str,
        *,
        texts: Mapping[str, str],
        folders: Sequence[str],
        inputs: Mapping[str, Path],
        private: Mapping[str, str] | None = None,
    ) -> None:
        """Make an own folder with its sub-folders, write the texts, copy the inputs, files or whole folders, into it.

        Keys are paths relative to ``folder``. On return all are there, verified; what was there already with the same
        size and checksum was not sent, unless all of it is so little that asking would take longer. ``private`` are
        texts that nobody but the account may read, at any moment. Links are not copied as links: one in an input folder
        is followed as long as it stays in it. Raises ``InvalidJob`` for an input that cannot be read,
        ``TransferFailed``, ``BackendUnavailable``. One call at a time for a folder.
        """

    @abstractmethod
    def bring(self, folder: str, home: Path) -> Brought:
        """Bring the whole tree of an own folder to ``home``, a folder of this machine, verified by checksum.

        Files named ``REPORT_FILE`` stay there: nobody here needs the secret in them.
        What is there already with the same size and checksum is not fetched; what else is there stays. Nothing is ever
        written outside ``home``. Raises ``TransferFailed`` or ``BackendUnavailable``; a repeat goes on where it ended.
        """

    @abstractmethod
    def remove(self, folders: Sequence[str]) -> None:
        """Remove own folders with all in them, in one exchange. Absent ones are fine; what they link to stays.

        Raises ``InvalidJob``, and removes none, when one is not where ``folder_of`` puts them.
        """

    @abstractmethod
    def read(self, paths: Sequence[str], *, limit: int) -> dict[str, bytes]:
        """Whole small files, in one exchange. Left out are absent ones, links, and those longer than ``limit`` bytes.

        Paths are as ``folder_of`` gives them, with a name in the own folder added.
        """

    @abstractmethod
    def tails(self, folder: str, patterns: Sequence[str], limit: int) -> dict[str, Tail]:
        """The last ``limit`` bytes of each file in ``folder`` that matches a glob pattern, by relative path.

        One exchange. Links are left out, and what exceeds ``TAILS_MAX`` files.
        """

    @abstractmethod
    def close(self) -> None:
        """Let go of the connection; the next call makes another."""


def inside(name: str) -> str:
    """``name``, a relative path that stays in its folder and is none of our own. Raises ``InvalidJob``."""
    parts = name.split("/")
    if not clean(name) or parts[0].startswith(INCOMING):
        raise InvalidJob(f"{name!r} is no path in the folder of a job. Name a file in it, without “..”.")
    return name


def clean(name: str) -> bool:
    """Whether a relative path leads nowhere but down."""
    return not any(part in ("", ".", "..") for part in name.split("/")) and "\0" not in name


def parents(name: str) -> list[str]:
    """The folders that a relative path passes, the outermost first."""
    return [str(parent) for parent in reversed(PurePosixPath(name).parents[:-1])]


NO_ROOM = re.compile(
    r"No space left on device|Disk quota exceeded|File too large|Wrote only \d+ of \d+ bytes", re.IGNORECASE
)
"""In the words of the system; the last in those of tar, when a disk takes no more than the beginning of a block."""


def completed(argv: Sequence[str], status: int, out: bytes, err: bytes, *, overdue: bool, where: str) -> Completed:
    """What ``timeout COMMAND`` has said. ``overdue``: whether its time was over. Raises what ``run`` raises."""
    said = err.decode(errors="replace")
    if overdue and status in TIMED_OUT:
        raise CommandKilled(f"{argv[0]} did not answer in time {where} and was stopped. {last_line(said)}".strip())
    if status in NOT_RUN and NOT_STARTED.match(said):
        raise BackendUnavailable(
            f"{argv[0]} cannot be run {where}: {last_line(said)}. "
            "Is it installed there, and on the PATH of the account?"
        )
    return Completed(status, out.decode(errors="replace"), said)


TIMED_OUT = (124, 137, -9, -15)
"""How coreutils' timeout ends when it had to stop a command: by itself, killed, or killed by us."""
NOT_RUN = (125, 126, 127)
"""How it ends when it could not start one, or is not there itself."""
NOT_STARTED = re.compile(r"(sh: .*\b)?timeout: |env: ")
"""How it says so, or the shell of it."""


def last_line(text: str) -> str:
    """The last line that says something, for a message of one line."""
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith(SAYS_NOTHING)]
    return lines[-1][:500] if lines else ""


SAYS_NOTHING = ("xargs: ", "tar: Exiting with failure status", "tar: Error is not recoverable")
"""How lines begin in which a program only says that something has failed, which has said so itself."""


def trouble(text: str, what: str, where: str) -> BackendUnavailable | TransferFailed:
    """What a failed file operation means, from the words of the system."""
    said = last_line(text)
    if NO_ROOM.search(text):
        return BackendUnavailable(f"{what} failed: no room is left {where} ({said}). Free some space there.")
    return TransferFailed(f"{what} failed {where}: {said or 'no reason was given'}.")
