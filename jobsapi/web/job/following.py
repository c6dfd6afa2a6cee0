"""A page of logs that follows them: it tells where it is in each, and is sent what was written since.

What it shows of a log is kept in chunks, so that the oldest can go when there is more of it than a page should hold.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import NamedTuple, Self

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from jobsapi.exceptions import InvalidJob
from jobsapi.models import Job, Log
from jobsapi.models.logs import PIECE
from jobsapi.models.text import storable
from jobsapi.web.access import visible_job
from jobsapi.web.requests import NO_CONTENT, reload

CHUNK = PIECE
"""What begins within so many bytes of a log belongs to one chunk."""
CHUNKS = 16
"""So many chunks are kept on the page: a MiB."""
AT_ONCE = 4 * PIECE
"""Bytes that are sent at a time. Of what has grown by more, the end is sent."""
MOST = 10
"""Logs that a page follows at most."""


class Place(NamedTuple):
    """Up to where a page shows a log."""

    number: int
    """Which one it is on the page."""
    offset: int
    """Where to go on."""
    last: int
    """Where the last piece began: that tells its chunk."""
    identity: str
    name: str

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """What ``str()`` has written; None if it was something else."""
        number, offset, last, identity, *name = text.split(".", 4)[:5] if text.count(".") >= 4 else ("", "", "", "")
        numbers = (number, offset, last)
        if not name or not all(each.isdecimal() and len(each) < 19 for each in numbers):
            return None
        return cls(int(number), int(offset), int(last), identity, name[0])

    def __str__(self) -> str:
        return f"{self.number}.{self.offset}.{self.last}.{self.identity}.{self.name}"

    @property
    def is_sound(self) -> bool:
        """Whether a page of ours may have it: no piece is longer than what is sent at once."""
        return 0 <= self.offset - self.last <= AT_ONCE

    @property
    def chunk(self) -> int:
        """The chunk that its last piece lies in."""
        return self.last // CHUNK


@dataclass(frozen=True)
class News:
    """What has been written to a log since."""

    place: Place
    text: str
    begins_anew: bool
    """Whether what the page shows is to go: the log is another one, was cut, or has grown too fast."""
    why: str
    is_new_chunk: bool
    gone: range
    """Chunks that are to go from the page."""


@never_cache
@require_safe
def follow(request: HttpRequest, job_id: int) -> HttpResponse:
    """What is new in the logs that a page shows (``at``, one for each). No body when there is nothing.

    ``names``: the version of the list of logs that it shows, if it shows all.
    """
    if not request.user.is_authenticated:
        return reload()
    try:
        job = visible_job(request.user, job_id)
    except Http404:  # deleted while it was shown
        return reload()
    others = False
    if names := request.GET.get("names"):
        try:
            others = names_version(job.list_logs()) != names
        except InvalidJob:
            return HttpResponse(status=NO_CONTENT)
    places = list(filter(None, map(Place.parse, request.GET.getlist("at")[:MOST])))
    if not names and any(not place.identity for place in places):
        job.ask_for_newer_logs()
    news = [found for place in places if (found := look(job, place))]
    if not (news or others or job.ended):
        return HttpResponse(status=NO_CONTENT)
    is_over = job.ended and not any(found.text for found in news)
    context = {"job": job, "news": news, "others": others, "is_over": is_over}
    return render(request, "jobsapi/job/news.html", context)


def look(job: Job, place: Place) -> News | None:
    """What is new in a log; None if nothing is, or if it is gone."""
    try:
        with job.open_log(place.name) as log:
            why = ""
            if place.identity not in ("", log.identity):  # none: a worker had fetched it, and now the file is here
                why = "Another file has taken the place of this log."
            elif place.offset > log.end:
                why = "This log was cut, and begins anew."
            elif log.end - place.offset > AT_ONCE or place.offset < log.first or not place.is_sound:
                why = "More was written than can be shown at once: this is the end of it."
            if not why and place.offset == log.end:
                return None
            start = max(log.end - PIECE, log.first) if why else place.offset
            data = whole_letters(log.read(start, log.end - start))
    except (KeyError, InvalidJob):
        return None
    if not (data or why):
        return None
    now = place._replace(offset=start + len(data), last=start, identity=log.identity)
    is_new_chunk = not why and now.chunk > place.chunk
    gone = range(max(place.chunk - CHUNKS + 1, 0), max(now.chunk - CHUNKS + 1, 0)) if is_new_chunk else range(0)
    return News(now, data.decode("utf-8", "replace"), bool(why), why, is_new_chunk, gone)


def whole_letters(data: bytes) -> bytes:
    """Without the beginning of a letter of UTF-8 whose end has not been written yet."""
    for length in range(1, min(4, len(data) + 1)):
        byte = data[-length]
        if byte >= 0xC0:  # the first byte of a letter of two, three or four
            return data[:-length] if length < (2 if byte < 0xE0 else 3 if byte < 0xF0 else 4) else data
        if byte < 0x80:
            break
    return data


def names_version(logs: Sequence[Log] | Iterable[Log]) -> str:
    """Differs when there are other logs."""
    names = sorted(log.name for log in logs if storable(log.name))
    return blake2b(repr(names).encode(), digest_size=6).hexdigest()
