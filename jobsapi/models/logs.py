"""The logs of a job, listed by name and read from anywhere. They come from its files, or from what a worker fetched."""

from __future__ import annotations

import io
import json
import os
import stat
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, NamedTuple, Self

from jobsapi.dispatch import enqueue
from jobsapi.exceptions import InvalidJob
from jobsapi.models.blobs import JobBlob, Purpose
from jobsapi.models.commands import Commands
from jobsapi.models.events import JobEvent
from jobsapi.models.outputs import open_output
from jobsapi.models.text import clean

PIECE = 64 * 1024
"""Bytes of a log that are read at a time if nothing else is asked for."""
MOST = 100
"""Logs that ``get_logs`` gives the ends of."""
HISTORY = "history"
"""The name under which a job's own history stands among its logs."""


class Log(NamedTuple):
    """A log and how long it is now, in bytes."""

    name: str
    size: int


@dataclass(frozen=True, slots=True)
class LogPiece:
    """A piece of a log. What is no UTF-8 is replaced."""

    text: str
    offset: int
    """Where the piece begins, in bytes from the log's beginning."""
    end: int
    """Where the next one begins: what to ask for next when following a log that grows."""
    size: int
    """How long the log is now, in bytes."""


@dataclass(frozen=True, slots=True)
class OpenLog:
    """A log, open to be read from anywhere. ``file`` has its bytes from ``first`` to ``end``. Closed by ``with``."""

    file: IO[bytes]
    first: int
    """How much of its beginning is missing: of a log that a worker fetched only the end is there."""
    end: int
    size: int
    """How long the log is, in bytes; more than ``end`` if it has grown since a worker fetched it."""
    identity: str
    """Differs when another file has taken the name; empty for what a worker fetched."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()

    def read(self, offset: int, limit: int) -> bytes:
        """At most ``limit`` bytes from ``offset``, which is counted from the log's beginning."""
        self.file.seek(max(offset - self.first, 0))
        return self.file.read(limit)


class Logs(Commands):
    """``list_logs``, ``read_log``, ``open_log``, ``get_logs``. None talks to a scheduler; a worker fetches them."""

    class Meta:
        abstract = True

    def list_logs(self) -> list[Log]:
        """The logs that can be read now, by name; asks a worker to look for newer ones. Without the history."""
        stored, files = self._stored_logs(), self.log_files()
        self._ask_for_newer(files)
        sizes = {name: int(log["size"]) for name, log in stored.items()}
        for name, path in files.items():
            with suppress(OSError):
                found = os.lstat(Path(self.workspace, path))
                if stat.S_ISREG(found.st_mode):
                    sizes[name] = found.st_size
        return [Log(name, sizes[name]) for name in sorted(sizes)]

    def read_log(self, name: str, offset: int | None = None, limit: int = PIECE) -> LogPiece:
        """At most ``limit`` bytes of a log from ``offset``; without one, its end. Never reads more than that.

        Of a log that a worker fetches only its end is there: then the piece begins later than was asked for. Raises
        ``KeyError`` for a name that ``list_logs`` does not give.
        """
        with self.open_log(name) as log:
            start = max(log.end - limit, log.first) if offset is None else min(max(offset, log.first), log.end)
            data = log.read(start, limit)
            return LogPiece(data.decode("utf-8", "replace"), start, start + len(data), log.size)

    def open_log(self, name: str) -> OpenLog:
        """A log, to be read piece by piece. Nothing of it is read before, unless a worker fetched its end.

        Raises ``KeyError`` for a name that ``list_logs`` does not give.
        """
        path = self.log_path(name)
        if path is not None:
            with suppress(OSError, InvalidJob):
                file = open_output(self.workspace, path)
                status = os.fstat(file.fileno())
                return OpenLog(file, 0, status.st_size, status.st_size, f"{status.st_dev:x}-{status.st_ino:x}")
        stored = self._stored_logs()[name]
        data, first = stored["text"].encode(), int(stored["offset"])
        return OpenLog(io.BytesIO(data), first, first + len(data), int(stored["size"]), "")

    def get_logs(self) -> dict[str, str]:
        """The ends of the job's logs by name, and its history; asks a worker for newer ones where it has to."""
        events = JobEvent.objects.filter(job_id=self.pk)
        logs = {HISTORY: "\n".join(f"{event}\n{event.detail}".strip() for event in events)}
        for log in self.list_logs()[:MOST]:
            with suppress(KeyError):
                logs[log.name] = clean(self.read_log(log.name).text, PIECE)
        return logs

    def ask_for_newer_logs(self) -> None:
        """Have a worker fetch what is newer, where logs are not files of this machine; ``list_logs`` does so, too."""
        self._ask_for_newer(self.log_files())

    def log_files(self) -> Mapping[str, str]:
        """Logs that are files of the workspace: names, and paths relative to it."""
        return {}

    def log_path(self, name: str) -> str | None:
        """What ``log_files`` has under this name; None if nothing. The file may be gone."""
        return self.log_files().get(name)

    def _stored_logs(self) -> dict[str, dict[str, Any]]:
        """What a worker last fetched: ``text``, where it begins (``offset``), and how long the log was (``size``)."""
        stored = JobBlob.find(self, Purpose.LOGS) if self.submission_id else None
        return json.loads(stored) if stored else {}

    def _ask_for_newer(self, files: Mapping[str, str]) -> None:
        if self.native_id and not self.ended and not files and self.scheduler_type is not None:
            enqueue("fetch_logs", self.pk, self.name)
