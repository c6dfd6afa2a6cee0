"""Writes ``docs/images/jobs.png``: the Jobs page in Chromium, with real jobs. ``make screenshot``.

It starts what the demo starts, in a temporary folder, and leaves none of it behind.
"""

from __future__ import annotations

import argparse
import os
import re
import secrets
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from playwright.sync_api import expect, sync_playwright

sys.path.insert(0, str(Path(__file__).parents[1]))

from jobsapi.portal.demo import USER, processes
from jobsapi.portal.demo.ground import environment, prepare_database, private_folder
from jobsapi.portal.supervisor import Supervisor, SupervisorError, free_ports

if TYPE_CHECKING:
    from jobsapi.models import DaskJob

PICTURE = Path(__file__).parent / "images" / "jobs.png"
WIDTH, SHARPNESS = 1280, 1.5
SHOWN = ("Running", "Aborted", "Error", "Complete")
"""The statuses of the jobs in the picture, newest first."""
PART = 0.3
"""How far the running job shall be."""
OF_A_SITE = re.compile("JOBSAPI_|DATABASE_|SECRET_KEY|ALLOWED_HOSTS|CSRF_|DEBUG$|DJANGO_")
OPTIONS = ("--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking")


def main() -> int:
    parser = argparse.ArgumentParser(description="Take a picture of the Jobs page, with real jobs.")
    parser.add_argument("picture", nargs="?", type=Path, default=PICTURE, help="the file to write")
    picture: Path = parser.parse_args().picture.absolute()
    chromium = shutil.which("chromium")
    if chromium is None:
        print("Chromium is not installed: run scripts/install-test-services", file=sys.stderr)
        return 1
    try:
        with private_folder() as name, Supervisor(Path(name, "logs")) as supervisor:
            supervisor.heed_signals()
            site, password = start(supervisor, Path(name))
            run_jobs()
            take(picture, site, password, chromium)
    except SupervisorError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"{picture.name}: {picture.stat().st_size / 1024:.0f} KiB")
    return 0


def start(supervisor: Supervisor, folder: Path) -> tuple[str, str]:
    """Start a portal with everything it needs; its address and the password of its user."""
    for name in filter(OF_A_SITE.match, [*os.environ]):  # nothing of the user's own site shall be touched
        del os.environ[name]
    broker = folder / "valkey.sock"
    os.environ.update(environment(folder), JOBSAPI_BROKER_URL=f"redis+socket://{broker}")
    dask_port, board_port, web_port = free_ports(0, 0, 0)
    supervisor.wait_until(supervisor.start(processes.valkey(broker)), lambda: processes.answers(broker))
    scheduler = supervisor.start(processes.dask_scheduler(dask_port, board_port, dashboard=False))
    supervisor.run(processes.migrate())
    supervisor.wait_listening(scheduler, dask_port)
    supervisor.start(processes.dask_worker(dask_port, folder))
    for command in processes.celery(folder):
        supervisor.start(command)
    web = supervisor.start(processes.web_server(web_port))

    import django

    django.setup()
    password = secrets.token_urlsafe(9)
    prepare_database(password, f"tcp://127.0.0.1:{dask_port}", "")
    supervisor.wait_listening(web, web_port)
    return f"http://127.0.0.1:{web_port}", password


def run_jobs() -> None:
    """Run one job for each status in the picture, the oldest first; returns when all but the last have ended."""
    from dask.delayed import delayed

    from jobsapi.portal.samples import work

    heat = new_job("Heat in a metal plate (job {id})", "A hot corner spreads over a grid; the mean of each block.")
    heat.execute(work.heat_in_a_plate, rounds=500)
    failing = new_job("Depths of a river (job {id})", "One of its numbers makes no sense. Its traceback says which.")
    failing.execute(delayed(work.simulate)([12.5, 3.0, -0.5, 8.0]))
    heat.wait(120)
    failing.wait(120)
    hits = [delayed(work.count_hits)(seed) for seed in range(work.TASKS)]
    stopped = new_job("Monte Carlo estimate of π (job {id})", "Started by mistake, with too few points.")
    stopped.execute(delayed(work.estimate_pi)(hits))
    stopped.stop()
    stopped.wait(120)
    running = new_job(
        "Monte Carlo estimate of π (job {id})", "Which share of random points in a square lies in the circle?"
    )
    running.execute(delayed(work.estimate_pi)(hits))


def new_job(name: str, description: str) -> DaskJob:
    """A job of the demo's user and sample app."""
    from django.contrib.auth import get_user_model

    from jobsapi.portal.samples.app import SampleApp

    job: DaskJob = SampleApp.get_job_manager().create_job(  # type: ignore[assignment]
        name,
        get_user_model().objects.get(username=USER),
        job_type="DASK",
        scheduler=SampleApp.get_scheduler("dask"),
        description=description,
    )
    return job


def take(picture: Path, site: str, password: str, chromium: str) -> None:
    """Log in, wait until the page shows what the picture shall show, and write it."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=[*OPTIONS])
        page = browser.new_page(
            viewport={"width": WIDTH, "height": 800},
            device_scale_factor=SHARPNESS,
            color_scheme="light",
            locale="en-GB",
        )
        page.goto(f"{site}/accounts/login/")
        page.get_by_label("Username").fill(USER)
        page.get_by_label("Password").fill(password)
        page.get_by_role("button", name="Log in").click()
        page.goto(f"{site}/jobs/")
        page.wait_for_function(
            "part => [...document.querySelectorAll('progress[value]')].some(bar => bar.max && "
            "bar.value < bar.max && bar.value / bar.max >= part)",
            arg=PART,
            timeout=240_000,
        )
        expect(page.locator("#jobs td.status .mark")).to_have_text(SHOWN)
        bottom = page.locator("#jobs").bounding_box()
        assert bottom is not None
        height = round(bottom["y"] + bottom["height"] + 28)
        picture.parent.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=picture, clip={"x": 0, "y": 0, "width": WIDTH, "height": height}, full_page=True)
        browser.close()


if __name__ == "__main__":
    sys.exit(main())
