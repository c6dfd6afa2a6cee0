"""How an app runs jobs: create a job, say what to run, execute it. The request waits for none of it."""

from __future__ import annotations

import inspect

from dask.delayed import delayed
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST, require_safe

from jobsapi.exceptions import SchedulerNotAssigned
from jobsapi.portal.samples import work
from jobsapi.portal.samples.app import SampleApp

job_manager = SampleApp.get_job_manager()


@login_required
@require_POST
def run(request: HttpRequest) -> HttpResponse:
    """Run three jobs, and show them."""
    try:
        scheduler = SampleApp.get_scheduler("dask")
    except SchedulerNotAssigned as error:
        messages.error(request, str(error))
        return redirect("samples")

    estimate = job_manager.create_job(
        name="Monte Carlo estimate of π (job {id})",
        user=request.user,
        job_type="DASK",
        scheduler=scheduler,
        description="Which share of random points in a square lies in the circle?",
    )
    hits = [delayed(work.count_hits)(seed) for seed in range(work.TASKS)]
    estimate.execute(delayed(work.estimate_pi)(hits))  # a graph, which becomes a dict

    heat = job_manager.create_job(
        name="Heat in a metal plate (job {id})",
        user=request.user,
        job_type="DASK",
        scheduler=scheduler,
        description="A hot corner spreads over a grid; the result is the mean of each block, as an array.",
    )
    heat.execute(work.heat_in_a_plate, rounds=500)  # a worker calls it, and the Dask array it returns is computed

    failing = job_manager.create_job(
        name="a job that fails",
        user=request.user,
        job_type="DASK",
        scheduler=scheduler,
        description="One of its numbers makes no sense. Its traceback says which.",
    )
    failing.execute(delayed(work.simulate)([12.5, 3.0, -0.5, 8.0]))

    return redirect("jobsapi:jobs")


@login_required
@require_safe
def page(request: HttpRequest) -> HttpResponse:
    """A button that runs the jobs, and the code behind it."""
    return render(request, "samples/page.html", {"code": inspect.getsource(inspect.unwrap(run))})
