"""The documented examples, word for word, on the pool: locally and over SSH."""

import os
from pathlib import Path
from types import SimpleNamespace

from jobsapi import lifecycle
from jobsapi.models import CondorWorkflowJobNode, SchedulerAssignment
from tests.rig.eventually import eventually

EXAMPLE = """
# create a new job from the job manager
job = job_manager.create_job(
    name='myjob_{id}',  # required
    user=request.user,  # required
    job_type='CONDOR',  # required

    # any other properties can be passed in as kwargs
    attributes=dict(attribute1='attr1'),
    condorpy_template_name='vanilla_transfer_files',
    remote_input_files=(
        os.path.join(app_workspace, 'my_script.py'),
        os.path.join(app_workspace, 'input_1'),
        os.path.join(app_workspace, 'input_2')
    )
)

# properties can also be added after the job is created
job.extended_properties = {'one': 1, 'two': 2}

# each job type may provided methods to further specify the job
job.set_attribute('executable', 'my_script.py')

# save or execute the job
job.save()
# or
job.execute()
"""
"""As it stands in the reference. It names no scheduler."""


def test_the_example_of_the_reference_runs_as_it_stands(manager, user, place, worker, scripts, script):
    script("my_script.py", "echo done | tee output.txt")
    (scripts / "input_1").write_text("one\n")
    (scripts / "input_2").write_text("two\n")
    SchedulerAssignment.objects.create(package="tests", setting="pool", scheduler=place)
    names = {
        "job_manager": manager,
        "request": SimpleNamespace(user=user),
        "os": os,
        "app_workspace": str(scripts),
    }

    exec(EXAMPLE, names)
    ended = worker.ended(names["job"])

    assert (ended.cached_status, ended.status_message, ended.scheduler) == ("Complete", "", place)
    assert ended.extended_properties == {"one": 1, "two": 2}
    assert Path(ended.initial_dir, "output.txt").read_text() == "done\n"
    assert {path.name for path in ended.folder.iterdir()} >= {"my_script.py", "input_1", "input_2"}


def test_the_example_of_the_reference_hands_its_inputs_on(manager, user, place, worker, scripts, script):
    app_workspace = str(scripts)
    script("my_script.py", "cat input_1 input_2 > output.txt; echo done; echo careful >&2")
    (scripts / "input_1").write_text("one\n")
    (scripts / "input_2").write_text("two\n")
    job_manager = manager

    job = job_manager.create_job(
        name="myjob_{id}",  # required
        user=user,  # required
        job_type="CONDOR",  # required
        # any other properties can be passed in as kwargs
        attributes={"attribute1": "attr1", "transfer_input_files": ("../input_1", "../input_2")},
        condorpy_template_name="vanilla_transfer_files",
        remote_input_files=(
            os.path.join(app_workspace, "my_script.py"),
            os.path.join(app_workspace, "input_1"),
            os.path.join(app_workspace, "input_2"),
        ),
        scheduler=place,
    )
    job.extended_properties = {"one": 1, "two": 2}
    job.set_attribute("executable", "my_script.py")
    job.save()
    job.execute()

    ended = worker.ended(job)

    assert (ended.cached_status, ended.status_message) == ("Complete", "")
    assert ended.name == f"myjob_{job.pk}"
    folder = Path(ended.initial_dir)
    assert (folder / "output.txt").read_text() == "one\ntwo\n"
    logs = ended.get_logs()
    assert "done\n" in logs.values()
    assert "careful\n" in logs.values()
    assert any("Job terminated" in log for log in logs.values())
    assert ended.backend_state["exit_code"] == 0
    assert ended.cluster_id > 0
    assert folder.parent.parent == Path(ended.workspace)


def test_a_workflow_of_three_nodes_hands_its_files_on(manager, user, place, worker, scripts, script):
    for name, text in {
        "a.sh": "cat a_input > a_output; echo A >> a_output",
        "b.sh": "cat a_output > b_output; echo B >> b_output",
        "c.sh": "cat b_output > c_output; echo C >> c_output",
    }.items():
        script(name, text)
    (scripts / "a_input").write_text("in\n")
    workflow = manager.create_job("flow {id}", user, job_type="CONDORWORKFLOW", scheduler=place)
    workflow.save()

    def node(letter, files, inputs):
        made = CondorWorkflowJobNode(
            name=letter.upper(),
            workflow=workflow,
            condorpy_template_name="vanilla_transfer_files",
            remote_input_files=[str(scripts / f"{letter}.sh"), *(str(scripts / file) for file in files)],
            attributes={
                "executable": f"{letter}.sh",
                "transfer_input_files": inputs,
                "transfer_output_files": [f"{letter}_output"],
            },
        )
        made.save()
        return made

    a = node("a", ["a_input"], ["../a_input"])
    b = node("b", [], ["../A/a_output"])
    c = node("c", [], ["../B/b_output"])
    b.add_parent(a)
    c.add_parent(b)
    workflow.execute()

    ended = worker.ended(workflow)

    assert (ended.cached_status, ended.status_message) == ("Complete", "")
    assert (ended.progress_done, ended.progress_total) == (3, 3)
    assert (ended.folder / "C" / "c_output").read_text() == "in\nA\nB\nC\n"
    assert {name: state["status"] for name, state in ended.node_states.items()} == {"A": "COM", "B": "COM", "C": "COM"}
    assert ended.get_job("B").cluster_id > ended.cluster_id
    names = [log.name for log in ended.list_logs()]
    assert any(name.endswith(".dagman.out") for name in names)
    assert any(name.startswith("B/logs/") and name.endswith(".err") for name in names)


def test_what_a_processing_function_makes_of_the_files_is_the_result(place, worker, script, execute):
    job = execute(
        place, script("flood.sh", "echo 42 > level"), process_results_function="tests.htcondor.functions.level"
    )

    assert worker.ended(job).result == 42


def test_over_ssh_nothing_is_left_at_the_submit_host(remote, condor_pool, worker, script, execute):
    job = execute(remote, script("flood.sh", "echo 42 > level"))
    home = Path(f"~{condor_pool.user}").expanduser()

    assert worker.ended(job).cached_status == "Complete"

    assert (Path(job.folder) / "flood" / "level").exists() or list(job.folder.rglob("level"))
    assert not list(home.glob(f"**/{job.remote_id}"))


def test_two_jobs_of_one_name_in_one_workspace_share_nothing(local, worker, script, execute):
    first = execute(local, script("a.sh", "echo first > output"), name="same")
    second = execute(local, script("a.sh", "echo second > output"), name="same")
    # Both were given a.sh; the first one had not been staged when it was written anew.
    ended = [worker.ended(job) for job in (first, second)]

    assert [job.cached_status for job in ended] == ["Complete", "Complete"]
    assert ended[0].folder != ended[1].folder
    assert all((Path(job.initial_dir) / "output").exists() for job in ended)


def test_a_job_without_a_template_runs_and_has_its_logs(place, worker, script, execute):
    job = execute(place, script("ok.sh", "echo done"), condorpy_template_name="")

    ended = worker.ended(job)

    assert ended.cached_status == "Complete"
    assert "done\n" in ended.get_logs().values()


def test_logs_are_read_while_it_runs_and_go_on_where_the_reader_was(place, worker, script, execute):
    job = execute(place, script("talk.sh", "echo begun; sleep 3; echo more; sleep 300"))
    running = worker.until(job, "Running")

    def said(text):
        def look():
            lifecycle.fetch_logs(running.pk)
            names = [log.name for log in running.list_logs() if log.name.endswith(".out")]
            return names and (piece := running.read_log(names[0])).text.endswith(text) and (names[0], piece)

        return eventually(look, timeout=60)

    name, begun = said("begun\n")
    _, more = said("more\n")

    assert running.read_log(name, begun.end).text == "more\n"
    assert more.size > begun.size
    assert any(log.name.endswith(".log") for log in running.list_logs())
    running.stop()
    ended = worker.ended(job)
    assert ended.read_log(name).text == "begun\nmore\n"
