"""Many Jobs tables that are open at once, each asking every two seconds, on the web server of the demo.

``python -m benchmarks.open_tables [--tables 200] [--seconds 30]``. Meanwhile jobs of all readers make progress. The
exit status is 1 if a poll failed, or if one in twenty took longer than the interval.
"""

from __future__ import annotations

import argparse
import http.client
import multiprocessing
import os
import random
import re
import sys
import threading
import time
from dataclasses import dataclass, field
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from benchmarks import ground
from benchmarks.crowd import folder
from jobsapi.portal.demo import processes
from jobsapi.portal.demo.ground import environment
from jobsapi.portal.ports import free_ports
from jobsapi.portal.supervisor import Supervisor

INTERVAL = 2.0
READERS, JOBS = 20, 100
"""Users, and jobs that each of them has; one in four runs."""
SECRET = "s" * 32
"""What a page and its cookie have in common: it keeps other sites from sending forms."""
CHANGES = 10
"""Jobs that make progress in a second."""


def main() -> int:
    """The exit status."""
    parser = argparse.ArgumentParser(prog="open_tables", description="Many Jobs tables that are open at once.")
    parser.add_argument("--tables", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=30)
    said = parser.parse_args()
    with folder(None) as home, Supervisor(home / "logs") as supervisor:
        supervisor.heed_signals()
        sessions, port = start(supervisor, home)
        over = threading.Event()
        progress = threading.Thread(target=make_progress, args=[over])
        progress.start()
        # Readers in a process of their own: they shall not take turns with those who make the progress.
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            told = pool.apply(read_all, [port, sessions, said.tables, said.seconds])
        over.set()
        progress.join()
    taken = [1000 * seconds for seconds in told.seconds] or [float("nan")]
    median, p95, longest = ground.percentiles(taken)
    ground.row("tables", "polls", "with news", "errors", "median ms", "p95 ms", "longest ms")
    ground.row(said.tables, len(told.seconds), told.news, len(told.errors), median, p95, longest)
    for error in told.errors[:5]:
        print(error)
    return int(bool(told.errors) or not p95 <= 1000 * INTERVAL)


@dataclass
class Told:
    """What the readers have seen."""

    seconds: list[float] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    news: int = 0


def start(supervisor: Supervisor, home: Path) -> tuple[list[str], int]:
    """The web server of the demo on a database with jobs; the sessions of its readers, and its port."""
    os.environ.update(environment(home))
    os.environ.setdefault("JOBSAPI_BROKER_URL", f"redis+socket://{home}/none")
    (port,) = free_ports(0)
    supervisor.run(processes.migrate())
    web = supervisor.start(processes.web_server(port))

    import django

    django.setup()
    sessions = seed()
    supervisor.wait_listening(web, port)
    return sessions, port


def seed() -> list[str]:
    """Readers with jobs; the key of a session of each."""
    from django.contrib.auth import get_user_model
    from django.test import Client
    from django.utils import timezone

    from jobsapi.compute import create_dask_scheduler
    from jobsapi.models import DaskJob, Job
    from jobsapi.status import Status

    scheduler = create_dask_scheduler("cluster", "127.0.0.1:1")
    scheduler.save()
    sessions, now = [], timezone.now()
    for number in range(READERS):
        user = get_user_model().objects.create_user(f"reader-{number}")
        rows = []
        for job_number in range(JOBS):
            job = DaskJob(name=f"job {job_number}", user=user, label="benchmarks", scheduler=scheduler)
            runs = job_number % 4 == 3
            status, ended = (Status.RUNNING, None) if runs else (Status.COMPLETE, now)
            known = {"native_id": "key", "attempts": 1, "execute_time": now, "start_time": now, "progress_total": 1_000}
            job.absorb({**known, "_status": status, "completion_time": ended})
            rows.append(job)
        Job.objects.bulk_create(rows)
        client = Client()
        client.force_login(user)
        sessions.append(client.cookies["sessionid"].value)
    return sessions


def make_progress(over: threading.Event) -> None:
    """Let some jobs be a little further every moment, and the scheduler be seen every second."""
    from django.db import connection
    from django.db.models import F
    from django.utils import timezone

    from jobsapi.models import Job, Scheduler
    from jobsapi.status import Status

    running = list(Job.objects.filter(_status=Status.RUNNING).values_list("pk", flat=True))
    while not over.wait(1):
        Job.objects.filter(pk__in=random.sample(running, CHANGES)).update(progress_done=F("progress_done") + 1)
        Scheduler.objects.update(polled_at=timezone.now())
    connection.close()


def read_all(port: int, sessions: list[str], tables: int, seconds: float) -> Told:
    """Open tables, each with a connection of its own as browsers have, and keep them open for a while."""
    told = Told()
    opened = [Table(port, sessions[number % len(sessions)], told) for number in range(tables)]
    for table in opened:
        table.open()
    over = time.monotonic() + seconds
    readers = [threading.Thread(target=table.read, args=[over]) for table in opened]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join()
    return told


class Table:
    """A page with a table, open in a browser."""

    def __init__(self, port: int, session: str, told: Told) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        self.session, self.told = session, told
        self.seen: dict[str, str] = {}
        self.address, self.token = "", {}

    def open(self) -> None:
        """Load the page, as a browser does once."""
        page = self.ask("/jobs/")
        self.address, self.token = asked_for(page)
        self.connection.close()  # the server would do so itself before the others are open; it comes back when needed

    def read(self, over: float) -> None:
        """Ask for what has changed until time is up."""
        time.sleep(random.uniform(0, INTERVAL))
        try:
            while time.monotonic() < over:
                due = time.monotonic() + INTERVAL
                began = time.perf_counter()
                seen = [f"{number}.{version}" for number, version in self.seen.items()]
                news = self.ask(self.address, {"seen": seen, **self.token})
                self.told.seconds.append(time.perf_counter() - began)
                self.told.news += bool(news)
                time.sleep(max(due - time.monotonic(), 0))
        except (OSError, RuntimeError, http.client.HTTPException) as error:
            self.told.errors.append(repr(error))
        finally:
            self.connection.close()

    def ask(self, path: str, known: dict[str, Any] | None = None) -> str:
        """What the site answers: with the page, or to htmx, which tells it what is ``known``.

        Raises ``RuntimeError`` for an answer that is no page of ours.
        """
        headers = {"Cookie": f"sessionid={self.session}; csrftoken={SECRET}"}
        if known is None:
            self.connection.request("GET", path, headers=headers)
        else:
            headers |= {"HX-Request": "true", "Content-Type": "application/x-www-form-urlencoded"}
            body = urlencode({"csrfmiddlewaretoken": SECRET, **known}, doseq=True)
            self.connection.request("POST", path, body, headers)
        answer = self.connection.getresponse()
        text = answer.read().decode()
        if answer.status not in (200, 204) or answer.getheader("HX-Refresh"):
            raise RuntimeError(f"{answer.status} {dict(answer.getheaders())} {text[:200]}")
        for item in re.findall(r'name="seen" value="([^"]+)"', text):
            number, _, version = item.partition(".")
            self.seen[number] = version
        return text


def asked_for(page: str) -> tuple[str, dict[str, Any]]:
    """What htmx asks for while it shows a page: its address, and the token of the table."""
    address = next(found for found in re.findall(r'hx-post="([^"]+)"', page) if "/changes/" in found)
    token = re.search(r'name="token" value="([^"]+)"', page)
    return unescape(address), {"token": token[1]} if token else {}


if __name__ == "__main__":
    sys.exit(main())
