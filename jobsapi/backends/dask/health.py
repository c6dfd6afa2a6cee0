"""Versions and logs of a Dask cluster, in words. Pure functions."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from jobsapi.backends.base import Finding, Outcome

COMPARED = ("python", "dask", "distributed", "cloudpickle")
"""Packages whose versions must be the same in this process and at the cluster, or pickles may not open."""
NAMED = 3
"""Places with another version that are told one by one; a cluster of a thousand workers has a thousand of them."""


def fit(versions: Mapping[str, Any]) -> Finding:
    """Whether the two sides understand each other, from the answer of ``Client.get_versions``."""
    workers = {f"worker {at}": answer for at, answer in versions["workers"].items() if isinstance(answer, dict)}
    places = {"here": versions["client"], "scheduler": versions["scheduler"], **workers}
    found = {place: {name: _version(answer, name) for name in COMPARED} for place, answer in places.items()}
    facts = {name: _told([(place, of_place[name]) for place, of_place in found.items()]) for name in COMPARED}
    differing = [name for name in COMPARED if len({_compared(name, each[name]) for each in found.values()}) > 1]
    if not differing:
        same = ", ".join(f"{name} {found['here'][name]}" for name in COMPARED)
        return Finding(f"The same here, at the scheduler and at its workers: {same}.", facts=facts)
    sentences = [f"{name} is {facts[name]}." for name in differing]
    advice = "Install the same versions at both ends, or jobs may fail to open."
    return Finding(" ".join([*sentences, advice]), Outcome.DOUBTFUL, facts)


def workers(versions: Mapping[str, Any], threads: int) -> Finding:
    """How much can run at once."""
    count = len(versions["workers"])
    if not count:
        message = "No worker is connected to the scheduler: jobs wait. Start some: dask worker ADDRESS"
        return Finding(message, Outcome.DOUBTFUL, capacity=0)
    return Finding(f"{_count(count, 'worker')} with {_count(threads, 'thread')}.", capacity=threads)


def _told(versions: Sequence[tuple[str, str]]) -> str:
    """``3.11.2 here, 3.13.1 at the scheduler and at 2 workers``."""
    by_version: dict[str, list[str]] = {}
    for place, version in versions:
        by_version.setdefault(version, []).append(place)
    return "; ".join(f"{version} {_places(places)}" for version, places in by_version.items())


def _places(places: Sequence[str]) -> str:
    at = [place for place in places if place == "here"] + ["at the scheduler"] * ("scheduler" in places)
    workers = [place for place in places if place.startswith("worker ")]
    if len(workers) > NAMED:
        workers = [_count(len(workers), "worker")]
    return ", ".join([*at, *(f"at {worker}" for worker in workers)])


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _compared(name: str, version: str) -> str:
    """What has to be the same: of Python 3.11.2.final.0 the 3.11, since its pickles are all of one kind."""
    return ".".join(version.split(".")[:2]) if name == "python" else version


def _version(answer: Mapping[str, Any], name: str) -> str:
    at = answer["host"] if name == "python" else answer["packages"]
    return str(at.get(name) or "missing").removesuffix(".final.0")


OF_AN_ATTEMPT = re.compile(r"@([0-9a-f]{32})\b")


def text(lines: Sequence[tuple[str, str]], attempt: str) -> str:
    """Log lines as Dask gives them, newest first, as one text in the order of time.

    What is said of the tasks of other attempts, which may be other people's, is left out.
    """
    return "\n".join(line for _, line in reversed(lines) if set(OF_AN_ATTEMPT.findall(line)) <= {attempt})
