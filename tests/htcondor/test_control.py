"""Stop, pause and resume: jobs, procs, workflows and nodes. What is said of it is what HTCondor confirms."""

from pathlib import Path

import pytest

from jobsapi import lifecycle
from jobsapi.models import CondorWorkflowJobNode, CondorWorkflowSubdagNode, Job
from tests.rig.eventually import eventually


def test_a_running_job_is_stopped_and_what_it_left_comes_home(place, worker, script, execute):
    job = execute(place, script("long.sh", "echo begun; sleep 600"))
    worker.until(job, "Running")

    job.stop()
    ended = worker.ended(job)

    assert (ended.cached_status, ended.requested) == ("Aborted", "")
    assert (ended.folder / ".jobsapi").exists()


def test_a_job_is_paused_and_resumed(place, worker, script, execute):
    job = execute(place, script("long.sh", "sleep 600"))
    worker.until(job, "Running")

    job.pause()
    held = worker.until(job, "Paused")
    assert held.status_message
    held.resume()
    again = worker.until(job, lambda found: found.cached_status in ("Submitted", "Running") and not found.requested)
    again.stop()

    assert worker.ended(job).cached_status == "Aborted"


def test_single_procs_are_held_released_and_stopped(local, worker, script, execute, condor_pool):
    job = execute(local, script("long.sh", "sleep 600"), num_jobs=3)
    worker.until(job, "Running")

    job.pause(proc=1)
    held = worker.until(job, lambda found: found.cached_status == "Various" and "held" in found.status_message)
    assert [ad["ProcId"] for ad in condor_pool.queue("-constraint", "JobStatus == 5")] == [1]
    held.resume(proc=1)
    worker.until(job, "Running", lambda found: "held" not in found.status_message)
    held.stop(proc=2)
    worker.until(job, lambda found: found.progress_done == 1)
    held.stop()

    assert worker.ended(job).cached_status in ("Aborted", "Error")


def test_a_deleted_running_job_is_removed_at_the_scheduler_and_only_its_folder_goes(
    place, worker, script, execute, condor_pool
):
    job = execute(place, script("long.sh", "sleep 600"))
    running = worker.until(job, "Running")
    beside = Path(running.workspace, "mine.txt")
    beside.parent.mkdir(parents=True, exist_ok=True)
    beside.write_text("the user's own")
    folder = running.folder

    running.delete()
    eventually(lambda: worker.step(place.pk) or not Job._base_manager.filter(pk=job.pk).exists(), timeout=60)

    assert condor_pool.queue("-constraint", f"ClusterId == {running.cluster_id} && JobStatus != 3") == []
    assert not folder.exists()
    assert beside.read_text() == "the user's own"
    assert not list(Path(f"~{condor_pool.user}").expanduser().glob(f"**/{job.remote_id}"))


def flow(manager, user, scheduler, scripts, texts):
    workflow = manager.create_job("flow", user, job_type="CONDORWORKFLOW", scheduler=scheduler)
    workflow.save()
    for name, text in texts.items():
        path = scripts / f"{name}.sh"
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)
        CondorWorkflowJobNode(
            name=name,
            workflow=workflow,
            condorpy_template_name="vanilla_transfer_files",
            remote_input_files=[str(path)],
            attributes={"executable": path.name},
        ).save()
    return workflow


def all_running(*names):
    return lambda found: all(found.node_states.get(name, {}).get("status") == "RUN" for name in names)


def test_a_workflow_is_paused_with_its_nodes_and_goes_on(manager, user, place, worker, scripts, condor_pool):
    workflow = flow(manager, user, place, scripts, {"A": "sleep 600", "B": "sleep 600"})
    workflow.execute()
    running = worker.until(workflow, all_running("A", "B"))

    running.pause()
    paused = worker.until(workflow, "Paused")
    assert {ad["JobStatus"] for ad in condor_pool.queue()} == {5}
    paused.resume()
    worker.until(workflow, lambda found: found.cached_status == "Running" and not found.requested)
    paused.stop()
    ended = worker.ended(workflow)

    assert ended.cached_status == "Aborted"
    assert condor_pool.queue("-constraint", "JobStatus != 3") == []


def test_a_node_is_held_released_and_stopped(manager, user, local, worker, scripts):
    workflow = flow(manager, user, local, scripts, {"A": "sleep 600", "B": "sleep 600"})
    workflow.execute()
    running = worker.until(workflow, all_running("A", "B"))

    running.get_job("A").pause()
    held = worker.until(workflow, lambda found: found.node_states["A"]["status"] == "PAS")
    assert held.get_job("B").cached_status == "Running"
    held.get_job("A").resume()
    worker.until(workflow, lambda found: found.node_states["A"]["status"] in ("SUB", "RUN"))
    held.get_job("A").stop()
    failed = worker.until(workflow, lambda found: found.node_states["A"]["status"] == "ERR")
    failed.get_job("B").stop()

    assert worker.ended(workflow).cached_status == "Error"


def test_a_node_is_stopped_though_another_that_is_not_there_is_asked_for_too(manager, user, local, worker, scripts):
    workflow = flow(manager, user, local, scripts, {"A": "sleep 600", "B": "sleep 600"})
    workflow.get_job("B").add_parent(workflow.get_job("A"))
    workflow.execute()
    running = worker.until(workflow, all_running("A"))

    for name in "AB":
        running.get_job(name).stop()
    ended = worker.ended(workflow)

    assert ended.node_states["A"]["status"] == "ERR"
    assert any("Node B is not at HTCondor now" in event.message for event in ended.events.all())


def with_sub_dags(manager, user, scheduler, scripts, text):
    """A workflow whose only node is a sub-DAG, whose only node is a sub-DAG of two nodes that run ``text``."""
    script = scripts / "inner.sh"
    script.write_text(f"#!/bin/sh\n{text}\n")
    script.chmod(0o755)
    texts = {
        "inner.sub": f"executable = {script}\narguments = $(which)\nlog = inner.log\nqueue\n",
        "deep.dag": 'JOB X inner.sub\nVARS X which="x"\nJOB Y inner.sub\nVARS Y which="y"\nPARENT X CHILD Y\n',
        "middle.dag": "SUBDAG EXTERNAL DEEP deep.dag\n",
    }
    for name, each in texts.items():
        (scripts / name).write_text(each)
    workflow = manager.create_job("flow", user, job_type="CONDORWORKFLOW", scheduler=scheduler)
    workflow.save()
    files = [str(scripts / name) for name in texts]
    CondorWorkflowSubdagNode(name="SD", workflow=workflow, dag_file="middle.dag", remote_input_files=files).save()
    return workflow


@pytest.mark.timeout(300)
def test_sub_dags_that_nobody_has_seen_yet_are_paused_too_and_run_again_after_that_was_stopped(
    manager, user, local, worker, scripts, condor_pool
):
    ran = scripts / "ran"
    workflow = with_sub_dags(
        manager, user, local, scripts, f"echo $1 >> {ran}; [ $1 = x ] || [ -e {scripts}/go ] || sleep 600"
    )
    workflow.execute()
    worker.until(workflow, lambda found: found.native_id)
    eventually(lambda: condor_pool.queue("-constraint", 'DAGNodeName == "Y" && JobStatus == 2'), timeout=90)
    Job.objects.get(pk=workflow.pk).pause()
    lifecycle.hold(workflow.pk)

    paused = worker.until(workflow, "Paused")
    assert {ad["JobStatus"] for ad in condor_pool.queue()} == {5}
    paused.stop()
    stopped = worker.ended(workflow)
    assert stopped.cached_status == "Aborted"
    (scripts / "go").touch()
    stopped.resubmit()

    assert worker.ended(workflow).cached_status == "Complete"
    assert ran.read_text().split() == ["x", "y", "x", "y"]  # a DAGMan that is held when it is removed notes nothing
