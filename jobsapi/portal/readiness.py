"""Whether the portal as a whole does its work, from what its database says. Nobody else is asked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache

from django.db import connection
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder

from jobsapi.dispatch import queues
from jobsapi.models import Heartbeat
from jobsapi.models.heartbeat import quiet

Migration = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Part:
    """One of the things that have to be there for jobs to be run."""

    name: str
    ready: bool
    says: str
    """A few words, such as when it was last heard of. Nothing that must not be known: anybody may read them."""


def parts(now: datetime) -> Iterator[Part]:
    """Each part of the portal, and how it is ``now``, by the database's clock, which those that are judged go by, too.

    Raises ``django.db.Error`` when the database does not answer. One that waits for its migrations is not asked for
    anything else.
    """
    applied = set(MigrationRecorder(connection).applied_migrations())
    yield Part("database", True, "answers")
    waiting = sum(not ({key} <= applied or (replaced and replaced <= applied)) for key, replaced in known().items())
    yield Part("migrations", not waiting, f"{waiting} to be applied" if waiting else "applied")
    if waiting or not (needed := queues()):
        return
    signs = Heartbeat.signs(now)
    for queue in needed:
        yield _heard(f"queue {queue}", "answered", signs.answers.get(queue), now)
    yield _heard("beat", "seen", signs.beat, now)


def _heard(name: str, verb: str, last: datetime | None, now: datetime) -> Part:
    if last is None:
        return Part(name, False, f"not {verb} yet")
    at = f"{last.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
    return Part(name, not quiet(last, now), f"not {verb} since {at}" if quiet(last, now) else f"{verb} at {at}")


@cache
def known() -> Mapping[Migration, frozenset[Migration]]:
    """The migrations of this code, each with those that it replaces. They do not change while a process lives."""
    nodes = MigrationLoader(None).graph.nodes
    return {key: frozenset(migration.replaces) for key, migration in nodes.items()}
