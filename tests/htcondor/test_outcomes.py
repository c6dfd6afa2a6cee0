"""How jobs end, and what is told of them: in HTCondor's words, never Complete of what failed."""

from pathlib import Path

import pytest

from jobsapi.backends.condor.description import MADE_AT_ONCE
from jobsapi.exceptions import InvalidJob
from jobsapi.models import CondorWorkflowJobNode, Job, JobEvent
from tests.htcondor.functions import refuse
from tests.rig.eventually import eventually


def statuses(job):
    """The statuses that the history tells of, each once, in their order."""
    return list(dict.fromkeys(JobEvent.objects.filter(job=job.pk).order_by("pk").values_list("status", flat=True)))


def test_a_failed_exit_code_is_an_error_that_names_it(place, worker, script, execute):
    job = execute(place, script("bad.sh", "echo broken >&2; echo half > output; exit 3"))

    ended = worker.ended(job)

    assert ended.cached_status == "Error"
    assert "xit code 3" in ended.status_message
    assert "COM" not in statuses(job)
    assert "broken\n" in ended.get_logs().values()
    assert list(ended.folder.rglob("output"))


def test_a_signal_is_an_error_that_names_it(local, worker, script, execute):
    ended = worker.ended(execute(local, script("killed.sh", "kill -9 $$")))

    assert ended.cached_status == "Error"
    assert "signal 9" in ended.status_message


def test_of_many_procs_each_is_counted(place, worker, script, execute):
    job = execute(
        place, script("part.sh", "sleep $1; exit $2"), attributes={"arguments": "$INT(Process) 0"}, num_jobs=4
    )

    various = worker.until(job, "Various")
    ended = worker.ended(job)

    assert various.progress_total == 4
    assert "of 4" in various.status_message
    assert (ended.cached_status, ended.progress_done) == ("Complete", 4)
    assert len([log for log in ended.list_logs() if log.name.endswith(".out")]) == 4


def test_ten_thousand_procs_are_accepted_counted_and_stopped(local, worker, script, execute, condor_pool):
    job = execute(local, script("part.sh", "sleep 600"), attributes={"requirements": "false"}, num_jobs=10_000)

    waiting = worker.until(job, lambda found: found.native_id)
    parts = condor_pool.queue()

    assert (waiting.cached_status, waiting.progress_total) == ("Submitted", 10_000)
    assert 0 < len(parts) <= MADE_AT_ONCE
    waiting.stop()
    assert worker.ended(waiting).cached_status == "Aborted"
    assert condor_pool.queue() == []


def test_procs_of_which_some_fail_end_various_complete_and_say_which(place, worker, script, execute):
    job = execute(place, script("part.sh", "exit $(($1 % 2))"), attributes={"arguments": "$(Process)"}, num_jobs=4)

    ended = worker.ended(job)

    assert ended.cached_status == "Various-Complete"
    assert "2 of 4 parts failed" in ended.status_message
    assert "part 1: exit code 1" in ended.status_message
    assert "COM" not in statuses(job)


def test_which_procs_are_held_and_why_is_known_by_their_numbers(place, worker, script, execute):
    program = script("part.sh", "case $1 in 1 | 3) ;; *) echo here > out.$1 ;; esac")
    brings = {"transfer_output_files": "out.$(Process)", "should_transfer_files": "YES"}
    job = execute(place, program, "$(Process)", attributes=brings, num_jobs=5)

    paused = worker.until(job, "Paused")

    state = paused.backend_state
    assert state["now"] == {"held": {"parts": 2, "numbers": "1,3"}}
    assert [(each["parts"], each["numbers"]) for each in state["holds"]] == [(2, "1,3")]
    assert "out.1" in state["holds"][0]["words"]
    assert "(12/" in state["holds"][0]["words"]
    paused.stop()
    assert worker.ended(paused).backend_state["now"] is None


def test_procs_that_all_fail_are_an_error(local, worker, script, execute):
    ended = worker.ended(execute(local, script("part.sh", "exit 7"), num_jobs=3))

    assert ended.cached_status == "Error"
    assert "All 3 parts failed: part 0: exit code 7" in ended.status_message


def test_parts_of_which_nobody_knows_the_end_count_as_lost_and_the_others_as_what_they_were(
    local, worker, script, execute, condor_pool, settings
):
    settings.JOBSAPI = {**settings.JOBSAPI, "LOST_GRACE": 1.0}
    text = f"echo $1 > out.$1; until test $1 = 0 || test -e {Path(script('x', '')).parent}/go; do sleep 0.1; done"
    job = execute(local, script("part.sh", text), attributes={"arguments": "$(Process)"}, num_jobs=3)
    running = worker.until(job, "Running")
    mine = f"ClusterId == {running.native_id}"
    eventually(lambda: condor_pool.history("-constraint", mine), timeout=60)
    condor_pool.forget_history()
    (Path(script("x", "")).parent / "go").touch()

    ended = worker.ended(job)

    assert (ended.cached_status, ended.progress_done) == ("Various-Complete", 3)
    assert ended.status_message == "1 of 3 parts failed: part 0: lost (in neither queue nor history)."


def test_the_exit_code_that_a_job_names_as_its_good_one_is_well(local, worker, script, execute):
    job = execute(local, script("three.sh", "exit 3"), attributes={"success_exit_code": 3, "max_retries": 1})

    assert worker.ended(job).cached_status == "Complete"


def test_what_asks_to_stay_in_the_queue_leaves_it_when_it_is_stopped_or_cleared_up(
    local, worker, script, execute, condor_pool
):
    stays = {"leave_in_queue": True}
    long, short = (execute(local, script(f"{time}.sh", f"sleep {time}"), attributes=stays) for time in (600, 0))
    worker.until(long, "Running")
    long.stop()

    assert worker.ended(long).cached_status == "Aborted"
    assert worker.ended(short).cached_status == "Complete"
    eventually(lambda: not condor_pool.queue(), timeout=30)


def test_one_that_the_scheduler_holds_is_paused_with_its_reason(local, worker, execute, script):
    job = execute(local, script("ok.sh", "exit 0"), attributes={"transfer_output_files": "never_written"})

    held = worker.until(job, "Paused")

    assert "never_written" in held.status_message
    assert "12" in held.status_message
    assert held.cached_status == "Paused"
    job.stop()
    assert worker.ended(job).cached_status == "Aborted"


def test_one_that_htcondor_refuses_is_an_error_in_its_words(place, worker, make):
    job = make(place, attributes={"executable": "/bin/true", "requirements": "this is ) no expression"})
    job.execute()

    ended = worker.ended(job)

    assert ended.cached_status == "Error"
    assert "xpression" in ended.status_message or "equirements" in ended.status_message
    assert ended.native_id == ""


def test_what_does_not_exist_is_refused_at_the_door(local, make):
    job = make(local, attributes={"executable": "run.sh"}, remote_input_files=["/nowhere/run.sh"])

    with pytest.raises(InvalidJob, match=r"/nowhere/run\.sh"):
        job.execute()

    assert Job.objects.count() == 0


def workflow_of(manager, user, scheduler, scripts, texts, parents=()):
    """A workflow with one node for each script."""
    workflow = manager.create_job("flow", user, job_type="CONDORWORKFLOW", scheduler=scheduler)
    workflow.save()
    nodes = {}
    for name, text in texts.items():
        path = scripts / f"{name}.sh"
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)
        nodes[name] = CondorWorkflowJobNode(
            name=name,
            workflow=workflow,
            condorpy_template_name="vanilla_transfer_files",
            remote_input_files=[str(path)],
            attributes={"executable": path.name},
        )
        nodes[name].save()
    for child, parent in parents:
        nodes[child].add_parent(nodes[parent])
    return workflow


def test_how_each_node_ran_is_told_though_one_has_many_parts(manager, user, local, worker, scripts):
    texts = {"A": "exit 0", "M": "exit $(($1 == 2 ? 7 : 0))"}
    workflow = workflow_of(manager, user, local, scripts, texts, [("M", "A")])
    many = workflow.get_job("M")
    many.num_jobs, many.attributes = 12, {**many.attributes, "arguments": "$(Process)"}
    many.save()
    workflow.execute()

    ended = worker.ended(workflow)

    assert ended.status_message == "1 of 2 nodes failed: M: part 2: exit code 7."
    states = ended.node_states
    assert (states["A"]["exit_code"], states["M"]["exit_code"]) == (0, 7)
    assert all(states[name]["where"] and "run_time" in states[name] for name in "AM")


def test_a_failed_node_makes_the_workflow_various_complete_and_resubmission_goes_on_from_there(
    manager, user, place, worker, scripts
):
    texts = {
        "A": "echo ran >> ../a_ran; exit 0",
        "B": "exit 4",
        "C": "exit 0",
    }
    workflow = workflow_of(manager, user, place, scripts, texts, [("B", "A"), ("C", "B")])
    workflow.execute()

    failed = worker.ended(workflow)

    assert failed.cached_status == "Various-Complete"
    assert "B" in failed.status_message
    assert "4" in failed.status_message
    states = failed.node_states
    assert (states["A"]["status"], states["B"]["status"]) == ("COM", "ERR")
    assert states["C"]["status"] != "COM"
    first_try = states["A"]["native_id"]

    (scripts / "B.sh").write_text("#!/bin/sh\nexit 0\n")
    workflow = Job.objects.get(pk=workflow.pk)
    workflow.resubmit()
    resumed = worker.ended(workflow)

    assert resumed.cached_status == "Complete"
    assert resumed.node_states["A"].get("native_id") in (None, "", first_try)
    assert resumed.node_states["C"]["status"] == "COM"


def test_from_the_start_when_asked(manager, user, local, worker, scripts):
    workflow = workflow_of(manager, user, local, scripts, {"A": "exit 0", "B": "exit 1"}, [("B", "A")])
    workflow.execute()
    first = worker.ended(workflow)
    before = first.node_states
    (scripts / "B.sh").write_text("#!/bin/sh\nexit 0\n")

    first.resubmit(from_start=True)
    again = worker.ended(first)

    assert again.cached_status == "Complete"
    assert int(again.node_states["A"]["native_id"]) > int(before["B"]["native_id"])


def test_all_run_again_when_only_what_was_made_of_their_results_has_failed(manager, user, local, worker, scripts):
    workflow = workflow_of(manager, user, local, scripts, {"A": "echo ran >> ran"}, [])
    workflow.process_results_function = refuse
    workflow.save()
    workflow.execute()
    first = worker.ended(workflow)
    before = first.node_states["A"]
    assert (first.cached_status, before["status"]) == ("Error", "COM")

    first.resubmit()
    again = worker.ended(first)

    assert "not good enough" in again.status_message
    assert int(again.node_states["A"]["native_id"]) > int(before["native_id"])


def test_a_workflow_of_which_nothing_ends_well_is_an_error(manager, user, local, worker, scripts):
    workflow = workflow_of(manager, user, local, scripts, {"A": "exit 1"})
    workflow.execute()

    ended = worker.ended(workflow)

    assert ended.cached_status == "Error"
    assert "A" in ended.status_message
