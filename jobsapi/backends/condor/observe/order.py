"""Where an idle job stands in the queue."""

from __future__ import annotations

from collections.abc import Iterable

from jobsapi.backends.condor.ads import SCHEDULER_UNIVERSE, Ad, number, text
from jobsapi.backends.condor.observe.part import IDLE


def positions(queue: Iterable[Ad]) -> dict[int, int]:
    """By cluster: how many idle parts of ours come before its first one, as the schedd orders one user's jobs.

    Rounded down to tens from 10 on and to hundreds from 100 on, since every change is a row to write.
    https://htcondor.readthedocs.io/en/latest/users-manual/priorities-and-preemption.html
    """
    waiting = []
    for ad in queue:
        cluster = number(ad, "ClusterId")
        idle = number(ad, "JobStatus") == IDLE and number(ad, "JobUniverse") != SCHEDULER_UNIVERSE
        if cluster is not None and idle:
            order = (-(number(ad, "JobPrio") or 0), number(ad, "QDate") or 0, cluster, number(ad, "ProcId") or 0)
            waiting.append((order, cluster))
    before: dict[int, int] = {}
    for place, (_, cluster) in enumerate(sorted(waiting)):
        before.setdefault(cluster, _coarse(place))
    return before


def waiting_words(position: int | None, ad: Ad) -> str:
    """What keeps an idle job: those before it, or that no machine fits."""
    others = {None: "", 0: "", 1: "1 of this portal's jobs comes first"}.get(
        position, f"{'about ' if (position or 0) >= 10 else ''}{position} of this portal's jobs come first"
    )
    rejected = text(ad, "LastRejMatchReason")
    matched = "no machine of the pool has fitted so far" if rejected.startswith("no match found") else rejected
    reasons = "; ".join(each for each in (others, matched) if each)
    return f"Waiting for a machine: {reasons}." if reasons else "Waiting for a machine."


def _coarse(place: int) -> int:
    if place < 10:
        return place
    return place // 10 * 10 if place < 100 else place // 100 * 100
