"""What a page of the Jobs table, and a poll of it, cost among 1,000 and among 100,000 jobs.

``python -m benchmarks.table``. Each line is one reader's page of 50 rows: statements beside Django's own two for the
session and the user, milliseconds, and how many times slower it is among 100,000. A DATABASE_URL in the environment
takes the place of SQLite.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import uuid4

from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from django.utils.html import escape

from benchmarks import ground

SIZES = (1_000, 100_000)
BATCH = 5_000
OFTEN = 20
"""A page is asked for so often; its median counts."""
ACCOUNT = 2
"""Statements of Django's own for who is asking: the session and the user."""


@dataclass(frozen=True)
class Reader:
    """Somebody who looks at the table."""

    words: str
    user: Any
    query: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Cost:
    """Of a page, and of a poll in which nothing has changed."""

    statements: int
    milliseconds: float
    poll_statements: int
    poll_milliseconds: float
    poll_bytes: int


def main() -> None:
    """Print one table."""
    with ground.django():
        from django.conf import settings

        settings.ALLOWED_HOSTS = ["testserver"]
        found: dict[str, list[Cost]] = {}
        people = People.make()
        for size in SIZES:
            people.write(size)
            with connection.cursor() as cursor:
                cursor.execute("ANALYZE")
            for reader in people.readers():
                found.setdefault(reader.words, []).append(measured(reader))
        ground.row(
            "reader", "statements", *(f"ms of {size:,}" for size in SIZES), "ratio", "poll", "ms", "ratio", "bytes"
        )
        for words, (few, many) in found.items():
            ground.row(
                words,
                many.statements,
                few.milliseconds,
                many.milliseconds,
                many.milliseconds / few.milliseconds,
                many.poll_statements,
                many.poll_milliseconds,
                many.poll_milliseconds / few.poll_milliseconds,
                many.poll_bytes,
            )


def measured(reader: Reader) -> Cost:
    """A page and a poll of it, as ``reader``."""
    client = Client()
    client.force_login(reader.user)

    def page() -> Any:
        answer = client.get("/jobs/", reader.query)
        assert answer.status_code == 200, answer.content[:500]
        return answer

    text = page().content.decode()
    assert text.count('name="seen"') == 50, (reader.words, text.count('name="seen"'))
    poll = poll_of(client, text)
    answer = poll()
    assert (answer.status_code, answer.content) == (204, b""), (reader.words, answer.status_code, answer.content[:300])
    return Cost(
        statements(page),
        ground.percentiles(ground.times(page, OFTEN))[0],
        statements(poll),
        ground.percentiles(ground.times(poll, OFTEN))[0],
        len(answer.content),
    )


def statements(call: Callable[[], Any]) -> int:
    """How many a call costs, beside those for who is asking."""
    with CaptureQueriesContext(connection) as queries:
        call()
    return len(queries) - ACCOUNT


def poll_of(client: Client, text: str) -> Callable[[], Any]:
    """What htmx asks for while it shows the page ``text``."""
    address = next(found for found in re.findall(r'hx-post="([^"]+)"', text) if "/changes/" in found)
    seen = re.findall(r'name="seen" value="([^"]+)"', text)
    token = re.search(r'name="token" value="([^"]+)"', text)
    known = {"seen": seen, **({"token": token[1]} if token else {})}
    address = address.replace("&amp;", "&")
    assert escape(address)
    return lambda: client.post(address, known, headers={"HX-Request": "true"})


@dataclass(frozen=True)
class People:
    """Ada has all jobs but those of Bob, who has 60; a group of Cyd's may see 60 of Ada's; Eve is staff."""

    ada: Any
    bob: Any
    cyd: Any
    eve: Any
    team: Any
    scheduler: Any

    @classmethod
    def make(cls) -> People:
        from django.contrib.auth import get_user_model
        from django.contrib.auth.models import Group

        from jobsapi.compute import create_dask_scheduler

        users = get_user_model().objects
        team = Group.objects.create(name="team")
        scheduler = create_dask_scheduler("cluster", "127.0.0.1:1")
        scheduler.save()
        ada, bob, cyd = (users.create_user(name) for name in ("ada", "bob", "cyd"))
        cyd.groups.add(team)
        return cls(ada, bob, cyd, users.create_user("eve", is_staff=True), team, scheduler)

    def readers(self) -> Iterator[Reader]:
        yield Reader("owner of all", self.ada)
        yield Reader("owner of 60", self.bob)
        yield Reader("60 shared", self.cyd)
        yield Reader("staff", self.eve)
        yield Reader("one status", self.ada, {"status": "ERR"})
        yield Reader("by name", self.ada, {"sort": "name"})
        yield Reader("search", self.ada, {"search": "number 9"})

    def write(self, size: int) -> None:
        """Jobs until there are ``size``; those of Bob and those that are shared stay spread over all."""
        from jobsapi.models import Job, JobShare

        Job._base_manager.all().delete()
        spread = max(size // 60, 2)
        for start in range(0, size, BATCH):
            rows = [self.job(number, spread) for number in range(start, min(start + BATCH, size))]
            Job.objects.bulk_create(rows)
        mine = Job.objects.filter(user=self.ada).order_by("pk").values_list("pk", flat=True)[::spread][:60]
        JobShare.objects.bulk_create(JobShare(job_id=pk, group=self.team) for pk in mine)

    def job(self, number: int, spread: int) -> Any:
        """One in twenty runs, one in ten has failed, the others have ended well."""
        from jobsapi.models import DaskJob
        from jobsapi.status import Status

        owner = self.bob if number % spread == spread // 2 else self.ada
        status = Status.RUNNING if number % 20 == 0 else Status.ERROR if number % 10 == 1 else Status.COMPLETE
        began = timezone.now() - timedelta(hours=1)
        job = DaskJob(name=f"number {number}", user=owner, label="benchmarks", scheduler=self.scheduler)
        known = {"native_id": f"key-{number}", "attempts": 1, "execute_time": began, "start_time": began}
        ended = None if status == Status.RUNNING else timezone.now()
        job.absorb(
            {**known, "_status": status, "submission_id": uuid4(), "completion_time": ended, "progress_total": 10}
        )
        return job


if __name__ == "__main__":
    main()
