"""Runs the Python of one page in its project: ``python -m tests.docs.run_page``, with the blocks as JSON on stdin."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import django
import numpy
from dask.delayed import delayed
from distributed import LocalCluster
from django.core.management import call_command


def main() -> None:
    task = json.load(sys.stdin)
    page = Path(task["page"])
    django.setup()
    call_command("check", fail_level="WARNING")
    call_command("migrate", verbosity=0)
    for module in task["modules"]:
        importlib.import_module(module)
    # Its worker is a thread of this process, which can import what the page has defined.
    cluster = LocalCluster(
        n_workers=1, processes=False, protocol="tcp://", host="127.0.0.1", dashboard_address="127.0.0.1:0"
    )
    with cluster:
        names = given(cluster.scheduler_address)
        for line, source in task["blocks"]:
            exec(compile("\n" * (line - 1) + source, page, "exec"), names)  # a traceback names the page's line
        if importlib.util.find_spec(f"tests.docs.afterwards.{page.stem}"):
            importlib.import_module(f"tests.docs.afterwards.{page.stem}").holds(SimpleNamespace(**names))


def given(address: str) -> dict[str, Any]:
    """What every page may take for granted."""
    from django.contrib.auth import get_user_model
    from django.test import RequestFactory
    from flood import model
    from flood.app import FloodApp

    from jobsapi.compute import create_dask_scheduler
    from jobsapi.models import SchedulerAssignment

    scheduler = create_dask_scheduler("rehearsal", address)
    scheduler.save()
    SchedulerAssignment.objects.create(package=FloodApp.package, setting="cluster", scheduler=scheduler)
    user = get_user_model().objects.create_user("ada", password="pw")
    request = RequestFactory().get("/")
    request.user = user
    job_manager = FloodApp.get_job_manager()
    job = job_manager.create_job("flood {id}", user, job_type="DASK", scheduler=scheduler)
    job.execute("flood.model.simulate", "Rhine", hours=24)
    assert job.wait(60) == "Complete", job.status_message
    return {
        "__name__": "page",
        "app": FloodApp,
        "delayed": delayed,
        "draw": model.draw,
        "job": job,
        "job_manager": job_manager,
        "numpy": numpy,
        "request": request,
        "scheduler": scheduler,
        "user": user,
    }


if __name__ == "__main__":
    main()
