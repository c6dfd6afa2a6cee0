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
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from jobsapi.exceptions import InvalidJob
from jobsapi.models import Job, Log
from jobsapi.models.logs import PIECE
from jobsapi.models.text import storable
from jobsapi.status import Status
from jobsapi.web.access import visible_job
from jobsapi.web.job import search
from jobsapi.web.job.downloads import Download, plain_name, stem
from jobsapi.web.job.following import Place, names_version
from jobsapi.web.job.frame import Section, frame
from jobsapi.web.job.history import written

HERE = "Logs"
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
    pieces: tuple[search.Piece, ...]
    size: int
    is_end: bool
    extent: str
    """Which bytes these are; empty if they are all."""
    whole: str
    download: str
    beginning: str
    earlier: str
    later: str
    end: str
    before_hit: str
    """Where to look for what comes before the place that was chosen among those found."""
    behind_hit: str
    place: Place
    """Where to go on when it is followed."""

    @classmethod
    def of(
        cls,
        job: Job,
        name: str,
        offset: int | None = None,
        limit: int = PIECE,
        *,
        number: int = 0,
        query: Query | None = None,
    ) -> Self:
        """A piece of the log ``name`` of ``job``: ``limit`` bytes from ``offset``, or its end. Raises ``KeyError``."""
        with job.open_log(name) as log:
            start = max(log.end - limit, log.first) if offset is None else min(max(offset, log.first), log.end)
            data = log.read(start, limit)
        end, before = start + len(data), max(start - PIECE, log.first)
        is_all = start == 0 and end >= log.end
        found = {"search": query.text, "case": query.case} if query else {}
        needle, chosen = (query.needle, query.hit - start) if query else (None, -1)
        return cls(
            name=name,
            pieces=tuple(search.marked(data, needle, chosen)),
            size=log.size,
            is_end=end >= log.end,
            extent="" if is_all else f"Bytes {start:,} to {end:,} of {log.size:,}",
            whole=address(log=name, **found),
            download=address(log=name),
            # Of a log that a worker has fetched only the end is there, though its offset tells that there was more.
            beginning=address(log=name, offset=log.first, **found) if before < start else "",
            earlier=address(log=name, offset=before, **found) if before < start else "",
            later=address(log=name, offset=end, **found) if end < log.end else "",
            end=address(log=name, **found) if end < log.end else "",
            before_hit=address(log=name, before=query.hit, **found) if query and query.hit >= 0 else "",
            behind_hit=address(log=name, after=query.hit + 1, **found) if query and query.hit >= 0 else "",
            place=Place(number, end, start, log.identity, name),
        )


@dataclass(frozen=True)
class Query:
    """What is looked for in a log, as the address says it."""

    text: str
    case: str
    """Not empty if capitals and small letters count as different."""
    after: int | None
    before: int | None
    hit: int

    @classmethod
    def of(cls, request: HttpRequest) -> Self | None:
        """None if nothing is looked for."""
        get = request.GET.get
        text = get("search", "").strip("\r\n")[: search.LONGEST]
        if not text.strip():
            return None
        hit = _offset(get("hit"))
        case = "yes" if get("case") else ""
        return cls(text, case, _offset(get("after")), _offset(get("before")), -1 if hit is None else hit)

    @property
    def needle(self) -> search.Needle:
        """The pattern."""
        return search.Needle.of(self.text, ignores_case=not self.case)


@dataclass(frozen=True)
class Results:
    """What was found in a log, and where to look next: the ends of addresses; empty where there is nothing."""

    excerpts: tuple[tuple[str, search.Excerpt], ...]
    words: str
    later: str
    earlier: str
    from_end: str

    @classmethod
    def of(cls, job: Job, name: str, query: Query) -> Self:
        """Look for it: from the beginning, behind ``after``, or backwards from ``before``. Raises ``KeyError``."""
        needle, where = query.needle, {"log": name, "search": query.text, "case": query.case}
        with job.open_log(name) as log:
            if query.before is not None:
                found = search.backwards(log.read, needle, log.first, min(max(query.before, log.first), log.end))
            else:
                start = min(max(query.after or 0, log.first), log.end)
                found = search.forwards(log.read, needle, start, log.end)
            excerpts = search.excerpts(log.read, needle, found.hits, log.first)
        has_later, has_earlier = found.end < log.end, found.start > log.first
        if query.before is not None and found.hits:
            has_later = True  # what it came from
        count = f"{len(found.hits)} place{'' if len(found.hits) == 1 else 's'}" if found.hits else "Nothing"
        whole = not (has_later or has_earlier)
        looked_through = "the whole log" if whole else f"bytes {found.start:,} to {found.end:,} of {log.end:,}"
        return cls(
            excerpts=tuple((address(**where, offset=_around(each.hit), hit=each.hit), each) for each in excerpts),
            words=f"{count} in {looked_through}.",
            later=address(**where, after=found.end) if has_later else "",
            earlier=address(**where, before=found.start) if has_earlier else "",
            from_end=address(**where, before=log.end) if has_later and query.before is None else "",
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

    Without a name the history (``?before=`` an event: what came before it), and the ends of all logs when there are
    only few. ``?find=`` narrows the list; of few that are found, as those of a node, the ends are shown alone.
    ``&search=`` looks for a text in the log.
    """
    job = visible_job(request.user, job_id)
    name, find = request.GET.get("log", ""), request.GET.get("find", "").strip()
    query = Query.of(request)
    try:
        # A name that is no UTF-8 can neither be shown nor asked for.
        logs, problem = [log for log in job.list_logs() if storable(log.name)], ""
    except InvalidJob as error:
        logs, problem = [], str(error)
    if name and name not in [log.name for log in logs]:
        raise Http404("There is no such log.")
    found = sorted((log for log in logs if _matches(log.name, find)), key=_order)
    try:
        shown = _shown(request, job, name, found if find else logs, query)
        results = Results.of(job, name, query) if name and query and query.hit < 0 else None
    except KeyError as error:
        raise Http404("There is no such log any more.") from error
    # To look for others every few seconds is too much where there are thousands.
    names = names_version(logs) if not name and len(logs) <= LISTED else ""
    context = {
        **frame(request, job, HERE),
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
        "history_address": "?",
        "shown": shown,
        "query": query,
        "results": results,
        "history": None
        if name or (find and shown)
        else Section("history", "", written(job, _offset(request.GET.get("before")) or 0)),
        "why_none": "" if logs or problem else why_none(job),
        "follows": not job.ended and not results and (bool(names) or any(log.is_end for log in shown)),
        "names": names,
    }
    return render(request, "jobsapi/logs.html", context)


@never_cache
@login_required
@require_safe
def download_log(request: HttpRequest, job_id: int) -> HttpResponseBase:
    """A whole log, as far as it is on this machine."""
    job, name = visible_job(request.user, job_id), request.GET.get("log", "")
    try:
        log = job.open_log(name)  # closed by the answer, when it has been sent
    except (KeyError, InvalidJob) as error:
        raise Http404("There is no such log.") from error
    return Download(request, log.file, f"{stem(job)}-{plain_name(posixpath.basename(name))}", log.end - log.first)


def why_none(job: Job) -> str:
    """Why a job has no logs, or none yet."""
    if job._status == Status.PENDING:
        return "There are no logs: the job has not been run yet."
    if job.scheduler_type is None:
        return "Such a job has no logs but its history: the app does its work by itself."
    if job.ended:
        return "No logs were kept of this job. Its history says what happened."
    if not job.native_id:
        return "There are no logs yet: no scheduler has accepted the job."
    if job.scheduler and job.scheduler.outage:
        return "There are no logs yet, and its scheduler cannot be reached now."
    return "There are no logs yet. They show up here when the job has written something."


def _shown(request: HttpRequest, job: Job, name: str, logs: Sequence[Log], query: Query | None) -> list[Shown]:
    if name:
        return [Shown.of(job, name, _offset(request.GET.get("offset")), query=query)]
    shown: list[Shown] = []
    if len(logs) <= FEW:  # few enough to be read together
        for number, log in enumerate(logs):
            with suppress(KeyError):  # gone this very moment
                shown.append(Shown.of(job, log.name, limit=GLIMPSE, number=number))
    return shown


def address(**query: str | int) -> str:
    """The end of an address of this page. What is empty is left out."""
    return "?" + urlencode({name: value for name, value in query.items() if value != ""})


def _around(hit: int) -> int:
    """Where to begin a piece with the hit in its middle."""
    return max(hit - PIECE // 2, 0)


def _matches(name: str, find: str) -> bool:
    """Whether a log is looked for: ``/A/`` finds those in a folder named A, at any depth."""
    return find.casefold() in f"/{name}".casefold()


def _order(log: Log) -> tuple[str, list[tuple[int, str]]]:
    """By folder, and in it part 2 before part 10."""
    folder, name = posixpath.split(log.name)
    return folder, [(len(piece), piece) if piece.isdecimal() else (0, piece) for piece in re.split(r"(\d+)", name)]


def _offset(text: str | None) -> int | None:
    """Where to begin; None for the end, also when it is no number."""
    return int(text) if text and text.isdecimal() and len(text) < 19 else None
