"""What the demo shows in the terminal, and its verdict."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from jobsapi.portal.demo import FAILS, USER
from jobsapi.portal.supervisor import StopRequested, Supervisor

if TYPE_CHECKING:
    from rich.table import Table

    from jobsapi.models import Job

TIME_LIMIT = 180.0
"""Seconds that the sample jobs may take with ``--once``."""
LOOK = 0.5
"""Seconds between two looks at the database."""
MESSAGE_MAX = 80


def watch(supervisor: Supervisor, samples: list[int], *, once: bool) -> int:
    """Show the newest jobs until a signal, or with ``once`` until the samples have ended."""
    from jobsapi.models import Job

    made_by_make, parent = "MAKELEVEL" in os.environ, os.getppid()
    deadline = time.monotonic() + TIME_LIMIT
    with display(supervisor) as show:
        while True:
            supervisor.tend()
            jobs = sorted(Job.objects.filter(user__username=USER).order_by("-pk")[:10], key=lambda job: job.pk)
            show(jobs)
            jobs = [job for job in jobs if job.pk in samples]
            if once and (all(job.ended for job in jobs) or time.monotonic() > deadline):
                break
            if made_by_make and os.getppid() != parent:
                raise StopRequested("the death of make")
            time.sleep(0.5)
    return verdict(supervisor, jobs, len(samples))


def verdict(supervisor: Supervisor, jobs: Sequence[Job], expected: int) -> int:
    """Say in one line that all samples ended as they should, or at length how they did not."""
    from jobsapi.status import Status

    wrong = [job for job in jobs if job._status != (Status.ERROR if job.name == FAILS else Status.COMPLETE)]
    if len(jobs) == expected and not wrong and any(job.name == FAILS for job in jobs):
        print(f"demo: {expected} jobs, {expected - 1} complete, 1 failed as intended", flush=True)
        return 0
    for job in wrong:
        ended = "ended as" if job.ended else f"after {TIME_LIMIT:.0f} s still is"
        print(f"demo: job {job.pk} “{job.name}” {ended} {job.cached_status}. {job.status_message}", file=sys.stderr)
    died = [process for process in supervisor.processes if process.restarts or not process.alive]
    for process in died:
        print(f"\n{process.command.name} died and was restarted {process.restarts} times. The end of {process.log}:")
        print(process.tail(40), file=sys.stderr)
    print(f"demo: the logs are in {supervisor.logs}", file=sys.stderr)
    return 1


@contextlib.contextmanager
def display(supervisor: Supervisor) -> Iterator[Callable[[Sequence[Job]], None]]:
    """Shows jobs: a live table in a terminal, otherwise a line whenever a status or a message changes."""
    from rich.console import Console
    from rich.live import Live

    console = Console()
    if console.is_terminal:
        # No thread of its own: processes are forked here.
        with Live(console=console, auto_refresh=False) as live:
            yield lambda jobs: live.update(table(jobs, supervisor), refresh=True)
        return
    told: dict[int, tuple[str, str]] = {}
    restarted: set[str] = set()

    def tell(jobs: Sequence[Job]) -> None:
        news_of_processes = [line for line in restarts(supervisor) if line not in restarted]
        restarted.update(news_of_processes)
        for line in news_of_processes:
            print(line, flush=True)
        for job in jobs:
            news = job.cached_status, first_line(job)
            if told.get(job.pk) != news:
                told[job.pk] = news
                progress = f"{job.progress_done}/{job.progress_total}" if job.progress_total else ""
                print(f"{job.pk:>4}  {job.name}: {' '.join(filter(None, (news[0], progress, news[1])))}", flush=True)

    yield tell


def table(jobs: Sequence[Job], supervisor: Supervisor) -> Table:
    """The jobs as a table, with a note of what had to be restarted."""
    from rich.progress_bar import ProgressBar
    from rich.table import Table

    rows = Table(caption="\n".join(restarts(supervisor)) or "Ctrl-C stops the demo")
    for heading in ("Id", "Name", "Type", "Status", "Progress", "Message"):
        rows.add_column(heading)
    for job in jobs:
        bar = ProgressBar(total=job.progress_total, completed=job.progress_done, width=20) if job.progress_total else ""
        rows.add_row(str(job.pk), job.name, job.type, job.cached_status, bar, first_line(job))
    return rows


def restarts(supervisor: Supervisor) -> list[str]:
    """A line for each process that died and was started again."""
    counts = {process.command.name: process.restarts for process in supervisor.processes if process.restarts}
    return [
        f"{name} died and was started again" + (f", {count} times by now" if count > 1 else "")
        for name, count in counts.items()
    ]


def first_line(job: Job) -> str:
    """The start of its message."""
    line = job.status_message.strip().partition("\n")[0]
    return line if len(line) <= MESSAGE_MAX else line[: MESSAGE_MAX - 1] + "…"
