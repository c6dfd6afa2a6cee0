"""Which faults come when, and of which kind each job is: all of it follows from the seed."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from random import Random

from tests.chaos.kinds import assigned

RESTED = 0.8
"""The share of faults that come when workers are up: if they never were, nothing would go on that could go wrong."""


@dataclass(frozen=True)
class Turn:
    """One fault of the plan."""

    after: int
    """When so many jobs were submitted."""
    fault: str
    rested: bool
    """Whether the workers are up again before it comes. Otherwise they may be hit while they get up."""
    seed: int
    """Of the random numbers by which it chooses."""


@dataclass(frozen=True)
class Plan:
    """What a campaign does."""

    kinds: Sequence[str]
    """Of each job, by its number."""
    turns: Sequence[Turn]


def planned(jobs: int, seed: int, faults: Sequence[str], schedulers: Collection[str], turns: int) -> Plan:
    """The plan of a seed: each fault as often as the others, in any order, and the last fifth after the last job."""
    rng = Random(seed)
    kinds = assigned(jobs, schedulers, rng)
    deck: list[str] = []
    while faults and len(deck) < turns:
        more = [*faults]
        rng.shuffle(more)
        deck += more
    early = max(1, turns * 4 // 5)
    afters = [min(jobs, (number + 1) * jobs // (early + 1)) for number in range(len(deck))]
    rested = [rng.random() < RESTED for _ in deck]
    return Plan(kinds, [Turn(*each, rng.getrandbits(32)) for each in zip(afters, deck, rested, strict=True)])
