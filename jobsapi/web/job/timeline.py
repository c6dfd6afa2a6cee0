"""A job's history as stretches of time and as a list. Pure functions: nothing here reads a row or a clock."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import zip_longest
from typing import NamedTuple

from jobsapi.status import RUNNING, SENTENCES, TERMINAL, Status
from jobsapi.web.rows import TONES, duration

WIDTH, HEIGHT = 1000, 20
LEAST = 4
"""Units of the drawing's width that a stretch has at least, so that it can be seen."""
FEW = 8
"""Up to so many stretches are told one by one; of more, the sum of each kind."""

BEGINS: Mapping[str, str] = {
    "execute": "",
    "resubmit": "run again",
    "lost": "submitted again",
    "process_results": "results processed again",
}
"""Causes that begin another run of a job, and what is said of it."""

WISHES: Mapping[str, str] = {"cancel": "Asked to stop", "hold": "Asked to pause", "release": "Asked to resume"}
SENTENCES_OF_EDGES = frozenset(SENTENCES.values())


class Moment(NamedTuple):
    """What is needed of a ``JobEvent``."""

    time: datetime
    by: str
    status: str
    attempt: int
    message: str = ""

    @property
    def is_acceptance(self) -> bool:
        """Whether it tells that a scheduler has taken the job."""
        return self.by == "worker" and self.status == Status.SUBMITTED


class Kind(NamedTuple):
    """What a job does for a stretch of time."""

    name: str
    tone: str


QUEUED = Kind("Waiting to be submitted", "queued")
WAITING = Kind("Waiting at the scheduler", "waiting")
UNSEEN = Kind("Waiting or running", "waiting")
"""It was over before anybody asked how it was."""
RUNS = Kind("Running", "running")
HELD = Kind("Held", "held")
FETCHING = Kind("Fetching results", "fetching")
OTHER = Kind("In a status of the app’s own", "other")
UNKNOWN = Kind("Not drawn: too many events", "queued")

KINDS: Mapping[str, Kind] = {
    Status.SUBMITTED: WAITING,
    Status.RUNNING: RUNS,
    Status.VARIOUS: RUNS,
    Status.PAUSED: HELD,
    Status.RESULTS_READY: FETCHING,
    Status.OTHER: OTHER,
}


class Stretch(NamedTuple):
    """A time in which a job did one thing; ``end`` is None while it still does."""

    kind: Kind
    begin: datetime
    end: datetime | None

    def length(self, now: datetime) -> timedelta:
        """How long it is by now."""
        return max((self.end or now) - self.begin, timedelta(0))


class Segment(NamedTuple):
    """A stretch as it is drawn, in units of the drawing."""

    x: str
    width: str
    tone: str
    words: str


class Total(NamedTuple):
    """How long a job did one thing, all in all."""

    name: str
    tone: str
    length: str
    times: int
    since: datetime | None
    """A moment as long ago as it has taken, while that still grows."""


@dataclass(frozen=True)
class Drawing:
    """The bar of a run, and the same in words."""

    segments: tuple[Segment, ...]
    totals: tuple[Total, ...]
    words: str


@dataclass(frozen=True)
class Run:
    """What became of a job from one beginning to its end."""

    name: str
    begin: datetime
    end: datetime | None
    outcome: str
    tone: str
    stretches: tuple[Stretch, ...]

    def length(self, now: datetime) -> timedelta:
        """How long it has taken by now."""
        return (self.end or now) - self.begin

    def growth(self, now: datetime) -> int:
        """Grows by one whenever the run has become about a twentieth longer: then its bar is worth drawing anew."""
        return 0 if self.end else int(math.log(max(self.length(now).total_seconds(), 1)) * 20)

    def drawn(self, now: datetime) -> Drawing:
        """The bar as it is by now."""
        lengths = [stretch.length(now).total_seconds() for stretch in self.stretches]
        whole = sum(lengths) or 1.0
        widths = [max(length / whole * WIDTH, LEAST) for length in lengths]
        scale, segments, x = WIDTH / (sum(widths) or 1.0), [], 0.0
        for stretch, width in zip(self.stretches, widths, strict=True):
            words = f"{stretch.kind.name}: {duration(stretch.length(now))}"
            segments.append(Segment(f"{x:.1f}", f"{width * scale:.1f}", stretch.kind.tone, words))
            x += width * scale
        totals = tuple(_totals(self.stretches, now))
        few = len(segments) <= FEW
        words = ", then ".join(each.words for each in segments) if few else ", ".join(map(_sum_words, totals))
        return Drawing(tuple(segments), totals, words)


def runs(
    moments: Sequence[Moment], *, first: int = 1, started: datetime | None = None, is_cut: bool = False
) -> tuple[Run, ...]:
    """The runs of a job, oldest first, from its history in order.

    ``first``: the number of the first of them. ``started``: when the last of them began to run, as its scheduler says,
    which may be before anybody was told. ``is_cut``: between the first moment and the second some are left out.
    """
    groups: list[list[Moment]] = []
    for moment in moments:
        if moment.by in BEGINS or not groups:
            groups.append([])
        groups[-1].append(moment)
    found = []
    for number, (group, following) in enumerate(zip_longest(groups, groups[1:]), first):
        stretches = list(_stretches(group, is_cut and number == first))
        if following is None and started:
            stretches = list(_split(stretches, started))
        if not stretches:
            continue
        last = Status(group[-1].status)
        outcome, tone = str(last.label) if stretches[-1].end else "", TONES[last]
        if following is not None and stretches[-1].end is None:
            stretches[-1] = stretches[-1]._replace(end=following[0].time)
            outcome, tone = "Lost", "bad"
        is_only = first == 1 and len(groups) == 1
        name = "" if is_only else ", ".join(filter(None, (f"Run {number}", BEGINS.get(group[0].by))))
        told = tuple(_told(stretches, group))
        found.append(Run(name, told[0].begin, told[-1].end, outcome, tone, told))
    return tuple(found)


def _stretches(group: Sequence[Moment], is_cut: bool) -> Iterator[Stretch]:
    """One for each change of what the job does, up to its end."""
    kind: Kind | None = None
    begin, accepted = group[0].time, False
    for place, moment in enumerate(group):
        if is_cut and place == 0:
            now_kind: Kind | None = UNKNOWN
        elif moment.status in TERMINAL:
            now_kind = None
        else:
            accepted = accepted or moment.is_acceptance
            now_kind = KINDS.get(moment.status)
            if now_kind is WAITING and not accepted and kind in (None, QUEUED):
                now_kind = QUEUED
        if now_kind is kind:
            continue
        if kind is not None and moment.time > begin:
            yield Stretch(kind, begin, moment.time)
        kind, begin = now_kind, moment.time
        if moment.status in TERMINAL:
            return
    if kind is not None:
        yield Stretch(kind, begin, None)


def _split(stretches: Sequence[Stretch], started: datetime) -> Iterator[Stretch]:
    """With the wait cut where the scheduler says that the job began to run."""
    before: Stretch | None = None
    for stretch in stretches:
        waits = stretch.kind in (WAITING, QUEUED) and stretch.begin < started
        pieces = [stretch]
        if waits and stretch.end is not None and started < stretch.end:
            pieces = [stretch._replace(end=started), Stretch(RUNS, started, stretch.end)]
        for piece in pieces:
            if before is not None and before.kind is piece.kind is RUNS:
                before = before._replace(end=piece.end)
                continue
            if before is not None:
                yield before
            before = piece
    if before is not None:
        yield before


def _told(stretches: Sequence[Stretch], group: Sequence[Moment]) -> Iterator[Stretch]:
    """With names that say no more than is known."""
    accepted = any(moment.is_acceptance for moment in group)
    unseen = accepted and all(stretch.kind is not RUNS for stretch in stretches)
    for stretch, following in zip_longest(stretches, stretches[1:]):
        kind = stretch.kind
        if kind is QUEUED and not accepted and following:
            kind = WAITING  # nobody handed it over: the app itself says how it goes
        ran = following.kind is FETCHING if following else group[-1].status in (Status.COMPLETE, Status.ERROR)
        if kind is WAITING and unseen and ran:
            kind = UNSEEN
        yield stretch._replace(kind=kind)


def _totals(stretches: Sequence[Stretch], now: datetime) -> Iterator[Total]:
    for kind in dict.fromkeys(stretch.kind for stretch in stretches):
        same = [stretch for stretch in stretches if stretch.kind == kind]
        length = sum((stretch.length(now) for stretch in same), timedelta(0))
        since = now - length if same[-1].end is None else None
        yield Total(kind.name, kind.tone, duration(length), len(same), since)


def _sum_words(total: Total) -> str:
    return f"{total.name}: {total.length}" + (f" in {total.times} stretches" if total.times > 1 else "")


class Entry(NamedTuple):
    """A line of the list."""

    time: datetime
    title: str
    tone: str
    message: str
    run: str
    """Which run begins here; empty if none does, or if there is only one."""


def entries(moments: Sequence[Moment], *, first: int = 1) -> list[Entry]:
    """The history in order, in words. ``first``: the number of the first run that begins in it."""
    found: list[Entry] = []
    many = first > 1 or sum(moment.by in BEGINS for moment in moments) > 1
    number, before = first - 1, ""
    for moment in moments:
        begins = moment.by in BEGINS
        number += begins
        words = title(moment, before)
        # What every edge says of itself is said by its title already.
        is_said = moment.message in SENTENCES_OF_EDGES or moment.message == f"{words}."
        run = f"Run {number}" if begins and many else ""
        tone = TONES[Status(moment.status)]
        found.append(Entry(moment.time, words, tone, "" if is_said else moment.message, run))
        before = moment.status
    return found


def title(moment: Moment, before: str) -> str:
    """What happened, in a word or two. ``before``: the status that the job had until then."""
    status = Status(moment.status)
    if moment.by in WISHES:
        return WISHES[moment.by]
    if moment.by in BEGINS:
        words = BEGINS[moment.by] or "queued"
        return words[0].upper() + words[1:]
    if moment.is_acceptance:
        return "Submitted"
    if moment.by in ("job", "seal", "retention") or status == before != Status.OTHER:
        return "Note"
    if status in RUNNING:
        return "Released" if before == Status.PAUSED else "Started" if before == Status.SUBMITTED else str(status.label)
    if status is Status.PAUSED:
        return "Held"
    if status is Status.SUBMITTED:
        return "Back in the queue"
    if status is Status.RESULTS_READY:
        return "Fetching results"
    return str(status.label)
