"""What HTCondor's ads mean for a job of one or many parts. Pure functions; odd ads of a foreign pool raise nothing.

What has ended leaves the queue one part after the other, so ``state`` (the job's ``backend_state``) remembers it:
``ended``: numbers of the parts by outcome (``ok``, ``bad``, ``removed``), as ranges; ``parts``: how many there are;
``failed``: the first of those that ended badly, with exit code or signal; ``exit_code``, ``exit_signal`` of a job of
one part; ``hold``: reason, code, subcode and number of what is held; ``removed``: HTCondor's reason for a removal;
``now``: of a job of many parts that has not ended, how many (``parts``) and which (``numbers``, as ranges) are
``held``, ``running`` and ``waiting``; ``holds``: the same of those that are held for one reason, with its ``words``;
``where``: machines; ``started``: when the first part did; ``run_time``: seconds, of all ended parts together;
``memory``: MB, of the part that used most (``memory_ended``: of those that have ended, exactly);
``position``: how many of our idle jobs come before it; ``suspended``: whether it is, on its machine; ``outcome`` and
``outcome_message``: a status code and words for when the results have been fetched.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jobsapi.backends.base import Observation
from jobsapi.backends.condor import parts, words
from jobsapi.backends.condor.ads import Ad, number, text
from jobsapi.backends.condor.observe.order import waiting_words
from jobsapi.backends.condor.observe.part import (
    COMPLETED,
    HELD,
    REMOVED,
    SUSPENDED,
    TRANSFERRING,
    End,
    changed,
    end_of,
    hold_of,
    holds_of,
    machine_of,
    megabytes,
    moment,
    numbered,
    phase_of,
)
from jobsapi.status import Status, combine

FAILED_KEPT = 20
"""How many failed parts are remembered one by one."""
FAILED_SHOWN = 5
"""How many of them a message names."""
MACHINES_KEPT = 10

LOST = "lost (in neither queue nor history)"
WORDS = {Status.RUNNING: "running", Status.SUBMITTED: "waiting", Status.PAUSED: "held"}
SPECIAL = {SUSPENDED: "Suspended on its machine.", TRANSFERRING: "Its output files are being transferred."}
CONTINUED = "Runs again after it was suspended."
OUTCOMES = {"ok": Status.COMPLETE, "bad": Status.ERROR, "removed": Status.ABORTED}


def observe_job(
    queue: Sequence[Ad],
    history: Sequence[Ad],
    state: Mapping[str, Any],
    total: int | None,
    position: int | None = None,
    lost: Collection[int] = (),
) -> Observation | None:
    """What is seen of a job; None when neither queue nor history has anything new of it and parts are missing.

    ``queue`` and ``history`` hold the ads of its own cluster. ``total`` is how many parts were asked for, which
    HTCondor's own count overrules. ``position`` comes from ``positions``. ``lost``: parts that have been missing for
    too long. Where other parts are known to have ended they count as failed; a job lost as a whole stays None.
    """
    total = _total((*queue, *history), state, total)
    ended, fresh = _ended(queue, history, state)
    if lost and not queue and _all(ended):
        _give_up(lost, total, ended, fresh)
    gone = _all(ended)
    now = {proc: ad for ad in queue if (proc := number(ad, "ProcId")) is not None and proc not in gone}
    if not now and not fresh and len(gone) < total:
        return None
    phases = Counter(phase_of(ad) for ad in now.values())
    held = {proc: now[proc] for proc in sorted(now) if phase_of(now[proc]) is Status.PAUSED}
    unmade = set(range(total)) - _materialized(queue, total) - gone - set(now)
    if not held or len(held) < len(now):  # else those that are not made yet are not made before some are released
        phases[Status.SUBMITTED] += len(unmade)
    found = _learned(ended, fresh, now, state, total)
    found |= _present(now, held, unmade) if total > 1 and len(gone) < total else {"now": None, "holds": None}
    if len(gone) >= total:
        status, message = _ending(ended, found, total)
    else:
        parts_now = _Parts(total, ended, now, phases, list(held.values()))
        status = _status(parts_now)
        message = _going(status, parts_now, found["failed"], position)
    found["suspended"] = message == SPECIAL[SUSPENDED] or None
    if status is Status.RUNNING and not message and state.get("suspended"):
        message = CONTINUED  # no message would leave the one that it is suspended
    found["hold"] = hold_of(list(held.values()))
    found["position"] = position if status is Status.SUBMITTED else None
    return Observation(
        status,
        message=message,
        progress_done=min(len(gone), total),
        progress_total=total,
        start_time=moment(found["started"]),
        state=changed(found, state),
        held=len(held),
    )


def missing(queue: Sequence[Ad], state: Mapping[str, Any], total: int | None) -> set[int]:
    """The parts that must be asked of the history: gone from the queue, and not recorded as ended."""
    total = _total(queue, state, total)
    ended, _ = _ended(queue, (), state)
    return _materialized(queue, total) - {number(ad, "ProcId") for ad in queue} - _all(ended)


def left(queue: Sequence[Ad], state: Mapping[str, Any], total: int | None) -> int:
    """How many parts must be asked of the history."""
    return len(missing(queue, state, total))


def _total(ads: Iterable[Ad], state: Mapping[str, Any], total: int | None) -> int:
    counts = [count for ad in ads if 0 < (count := number(ad, "TotalSubmitProcs") or 0) <= parts.MOST]
    return max(counts) if counts else int(state.get("parts") or total or 1)


def _materialized(queue: Sequence[Ad], total: int) -> set[int]:
    """The parts that exist. Under ``max_materialize`` the schedd makes the others only when there is room for them."""
    made = [up_to for ad in queue if (up_to := number(ad, "JobMaterializeNextProcId")) is not None]
    return set(range(min(total, max(made)) if made else total))


def _ended(
    queue: Sequence[Ad], history: Sequence[Ad], state: Mapping[str, Any]
) -> tuple[dict[str, set[int]], dict[int, tuple[Ad, End]]]:
    """Numbers of all ended parts by outcome, and those among them that ``state`` did not know."""
    before = state.get("ended") or {}
    ended = {outcome: parts.parse(before.get(outcome)) for outcome in OUTCOMES}
    known, fresh = _all(ended), {}
    for ad in (*history, *(ad for ad in queue if number(ad, "JobStatus") == COMPLETED)):
        proc = number(ad, "ProcId")
        if proc is not None and proc >= 0 and proc not in known and proc not in fresh:
            fresh[proc] = (ad, end_of(ad))
            ended[fresh[proc][1].outcome].add(proc)
    return ended, fresh


def _give_up(lost: Iterable[int], total: int, ended: Mapping[str, set[int]], fresh: dict[int, tuple[Ad, End]]) -> None:
    """Count missing parts as failed. Those that were to be made later went with what was removed before."""
    known = _all(ended)
    unmade = set(range(max(known) + 1, total)) if ended["removed"] else set()
    ended["removed"].update(unmade)
    for proc in set(lost) - known - unmade:
        fresh[proc] = {}, End("bad", LOST)
        ended["bad"].add(proc)


def _all(ended: Mapping[str, set[int]]) -> set[int]:
    return set().union(*ended.values())


def _learned(
    ended: Mapping[str, set[int]],
    fresh: Mapping[int, tuple[Ad, End]],
    now: Mapping[int, Ad],
    state: Mapping[str, Any],
    total: int,
) -> dict[str, Any]:
    """All of the state that follows from the ads, whether it has changed or not."""
    seen = [ad for ad, _ in fresh.values()] + list(now.values())
    failed = [*(state.get("failed") or [])]
    for proc, (_, end) in sorted(fresh.items()):
        if end.outcome == "bad" and len(failed) < FAILED_KEPT:
            failed.append({"part": proc, "words": end.words, **end.facts})
    reasons = [end.words for _, end in fresh.values() if end.outcome == "removed"]
    found: dict[str, Any] = {
        "parts": total,
        "ended": {outcome: parts.text(numbers) for outcome, numbers in ended.items() if numbers},
        "failed": sorted(failed, key=lambda each: each["part"]),
        "removed": state.get("removed") or (reasons[0] if reasons else None),
        "where": _machines(seen, state),
        "started": min(_starts(seen, state), default=None),
        "run_time": _seconds((ad for ad, _ in fresh.values()), state),
        **_memory([ad for ad, _ in fresh.values()], now.values(), state),
    }
    if total == 1:
        for _, end in fresh.values():
            found |= end.facts
    return found


def _present(now: Mapping[int, Ad], held: Mapping[int, Ad], unmade: Collection[int]) -> dict[str, Any]:
    """Which parts are held, run and wait, and why they are held. Those that do not exist yet wait."""
    numbers: dict[Status, set[int]] = {Status.PAUSED: set(), Status.RUNNING: set(), Status.SUBMITTED: set(unmade)}
    for proc, ad in now.items():
        numbers[phase_of(ad)].add(proc)
    return {
        "now": {WORDS[phase]: numbered(procs) for phase, procs in numbers.items() if procs},
        "holds": holds_of(held),
    }


def _starts(ads: Iterable[Ad], state: Mapping[str, Any]) -> set[int]:
    times = {number(ad, "JobStartDate") for ad in ads} | {number(state, "started")}
    return {each for each in times if each}


def _seconds(gone: Iterable[Ad], state: Mapping[str, Any]) -> int | None:
    return (state.get("run_time") or 0) + sum(number(ad, "RemoteWallClockTime") or 0 for ad in gone) or None


def _machines(ads: Iterable[Ad], state: Mapping[str, Any]) -> list[str]:
    """Where its parts run or ran."""
    known = list(state.get("where") or [])
    for ad in ads:
        machine = machine_of(ad)
        if machine and machine not in known and len(known) < MACHINES_KEPT:
            known.append(machine)
    return known


def _memory(gone: Iterable[Ad], now: Iterable[Ad], state: Mapping[str, Any]) -> dict[str, int | None]:
    """Megabytes: exact of what has ended, and only roughly of what runs, since it changes all the time."""
    peak = max((megabytes(ad) for ad in gone), default=0)
    peak = max(peak, state.get("memory_ended") or 0)
    running = max((_roughly(megabytes(ad)) for ad in now), default=0)
    if running:
        running = max(running, state.get("memory") or 0)
    return {"memory_ended": peak or None, "memory": max(peak, running) or None}


def _roughly(megabytes: int) -> int:
    """The next of 1, 2, 5, 10, 20, 50, …"""
    step = 1
    while megabytes > 5 * step:
        step *= 10
    return next((step * each for each in (1, 2, 5) if megabytes <= step * each), 0) if megabytes > 0 else 0


@dataclass(frozen=True, slots=True)
class _Parts:
    """The parts of a job that has not ended."""

    total: int
    ended: Mapping[str, set[int]]
    """Numbers by outcome."""
    now: Mapping[int, Ad]
    """Those in the queue."""
    phases: Mapping[Status, int]
    """How many wait, run and are held; those that do not exist yet wait."""
    held: Sequence[Ad]


def _status(seen: _Parts) -> Status:
    present = {status for status, count in seen.phases.items() if count}
    if present == {Status.PAUSED}:
        return Status.PAUSED  # whatever has ended: nothing goes on until it is released
    counts = {OUTCOMES[outcome]: len(numbers) for outcome, numbers in seen.ended.items()}
    # Parts that have just left the queue, and are not read from the history yet, count as running.
    return combine({**counts, **(seen.phases if present else {Status.RUNNING: 1})})


def _going(status: Status, seen: _Parts, failed: Sequence[Mapping[str, Any]], position: int | None) -> str:
    """The message of a job that has not ended."""
    first: Ad = next(iter(seen.now.values()), {})
    removing = sum(number(ad, "JobStatus") == REMOVED for ad in seen.now.values())
    if removing and removing == sum(seen.phases.values()):
        reason = text(first, "RemoveReason")
        return words.sentence(f"being removed from the queue: {reason}" if reason else "being removed from the queue")
    if status is Status.SUBMITTED:
        if number(first, "HoldReasonCode") == words.SPOOLING and number(first, "JobStatus") == HELD:
            return "Its input files are on their way to HTCondor."
        return waiting_words(position, first)
    done = len(_all(seen.ended))
    held = words.sentence(words.held(seen.held[0])) if seen.held else ""
    if held and (seen.total == 1 or (status is Status.PAUSED and not done)):
        return held
    if status is Status.RUNNING:
        statuses = {number(ad, "JobStatus") for ad in seen.now.values()}
        return SPECIAL.get(statuses.pop() or 0, "") if len(statuses) == 1 else ""
    counts = {"failed": len(seen.ended["bad"]), "removed": len(seen.ended["removed"])}
    counts |= {what: seen.phases.get(phase, 0) for phase, what in WORDS.items()}
    told = ", ".join(each for each in (f"{done} of {seen.total} parts done", words.counted(counts)) if each)
    failures = words.sentence(_failures(failed, len(seen.ended["bad"]))).rstrip(".")
    return ". ".join(each for each in (told, failures, held) if each)


def _ending(ended: Mapping[str, set[int]], found: dict[str, Any], total: int) -> tuple[Status, str]:
    """Status and message of a job all of whose parts have ended; puts the outcome into ``found``."""
    outcome = combine({OUTCOMES[each]: len(numbers) for each, numbers in ended.items()})
    removal = found["removed"] or ""
    if outcome is Status.ABORTED:
        return outcome, words.sentence(removal)
    bad, removed = len(ended["bad"]), len(ended["removed"])
    told = []
    if total == 1:
        told += [words.sentence(each["words"]) for each in found["failed"]]
    elif bad:
        many = f"All {total} parts failed" if bad == total else f"{bad} of {total} parts failed"
        told.append(f"{many}: {_failures(found['failed'], bad)}.")
    if removed:
        told.append(words.sentence(f"{removed} of {total} parts removed: {removal}"))
    found |= {"outcome": outcome.value, "outcome_message": " ".join(told)}
    return Status.RESULTS_READY, found["outcome_message"]


def _failures(failed: Sequence[Mapping[str, Any]], count: int) -> str:
    """``part 3: exit code 1; part 5: killed by signal 9 (SIGKILL); and 12 more``."""
    named = [f"part {each['part']}: {each['words']}" for each in failed[:FAILED_SHOWN]]
    more = count - len(named)
    return "; ".join([*named, f"and {more} more"] if named and more > 0 else named)
