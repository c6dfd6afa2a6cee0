"""Writes ``docs/images/*.png``: pages of a portal in Chromium, with real jobs. ``make screenshots``.

It starts what the demo starts, in temporary folders, and leaves none of it behind. Without an HTCondor pool (which is
fetched, as by ``make demo ARGS=--condor``) the pictures of HTCondor stay as they are.
"""

from __future__ import annotations

import argparse
import os
import re
import secrets
import shutil
import struct
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import expect, sync_playwright

sys.path.insert(0, str(Path(__file__).parents[1]))

import pictured_jobs

from jobsapi.portal.demo import ADMINISTRATOR, USER, DemoError, pool, processes
from jobsapi.portal.demo.ground import environment, prepare_database, private_folder
from jobsapi.portal.ports import free_ports
from jobsapi.portal.supervisor import Supervisor, SupervisorError

IMAGES = Path(__file__).parent / "images"
WIDTH, SHARPNESS = 1280, 1.25
PHONE = {"width": 390, "height": 844}
PART = 0.1
"""How far the running job shall be."""
OF_A_SITE = re.compile("JOBSAPI_|DATABASE_|SECRET_KEY|ALLOWED_HOSTS|CSRF_|DEBUG$|DJANGO_")
OPTIONS = ("--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking")
PART_IS_DONE = """part => [...document.querySelectorAll('progress[value]')].some(
  bar => bar.max && bar.value < bar.max && bar.value / bar.max >= part)"""


def main() -> int:
    parser = argparse.ArgumentParser(description="Take pictures of the pages of a portal, with real jobs.")
    parser.add_argument("folder", nargs="?", type=Path, default=IMAGES, help="where to write them")
    parser.add_argument("--without-htcondor", action="store_true", help="leave out those that need an HTCondor pool")
    options = parser.parse_args()
    folder: Path = options.folder.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    chromium = shutil.which("chromium")
    if chromium is None:
        print("Chromium is not installed: run scripts/install-test-services", file=sys.stderr)
        return 1
    try:
        with (
            private_folder() as home,
            private_folder() as pool_home,
            removed(Path(f"{home}-open")),
            Supervisor(Path(home, "logs")) as supervisor,
        ):
            supervisor.heed_signals()
            has_pool = not options.without_htcondor and start_pool(supervisor, Path(pool_home))
            site, password = start(supervisor, Path(home), has_pool=has_pool)
            with camera(chromium, site, password, folder) as taken:
                take_dask(taken)
                if has_pool:
                    take_htcondor(taken, Path(pool_home))
                take_administration(taken, "condorscheduler" if has_pool else "daskscheduler")
    except SupervisorError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


@contextmanager
def removed(folder: Path) -> Iterator[None]:
    """Afterwards it is gone: where jobs of a pool that runs as another account have their files."""
    try:
        yield
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def start_pool(supervisor: Supervisor, home: Path) -> bool:
    """An HTCondor pool of our own, if one is to be had."""
    os.environ["HTCONDOR_POOL_HOME"] = str(home)
    try:
        pool.own_pool(supervisor)
    except (DemoError, SupervisorError) as error:
        print(f"Without the pictures of HTCondor: {error}", file=sys.stderr)
        return False
    return True


def start(supervisor: Supervisor, home: Path, *, has_pool: bool) -> tuple[str, str]:
    """Start a portal with everything it needs; its address and the password of its users."""
    for name in filter(OF_A_SITE.match, [*os.environ]):  # nothing of the user's own site shall be touched
        del os.environ[name]
    broker = home / "valkey.sock"
    os.environ.update(environment(home), JOBSAPI_BROKER_URL=f"redis+socket://{broker}")
    dask_port, board_port, web_port = free_ports(0, 0, 0)
    supervisor.wait_until(supervisor.start(processes.valkey(broker)), lambda: processes.answers(broker))
    scheduler = supervisor.start(processes.dask_scheduler(dask_port, board_port, dashboard=False))
    supervisor.run(processes.migrate())
    supervisor.wait_listening(scheduler, dask_port)
    supervisor.start(processes.dask_worker(dask_port, home))
    workers = processes.celery(home)
    if has_pool and pool.jobs_are_another_account_s():
        pool.open_workspaces(home)
        workers = pool.opened(workers)
    for command in workers:
        supervisor.start(command)
    web = supervisor.start(processes.web_server(web_port))

    import django

    django.setup()
    password = secrets.token_urlsafe(9)
    prepare_database(password, f"tcp://127.0.0.1:{dask_port}", "", htcondor=has_pool)
    supervisor.wait_listening(web, web_port)
    wait_for_workers(supervisor)
    return f"http://127.0.0.1:{web_port}", password


def wait_for_workers(supervisor: Supervisor) -> None:
    """Until they have said that they are there: pages say so when they have not."""
    from django.utils import timezone

    from jobsapi.models import Heartbeat

    supervisor.wait_until(supervisor.processes[0], lambda: not Heartbeat.silent(timezone.now()), timeout=60)


class Camera:
    """Pages of the portal in Chromium, and pictures of them."""

    def __init__(self, chromium: Any, site: str, password: str, folder: Path) -> None:
        self.chromium, self.site, self.password, self.folder = chromium, site, password, folder

    def page(self, user: str = USER, **options: Any) -> Any:
        """A page that a user has logged in to."""
        known = {"viewport": {"width": WIDTH, "height": 800}, "device_scale_factor": SHARPNESS, "locale": "en-GB"}
        page = self.chromium.new_page(**{**known, "color_scheme": "light", "base_url": self.site, **options})
        page.goto("/accounts/login/")
        page.get_by_label("Username").fill(user)
        page.get_by_label("Password").fill(self.password)
        page.get_by_role("button", name="Log in").click()
        page.wait_for_load_state()
        return page

    def take(self, name: str, page: Any, until: Any = None, most: int = 1060) -> None:
        """Write a picture of the page, down to the end of the element ``until``, or of ``most`` pixels."""
        bottom = until.bounding_box() if until is not None else None
        height = round(bottom["y"] + bottom["height"] + 28) if bottom else most
        clip = {"x": 0, "y": 0, "width": page.viewport_size["width"], "height": min(height, most)}
        picture = packed(page.screenshot(clip=clip, full_page=True, animations="disabled"))
        (self.folder / name).write_bytes(picture)
        print(f"{name}: {len(picture) / 1024:.0f} KiB")


@contextmanager
def camera(program: str, site: str, password: str, folder: Path) -> Iterator[Camera]:
    """Chromium, for as long as the block runs."""
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"  # Playwright keeps an event loop in this thread
    with sync_playwright() as playwright:
        expect.set_options(timeout=60_000)
        chromium = playwright.chromium.launch(executable_path=program, args=[*OPTIONS])
        yield Camera(chromium, site, password, folder)
        chromium.close()


def take_dask(taken: Camera) -> None:
    """The table in light, in dark and on a phone; the tasks and the page of a running job; the result of another."""
    page, phone = taken.page(), taken.page(viewport=PHONE, is_mobile=True, has_touch=True, device_scale_factor=1)
    jobs = pictured_jobs.run_on_dask()
    page.goto("/jobs/")
    page.wait_for_function(PART_IS_DONE, arg=PART, timeout=240_000)
    table = page.locator("#jobs")
    expect(table.locator("td.status .mark")).to_have_text(pictured_jobs.SHOWN)
    taken.take("jobs.png", page, table)
    page.emulate_media(color_scheme="dark")
    taken.take("jobs-dark.png", page, table)
    page.emulate_media(color_scheme="light")
    page.locator("tr.more summary", has_text="Tasks").first.click()
    expect(page.locator("dl.tasks")).to_be_visible()
    taken.take("tasks.png", page, page.locator(f"#job-{jobs['running'].pk}"))
    phone.goto("/jobs/")
    taken.take("phone.png", phone, most=PHONE["height"])
    page.goto(f"/jobs/{jobs['running'].pk}/")
    expect(page.locator("#job-inside dl.tasks")).to_be_visible()
    taken.take("job.png", page, page.locator("main"))
    jobs["running"].stop()
    page.goto(f"/jobs/{jobs['heat'].pk}/result/")
    taken.take("result.png", page, page.locator("figure.plot"))


def take_htcondor(taken: Camera, folder: Path) -> None:
    """The graph of a workflow, and a log that is being written."""
    jobs = pictured_jobs.run_on_htcondor(folder)
    page = taken.page()
    head = page.locator("#job-head .mark")
    page.goto(f"/jobs/{jobs['flow'].pk}/")
    for name, words in (("runoff_north", "Running"), ("runoff_south", "Error")):
        expect(page.get_by_role("link", name=f"{name}: {words}")).to_be_visible()
    expect(head).to_have_text("Various")
    taken.take("workflow.png", page, page.locator("#job-inside"))
    page = taken.page(device_scale_factor=1)  # so many letters make a large picture
    head = page.locator("#job-head .mark")
    page.goto(f"/jobs/{jobs['model'].pk}/")
    expect(head).to_have_text("Running")
    page.get_by_role("link", name="Logs", exact=True).click()
    page.get_by_role("link", name=re.compile(r"1\.out$")).click()
    expect(page.locator(".well")).to_contain_text("WARNING")
    expect(page.locator(".well")).to_contain_text("hour   60")
    taken.take("log.png", page, page.locator(".well"))
    for job in jobs.values():
        job.stop()


def take_administration(taken: Camera, kind: str) -> None:
    """The test of a scheduler."""
    page = taken.page(ADMINISTRATOR)
    page.goto(f"/admin/jobsapi/{kind}/")
    page.locator("#result_list tbody th a").click()
    page.get_by_role("button", name="Test connection").click()
    again = page.get_by_role("button", name="Test again")
    expect(again).to_be_visible()
    taken.take("admin-test.png", page, again)


def packed(picture: bytes) -> bytes:
    """The same PNG, compressed as well as it can be: Chromium is in a hurry."""
    at, chunks = 8, []
    while at < len(picture):
        (length,) = struct.unpack(">I", picture[at : at + 4])
        chunks.append((picture[at + 4 : at + 8], picture[at + 8 : at + 8 + length]))
        at += length + 12
    pixels = zlib.compress(zlib.decompress(b"".join(body for kind, body in chunks if kind == b"IDAT")), 9)
    head, *rest = [chunk for chunk in chunks if chunk[0] != b"IDAT"]
    return picture[:8] + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in (head, *rest[:-1], (b"IDAT", pixels), rest[-1])
    )


if __name__ == "__main__":
    sys.exit(main())
