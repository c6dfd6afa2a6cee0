"""The logs of a job, listed by name and read from anywhere. They come from its files, or from what a worker fetched."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

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


class Logs(Commands):
    """``list_logs``, ``read_log`` and ``get_logs``. None talks to a scheduler; a worker fetches what is newer."""

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
        files = self.log_files()
        if name in files:
            with suppress(OSError, InvalidJob), open_output(self.workspace, files[name]) as file:
                size = os.fstat(file.fileno()).st_size
                start = max(size - limit, 0) if offset is None else min(max(offset, 0), size)
                file.seek(start)
                data = file.read(limit)
                return LogPiece(data.decode("utf-8", "replace"), start, start + len(data), size)
        log = self._stored_logs()[name]
        data, first = log["text"].encode(), int(log["offset"])
        last = first + len(data)
        start = max(last - limit, first) if offset is None else min(max(offset, first), last)
        data = data[start - first : start - first + limit]
        return LogPiece(data.decode("utf-8", "replace"), start, start + len(data), int(log["size"]))

    def get_logs(self) -> dict[str, str]:
        """The ends of the job's logs by name, and its history; asks a worker for newer ones where it has to."""
        events = JobEvent.objects.filter(job_id=self.pk)
        logs = {HISTORY: "\n".join(f"{event}\n{event.detail}".strip() for event in events)}
        for log in self.list_logs()[:MOST]:
            with suppress(KeyError):
                logs[log.name] = clean(self.read_log(log.name).text, PIECE)
        return logs

    def log_files(self) -> Mapping[str, str]:
        """Logs that are files of the workspace: names, and paths relative to it."""
        return {}

    def _stored_logs(self) -> dict[str, dict[str, Any]]:
        """What a worker last fetched: ``text``, where it begins (``offset``), and how long the log was (``size``)."""
        stored = JobBlob.find(self, Purpose.LOGS) if self.submission_id else None
        return json.loads(stored) if stored else {}

    def _ask_for_newer(self, files: Mapping[str, str]) -> None:
        if self.native_id and not self.ended and not files and self.scheduler_type is not None:
            enqueue("fetch_logs", self.pk, self.name)
