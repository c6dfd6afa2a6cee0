"""The jobs that stand in the pictures of ``make_screenshots.py``. They really run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

SHOWN = ("Running", "Aborted", "Error", "Complete")
"""The statuses of the Dask jobs, newest first."""

MODEL = """#!/bin/sh
# A model that tells what it does. Its second station has a gauge that sticks.
echo "Reading 4 gauges of the basin"
hour=0
while [ $hour -lt 2000 ]; do
    printf '%s hour %4d  inflow %7.1f m3/s  level %5.2f m\\n' \
        "$(date -u +%H:%M:%S)" $hour $((180 + hour * 37 % 61)) "$((3 + hour % 4)).$((10 + hour * 7 % 89))"
    [ $((hour % 12)) -ne 7 ] || echo "WARNING: gauge 2 of station $1 sticks, its last value is taken"
    hour=$((hour + 1))
    sleep 0.05
done
"""
NODES = {
    "terrain": ("/bin/sleep", "0", ()),
    "rain_north": ("/bin/sleep", "0", ("terrain",)),
    "rain_south": ("/bin/sleep", "0", ("terrain",)),
    "runoff_north": ("/bin/sleep", "600", ("rain_north",)),
    "runoff_south": ("/bin/false", "", ("rain_south",)),
    "snow_melt": ("/bin/sleep", "0", ("terrain",)),
    "river": ("/bin/sleep", "0", ("runoff_north", "runoff_south", "snow_melt")),
    "flood_map": ("/bin/sleep", "0", ("river",)),
    "report": ("/bin/sleep", "0", ("river",)),
}
"""Of a workflow: program, arguments and parents of each node."""


def run_on_dask() -> dict[str, Any]:
    """One job for each status that is ``SHOWN``, the oldest first. Returns when all but the last have ended."""
    from dask.delayed import delayed

    from jobsapi.portal.samples import work

    heat = _new("Heat in a metal plate (job {id})", "A hot corner spreads over a grid; the mean of each block.")
    heat.execute(work.heat_in_a_plate, rounds=400)
    failing = _new("Depths of a river (job {id})", "One of its numbers makes no sense. Its traceback says which.")
    failing.execute(delayed(work.simulate)([12.5, 3.0, -0.5, 8.0]))
    heat.wait(120)
    failing.wait(120)
    hits = [delayed(work.count_hits)(seed) for seed in range(work.TASKS)]
    stopped = _new("Monte Carlo estimate of π (job {id})", "Started by mistake, with too few points.")
    stopped.execute(delayed(work.estimate_pi)(hits))
    stopped.stop()
    stopped.wait(120)
    running = _new(
        "Monte Carlo estimate of π (job {id})", "Which share of random points in a square lies in the circle?"
    )
    running.execute(delayed(work.estimate_pi)(hits))
    return {"running": running, "stopped": stopped, "failing": failing, "heat": heat}


def run_on_htcondor(folder: Path) -> dict[str, Any]:
    """A model that writes a log, in three parts, and a workflow of which a node fails. It waits for neither."""
    from jobsapi.models import CondorWorkflowJobNode

    program = folder / "flood_model.sh"
    program.write_text(MODEL)
    program.chmod(0o755)
    model = _new(
        "Flood model (job {id})",
        "Three stations of the upper basin.",
        "CONDOR",
        num_jobs=3,
        remote_input_files=[program],
        condorpy_template_name="vanilla_transfer_files",
        attributes={
            "executable": program.name,
            "arguments": "$(Process)",
            "stream_output": True,
        },
    )
    model.execute()
    flow = _new("Flood forecast (job {id})", "From rain to a map, for both sides of the valley.", "CONDORWORKFLOW")
    flow.save()  # nodes need its number
    nodes: dict[str, Any] = {}
    for name, (executable, arguments, parents) in NODES.items():
        given = {"executable": executable, "arguments": arguments, "transfer_executable": False}
        nodes[name] = CondorWorkflowJobNode(
            name=name, workflow=flow, attributes={key: value for key, value in given.items() if value != ""}
        )
        nodes[name].save()
        for parent in parents:
            nodes[name].add_parent(nodes[parent])
    flow.execute()
    return {"model": model, "flow": flow}


def _new(name: str, description: str, job_type: str = "DASK", **given: Any) -> Any:
    """A job of the demo's user and sample app."""
    from django.contrib.auth import get_user_model

    from jobsapi.portal.demo import USER
    from jobsapi.portal.samples.app import SampleApp

    return SampleApp.get_job_manager().create_job(
        name,
        get_user_model().objects.get(username=USER),
        job_type=job_type,
        scheduler=SampleApp.get_scheduler("dask" if job_type == "DASK" else "htcondor"),
        description=description,
        **given,
    )
