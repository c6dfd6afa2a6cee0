"""How an app runs jobs: create a job, say what to run, execute it. The request waits for none of it."""

from __future__ import annotations

import inspect

from dask.delayed import delayed
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST, require_safe

from jobsapi import conf
from jobsapi.exceptions import SchedulerNotAssigned
from jobsapi.models import CondorWorkflow, CondorWorkflowJobNode, SchedulerAssignment
from jobsapi.portal.samples import work
from jobsapi.portal.samples.app import SampleApp
from jobsapi.portal.samples.programs import FOLDER

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
    # A worker calls the function, with a reporter if it may have one, and computes the graph that it returns: a dict.
    unheard = {} if conf.get("PUBLIC_URL") else {"reporter": None}  # a site without a known address hears no reports
    estimate.execute(work.count_in_batches, work.TASKS, **unheard)

    heat = job_manager.create_job(
        name="Heat in a metal plate (job {id})",
        user=request.user,
        job_type="DASK",
        scheduler=scheduler,
        description="A hot corner spreads over a grid; the result is the mean of each block, as an array.",
    )
    heat.execute(work.heat_in_a_plate, rounds=500)  # returns a Dask array, which is computed, too

    failing = job_manager.create_job(
        name="a job that fails",
        user=request.user,
        job_type="DASK",
        scheduler=scheduler,
        description="One of its numbers makes no sense. Its traceback says which.",
    )
    failing.execute(delayed(work.simulate)([12.5, 3.0, -0.5, 8.0]))  # a graph

    return redirect("jobsapi:jobs")


@login_required
@require_POST
def run_on_htcondor(request: HttpRequest) -> HttpResponse:
    """Run a job of four parts and a workflow of three nodes, and show them."""
    try:
        scheduler = SampleApp.get_scheduler("htcondor")
    except SchedulerNotAssigned as error:
        messages.error(request, str(error))
        return redirect("samples")

    estimate = job_manager.create_job(
        name="Estimate of π in four parts (job {id})",
        user=request.user,
        job_type="CONDOR",
        scheduler=scheduler,
        description="Each part throws points of its own into a square; what they print is put together.",
        num_jobs=4,
        remote_input_files=[FOLDER / "count_hits.sh"],
        condorpy_template_name="vanilla_transfer_files",
        attributes={"executable": "count_hits.sh", "arguments": "$(Process)", "output": "hits.$(Process)"},
        process_results_function="jobsapi.portal.samples.programs.estimate_pi",
    )
    estimate.execute()

    flood = job_manager.create_job(
        name="Rain, runoff, report (job {id})",
        user=request.user,
        job_type="CONDORWORKFLOW",
        scheduler=scheduler,
        description="A storm fills a catchment, which empties into a river: each node takes what the one before wrote.",
        process_results_function="jobsapi.portal.samples.programs.flood_report",
    )
    assert isinstance(flood, CondorWorkflow)
    flood.save()  # nodes need its number
    inputs = {"rain": "../storm.txt", "runoff": "../rain/rain.csv", "report": "../rain/rain.csv, ../runoff/runoff.csv"}
    outputs = {"rain": "rain.csv", "runoff": "runoff.csv", "report": "report.txt"}
    before = None
    for name in inputs:
        node = CondorWorkflowJobNode(name=name, workflow=flood)
        node.condorpy_template_name = "vanilla_transfer_files"
        node.remote_input_files = [FOLDER / f"{name}.sh", FOLDER / "storm.txt"]
        node.set_attribute("executable", f"{name}.sh")
        node.set_attribute("transfer_input_files", inputs[name])
        node.set_attribute("transfer_output_files", outputs[name])
        node.save()
        if before is not None:
            node.add_parent(before)
        before = node
    flood.outputs = {file: f"{flood.folder.name}/{name}/{file}" for name, file in outputs.items()}
    flood.execute()

    return redirect("jobsapi:jobs")


@login_required
@require_safe
def page(request: HttpRequest) -> HttpResponse:
    """Buttons that run the jobs, and the code behind them."""
    code = {view.__name__: inspect.getsource(inspect.unwrap(view)) for view in (run, run_on_htcondor)}
    assigned = SchedulerAssignment.objects.filter(package=SampleApp.package, setting="htcondor").exists()
    return render(request, "samples/page.html", {"code": code, "has_htcondor": assigned})
