"""A job's history and its logs, by name and piece by piece. A browser gives no path: only names that are listed."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Self
from urllib.parse import urlencode

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from jobsapi.exceptions import InvalidJob
from jobsapi.models import Job, Log, LogPiece
from jobsapi.models.logs import PIECE
from jobsapi.models.text import storable
from jobsapi.web.access import visible_job
from jobsapi.web.rows import Row

LISTED = 200
"""Logs that are listed at a time."""
FEW = 5
"""So many logs are shown together, below the history."""
GLIMPSE = 16 * 1024
"""Bytes of each of them."""


@dataclass(frozen=True)
class Shown:
    """A piece of a log, and what leads to its neighbours: the ends of addresses; empty where there is nothing."""

    name: str
    text: str
    size: int
    is_end: bool
    extent: str
    """Which bytes these are; empty if they are all."""
    whole: str
    beginning: str
    earlier: str
    later: str
    end: str

    @classmethod
    def of(cls, job: Job, name: str, piece: LogPiece) -> Self:
        """A piece of the log ``name`` of ``job``."""
        before = max(piece.offset - PIECE, 0)
        # Of a log that a worker has fetched only the end is there, though its offset tells that there was more.
        has_more_before = before < piece.offset and job.read_log(name, before, 1).offset < piece.offset
        has_more_after = piece.end < piece.size and job.read_log(name, piece.end, 1).text != ""
        is_all = piece.offset == 0 and not has_more_after
        return cls(
            name=name,
            text=piece.text,
            size=piece.size,
            is_end=not has_more_after,
            extent="" if is_all else f"Bytes {piece.offset:,} to {piece.end:,} of {piece.size:,}",
            whole=address(log=name),
            beginning=address(log=name, offset=0) if has_more_before else "",
            earlier=address(log=name, offset=before) if has_more_before else "",
            later=address(log=name, offset=piece.end) if has_more_after else "",
            end=address(log=name) if has_more_after else "",
        )


@dataclass(frozen=True)
class Entry:
    """A log in the list."""

    folder: str
    name: str
    size: int
    address: str
    is_chosen: bool


@never_cache
@login_required
@require_safe
def job_logs(request: HttpRequest, job_id: int) -> HttpResponse:
    """The list of logs, and the one that ``?log=`` names: its end, or what lies behind ``&offset=``.

    Without a name the history, and the ends of all logs when there are only few. ``?find=`` narrows the list.
    """
    job = visible_job(request.user, job_id)
    name, find = request.GET.get("log", ""), request.GET.get("find", "").strip()
    try:
        # A name that is no UTF-8 can neither be shown nor asked for.
        logs, problem = [log for log in job.list_logs() if storable(log.name)], ""
    except InvalidJob as error:
        logs, problem = [], str(error)
    found = sorted((log for log in logs if _matches(log.name, find)), key=_order)
    context = {
        "job": job,
        "row": Row.of(job),
        "problem": problem,
        "find": find,
        "entries": [
            Entry(*posixpath.split(log.name), log.size, address(log=log.name, find=find), log.name == name)
            for log in found[:LISTED]
        ],
        "found": len(found),
        "total": len(logs),
        "is_listed": bool(name) or len(logs) > FEW,
        "chosen": name,
        "history_address": address(find=find),
        "shown": _shown(request, job, name, logs),
        "history": "" if name else _history(job),
    }
    return render(request, "jobsapi/logs.html", context)


def _shown(request: HttpRequest, job: Job, name: str, logs: Sequence[Log]) -> list[Shown]:
    known = [log.name for log in logs]
    try:
        if name:
            if name not in known:
                raise Http404("There is no such log.")
            return [Shown.of(job, name, job.read_log(name, _offset(request.GET.get("offset"))))]
    except KeyError as error:
        raise Http404("There is no such log any more.") from error
    shown = []
    if len(known) <= FEW:
        for each in known:
            with suppress(KeyError):  # gone this very moment
                shown.append(Shown.of(job, each, job.read_log(each, limit=GLIMPSE)))
    return shown


def address(**query: str | int) -> str:
    """The end of an address of this page. What is empty is left out."""
    return "?" + urlencode({name: value for name, value in query.items() if value != ""})


def _matches(name: str, find: str) -> bool:
    """Whether a log is looked for: ``/A/`` finds those in a folder named A, at any depth."""
    return find.casefold() in f"/{name}".casefold()


def _order(log: Log) -> tuple[str, list[tuple[int, str]]]:
    """By folder, and in it part 2 before part 10."""
    folder, name = posixpath.split(log.name)
    return folder, [(len(piece), piece) if piece.isdecimal() else (0, piece) for piece in re.split(r"(\d+)", name)]


def _offset(text: str | None) -> int | None:
    """Where to begin; None for the end, also when it is no number."""
    return int(text) if text and text.isdecimal() and len(text) < 20 else None


def _history(job: Job) -> str:
    return "\n".join(f"{event}\n{event.detail}".strip() for event in job.events.all())
