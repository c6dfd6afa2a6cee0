"""The members of the crowd, each a process: ``python -m benchmarks.members submit|read ...``.

Each writes what it has seen to a file of JSON: how long things took, and what went wrong, in full.
"""

from __future__ import annotations

import argparse
import json
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from django.db import DatabaseError

from jobsapi.exceptions import JobsApiError
from jobsapi.portal.demo import USER, DemoError

THREADS = 4
"""In which one process submits, as the threads of a web server do."""
LOOK = 0.5
"""Seconds between two looks of a reader at the Jobs page: as often as an open page asks."""


class Notes:
    """What one member has to tell. Written when it is closed."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.seconds: list[float] = []
        self.errors: list[str] = []
        self.jobs: dict[int, int] = {}
        """The number of each job, by its primary key."""

    def time(self, call: Callable[[], Any]) -> Any:
        """What ``call()`` returns, and how long it took; None with a note of the error if it raised one."""
        start = time.perf_counter()
        try:
            value = call()
        except (DatabaseError, DemoError, JobsApiError):  # anything else ends the thread, with a traceback in the log
            self.errors.append(traceback.format_exc())
            return None
        self.seconds.append(time.perf_counter() - start)
        return value

    def close(self) -> None:
        draft = self.path.with_suffix(".draft")
        draft.write_text(json.dumps({"seconds": self.seconds, "errors": self.errors, "jobs": self.jobs}))
        draft.rename(self.path)


def submit(notes: Notes, folder: str, scheduler_name: str, numbers: range) -> None:
    """Create and execute one job for each of ``numbers``, through the public API and from several threads at once."""
    import dask
    import django

    django.setup()
    from django.contrib.auth import get_user_model
    from django.db import connection
    from django.utils.module_loading import import_string

    from benchmarks import work
    from jobsapi import conf
    from jobsapi.app import JobsApp
    from jobsapi.compute import get_scheduler

    class App(JobsApp):
        package = "benchmarks"

    manager, owner = App.get_job_manager(), get_user_model().objects.get(username=USER)
    scheduler = get_scheduler(scheduler_name)
    import_string(conf.get("DISPATCHER"))
    conf.backend_class("dask")  # a process imports Celery and Dask once, at its first job

    def one(number: int) -> None:
        task = dask.delayed(work.noted)(folder, number)
        job = manager.create_job(f"number {number}", owner, job_type="DASK", scheduler=scheduler)
        notes.time(lambda: job.execute(task))
        if job.pk is not None:
            notes.jobs[job.pk] = number

    def share(start: int) -> None:
        try:
            for number in numbers[start::THREADS]:
                one(number)
        finally:
            connection.close()

    threads = [threading.Thread(target=share, args=[start]) for start in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def read(notes: Notes, site: str, password: str, until: Path) -> None:
    """Look at the Jobs page over HTTP, again and again, until there is a file ``until``."""
    from jobsapi.portal.demo.browser import Browser

    browser = Browser(site)
    browser.get("/accounts/login/")
    browser.post("/accounts/login/", username=USER, password=password)
    while not until.exists():
        address = notes.time(lambda: browser.get("/jobs/"))
        if address is not None and not address.endswith("/jobs/"):
            notes.errors.append(f"The Jobs page led to {address}.")
        time.sleep(LOOK)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("notes", type=Path)
    kinds = parser.add_subparsers(dest="kind", required=True)
    submitter = kinds.add_parser("submit")
    submitter.add_argument("folder")
    submitter.add_argument("scheduler")
    submitter.add_argument("first", type=int)
    submitter.add_argument("behind", type=int)
    reader = kinds.add_parser("read")
    reader.add_argument("site")
    reader.add_argument("password")
    reader.add_argument("until", type=Path)
    said = parser.parse_args()
    notes = Notes(said.notes)
    try:
        if said.kind == "submit":
            submit(notes, said.folder, said.scheduler, range(said.first, said.behind))
        else:
            read(notes, said.site, said.password, said.until)
    finally:
        notes.close()


if __name__ == "__main__":
    main()
