"""Versions and logs of a Dask cluster, in words. Pure functions."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from jobsapi.backends.base import Health

COMPARED = ("python", "dask", "distributed", "cloudpickle")
"""Packages whose versions must be the same in this process and at the cluster, or pickles may not open."""


def health(versions: Mapping[str, Any], address: str, threads: int) -> Health:
    """What the answer of ``Client.get_versions`` means."""
    workers = versions["workers"]
    places = {"here": versions["client"], "scheduler": versions["scheduler"]}
    places.update({f"worker {address}": answer for address, answer in workers.items() if isinstance(answer, dict)})
    found = {place: {name: _version(answer, name) for name in COMPARED} for place, answer in places.items()}
    differing = [name for name in COMPARED if len({of_place[name] for of_place in found.values()}) > 1]
    message = f"The Dask scheduler at {address} answers; {len(workers)} workers with {threads} threads."
    for name in differing:
        here = found["here"][name]
        others = [f"{place} {of_place[name]}" for place, of_place in found.items() if of_place[name] != here]
        message += f" {name} is {here} here, but: {', '.join(others)}."
    if differing:
        message += " Install the same versions at both ends, or jobs may fail to open."
    flat = {f"{place} {name}": version for place, of_place in found.items() for name, version in of_place.items()}
    return Health(message, flat, threads)


def _version(answer: Mapping[str, Any], name: str) -> str:
    at = answer["host"] if name == "python" else answer["packages"]
    return str(at.get(name) or "missing")


OF_AN_ATTEMPT = re.compile(r"@([0-9a-f]{32})\b")


def text(lines: Sequence[tuple[str, str]], attempt: str) -> str:
    """Log lines as Dask gives them, newest first, as one text in the order of time.

    What is said of the tasks of other attempts, which may be other people's, is left out.
    """
    return "\n".join(line for _, line in reversed(lines) if set(OF_AN_ATTEMPT.findall(line)) <= {attempt})
