"""Jobs and workflows of HTCondor as apps see them: attributes, graph, folder and wishes. No HTCondor is needed."""

import itertools
import os
from pathlib import Path

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from jobsapi import lifecycle
from jobsapi.compute import create_condor_scheduler
from jobsapi.exceptions import InvalidJob, JobsApiError, NotSupported, SchedulerMissing, TransitionNotAllowed
from jobsapi.htcondor.host_keys import fingerprint
from jobsapi.models import (
    CondorJob,
    CondorScheduler,
    CondorWorkflow,
    CondorWorkflowFinalNode,
    CondorWorkflowJobNode,
    CondorWorkflowNode,
    CondorWorkflowSubdagNode,
    Job,
    PartWish,
    SchedulerAssignment,
)
from jobsapi.testing import FakeBackend


@pytest.fixture
def workspaces(settings, tmp_path):
    settings.JOBSAPI = {**settings.JOBSAPI, "WORKSPACE_ROOT": tmp_path}
    return tmp_path


@pytest.fixture
def pool(db):
    scheduler = create_condor_scheduler("pool", "")
    scheduler.save()
    return scheduler


@pytest.fixture
def remote_host(db):
    scheduler = create_condor_scheduler("remote", "submit.example.org", "ada")
    scheduler.save()
    return scheduler


def assigned(scheduler):
    SchedulerAssignment.objects.create(package="tests", setting="pool", scheduler=scheduler)


@pytest.fixture
def make(manager, user, pool, silent, workspaces):
    """Create a job of HTCondor, not saved."""

    def create(name="flood", job_type="CONDOR", **kwargs):
        return manager.create_job(name, user, job_type=job_type, **{"scheduler": pool, **kwargs})

    return create


@pytest.fixture
def running(make):
    """A job of four procs that HTCondor has."""
    job = make(attributes={"executable": "/bin/true"}, num_jobs=4)
    job.execute()
    lifecycle.submit(job.pk)
    return Job.objects.get(pk=job.pk)


@pytest.fixture
def workflow(make):
    saved = make("flow", "CONDORWORKFLOW")
    saved.save()
    return saved


def node(workflow, name, cls=CondorWorkflowJobNode, **kwargs):
    made = cls(name=name, workflow=workflow, **kwargs)
    made.save()
    return made


@pytest.fixture
def described(settings, silent):
    """What is said of jobs and nodes is made up by HTCondor's own backend; nothing is submitted."""
    settings.JOBSAPI = {**settings.JOBSAPI, "BACKENDS": {"condor": "jobsapi.backends.condor.CondorBackend"}}


class TestJob:
    @pytest.mark.parametrize("job_type", ["CONDOR", "CONDORJOB", "CondorJob", CondorJob])
    def test_it_is_made_under_each_of_its_names(self, make, job_type):
        assert type(make(job_type=job_type)) is CondorJob

    def test_its_attributes_come_back_from_the_database(self, make):
        job = make(
            attributes={"executable": "run.sh", "priority": 0},
            num_jobs=3,
            remote_input_files=(Path("/data/run.sh"), "/data/input"),
            condorpy_template_name="vanilla_transfer_files",
        )
        job.set_attribute("arguments", ["a b", "c"])
        job.save()

        found = CondorJob.objects.get(pk=job.pk)

        assert found.attributes == {"executable": "run.sh", "priority": 0, "arguments": ["a b", "c"]}
        assert found.remote_input_files == ["/data/run.sh", "/data/input"]
        assert (found.num_jobs, found.condorpy_template_name) == (3, "vanilla_transfer_files")
        assert (found.cluster_id, found.remote_id) == (0, job.uid.hex)

    def test_what_the_caller_does_to_its_dict_afterwards_changes_nothing(self, make):
        attributes = {"executable": "run.sh"}
        job = make(attributes=attributes)

        job.set_attribute("arguments", "1")
        attributes["universe"] = "docker"

        assert attributes == {"executable": "run.sh", "universe": "docker"}
        assert job.attributes == {"executable": "run.sh", "arguments": "1"}

    def test_executing_it_saves_it_first_and_its_number_is_in_its_name(self, make):
        job = make("flood {id}")

        job.execute(queue=5, options=["-batch-name", "floods"])

        found = CondorJob.objects.get()
        assert (found.name, found.num_jobs) == (f"flood {job.pk}", 5)
        assert found.submit_options == ["-batch-name", "floods"]
        assert found.folder.parent == Path(found.workspace)
        assert found.folder.name.endswith(f"-{job.pk}")

    def test_two_jobs_of_one_name_have_two_folders(self, make):
        first, second = make("same"), make("same")
        first.save(), second.save()

        assert first.workspace == second.workspace
        assert first.folder != second.folder

    def test_one_that_cannot_be_executed_is_not_saved_either(self, make, fake, monkeypatch):
        def refuse(*args):
            raise InvalidJob("No executable.")

        monkeypatch.setattr(FakeBackend, "prepare", refuse)
        job = make()

        with pytest.raises(InvalidJob, match="No executable"):
            job.execute()

        assert job.pk is None
        assert Job.objects.count() == 0

    def test_it_needs_a_scheduler_of_htcondors(self, make, scheduler):
        with pytest.raises(SchedulerMissing, match="A CondorJob needs a CondorScheduler"):
            make(scheduler=scheduler)

    def test_without_a_scheduler_it_goes_to_this_machines_own(self, make, pool, remote_host):
        assigned(remote_host)
        job = make(scheduler=None, attributes={"executable": "/bin/true"})
        job.save()
        assert job.scheduler is None

        job.execute()

        assert (CondorJob.objects.get().scheduler, job.scheduler.is_local) == (pool, True)

    def test_without_one_on_this_machine_it_goes_to_the_one_that_its_app_is_assigned(self, make, pool, remote_host):
        pool.delete()
        assigned(remote_host)
        SchedulerAssignment.objects.create(package="elsewhere", setting="pool", scheduler=remote_host)
        job = make(scheduler=None, attributes={"executable": "/bin/true"})

        job.execute()

        assert CondorJob.objects.get().scheduler == remote_host

    @pytest.mark.parametrize("there", ["none", "two", "one of another app", "one that was given up"])
    def test_where_it_is_not_clear_which_it_says_how_to_get_one(self, make, pool, remote_host, there):
        if there == "two":
            create_condor_scheduler("second", "localhost").save()
        elif there == "one that was given up":
            CondorScheduler.objects.filter(pk=pool.pk).update(given_up_at=timezone.now())
        else:
            pool.delete()
        if there == "one of another app":
            SchedulerAssignment.objects.create(package="elsewhere", setting="pool", scheduler=remote_host)
        job = make(scheduler=None, attributes={"executable": "/bin/true"})

        with pytest.raises(SchedulerMissing, match=r"app\.get_scheduler"):
            job.execute()

        assert (job.pk, Job.objects.count()) == (None, 0)

    def test_paths_are_taken_as_text(self, make):
        job = make(attributes={"executable": Path("/bin/cat"), "transfer_input_files": (Path("../a"), "../b")})
        job.set_attribute("input", Path("a"))
        job.save()

        assert CondorJob.objects.get().attributes == {
            "executable": "/bin/cat",
            "transfer_input_files": ["../a", "../b"],
            "input": "a",
        }

    def test_a_number_of_procs_may_come_from_a_form(self, make):
        job = make(attributes={"executable": "/bin/true"}, num_jobs="3")
        assert job.num_jobs == 3

        job.execute(queue="4")

        assert CondorJob.objects.get().num_jobs == 4
        with pytest.raises(InvalidJob, match="num_jobs is 'many'"):
            make(num_jobs="many")

    def test_what_a_processing_function_returns_is_its_result(self, make):
        with_function, without = make(process_results_function="tests.lifecycle.functions.slow"), make()

        assert (with_function.keeps_no_result, without.keeps_no_result) == (False, True)


class TestWorkflow:
    def test_its_graph_is_read_in_two_queries_however_large_it_is(self, workflow):
        nodes = [node(workflow, f"n{number}") for number in range(6)]
        for parent, child in itertools.pairwise(nodes):
            child.add_parent(parent)
        nodes[5].add_parent(nodes[0])
        found = CondorWorkflow.objects.get()

        with CaptureQueriesContext(connection) as queries:
            graph = found.graph()

        assert len(queries) == 2
        assert {each.name: each.parent_names for each in graph} == {
            "n0": [],
            "n1": ["n0"],
            "n2": ["n1"],
            "n3": ["n2"],
            "n4": ["n3"],
            "n5": ["n0", "n4"],
        }

    def test_a_node_knows_its_type_its_options_and_its_parents(self, workflow):
        first = node(workflow, "A", attributes={"executable": "a.sh"}, retry=2, retry_unless_exit_value=7)
        inner = node(
            workflow, "inner", CondorWorkflowSubdagNode, dag_file="inner.dag", remote_input_files="/data/inner.dag"
        )
        inner.add_parent(first)

        found = workflow.get_job("inner")

        assert (type(found), found.type, found.dag_file) == (CondorWorkflowSubdagNode, "SUBDAG", "inner.dag")
        assert list(found.parents) == [first]
        assert workflow.get_job("A").retry == 2
        assert workflow.get_job("B") is None
        assert [each.name for each in workflow.nodes] == ["A", "inner"]

    @pytest.mark.parametrize("which", ["itself", "its child", "its grandchild", "another workflow's", "an unsaved one"])
    def test_a_parent_that_would_never_let_it_start_is_refused(self, workflow, make, which):
        first, second, third = (node(workflow, name) for name in "ABC")
        second.add_parent(first)
        third.add_parent(second)
        other = make("other", "CONDORWORKFLOW")
        other.save()
        parent = {
            "itself": first,
            "its child": second,
            "its grandchild": third,
            "another workflow's": node(other, "X"),
            "an unsaved one": CondorWorkflowJobNode(name="Y", workflow=workflow),
        }[which]

        with pytest.raises(InvalidJob, match=r"waits for A already|of another workflow|Save both"):
            first.add_parent(parent)

        assert list(first.parents) == []

    def test_two_nodes_of_one_name_are_refused_in_words(self, workflow):
        node(workflow, "A")
        second = node(workflow, "B")

        with pytest.raises(InvalidJob, match="has a node “A” already"):
            node(workflow, "A")
        second.name = "A"
        with pytest.raises(InvalidJob, match="has a node “A” already"):
            second.save()

    def test_a_blank_in_a_nodes_name_becomes_what_condorpy_makes_of_it(self, workflow, described):
        made = node(workflow, "Prep my Data", attributes={"executable": "/bin/true"})

        assert (made.name, workflow.get_job("Prep my Data")) == ("Prep_my_Data", made)
        assert str(made.condorpy_node) == "JOB Prep_my_Data Prep_my_Data.job\n"
        with pytest.raises(InvalidJob, match="has a node “Prep_my_Data” already"):
            node(workflow, "Prep_my Data")

    def test_a_parent_in_another_workflow_that_nobody_has_checked_is_refused(self, workflow, make, described):
        other = make("other", "CONDORWORKFLOW")
        other.save()
        child = node(workflow, "A", attributes={"executable": "/bin/true"})
        child.parent_nodes.add(stranger := node(other, "X"))
        assert workflow.graph()[0].parent_names == [f"node {stranger.pk} of another workflow"]

        with pytest.raises(InvalidJob, match=f"A waits for node {stranger.pk} of another workflow, which"):
            workflow.execute()

        assert CondorWorkflow.objects.get(pk=workflow.pk).cached_status == "Pending"

    @pytest.mark.parametrize("parent", [None, "A", 7])
    def test_what_is_no_node_is_nobodys_parent(self, workflow, parent):
        with pytest.raises(InvalidJob, match="is no node, so A cannot wait for it"):
            node(workflow, "A").add_parent(parent)

    def test_a_node_of_what_is_no_workflow_is_refused(self, make):
        job = make("depth")
        job.save()

        with pytest.raises(InvalidJob, match=r"A is to be a node of depth \(job \d+\), which is no CondorWorkflow"):
            node(job, "A")

        assert CondorWorkflowNode.objects.count() == 0

    @pytest.mark.parametrize("option", ["noop", "done"])
    @pytest.mark.parametrize("value", ["no", "False", "", [], 2, object()])
    def test_what_is_neither_true_nor_false_does_not_keep_a_node_from_running(self, workflow, option, value):
        with pytest.raises(InvalidJob, match=f"A: {option} is .*Give it True or False"):
            node(workflow, "A", **{option: value})

        assert CondorWorkflowNode.objects.count() == 0

    def test_paths_of_a_node_are_taken_as_text(self, workflow):
        node(workflow, "A", pre_script=Path("/bin/true"), post_script=Path("/bin/true"), dir=Path("sub"))
        node(workflow, "B", CondorWorkflowSubdagNode, dag_file=Path("inner.dag"))
        workflow.config = Path("/etc/dagman.config")
        workflow.save()

        found = workflow.get_job("A")

        assert (found.pre_script, found.post_script, found.dir) == ("/bin/true", "/bin/true", "sub")
        assert workflow.get_job("B").dag_file == "inner.dag"
        assert CondorWorkflow.objects.get().config == "/etc/dagman.config"

    def test_its_nodes_are_asked_for_as_ported_apps_do(self, workflow, described):
        first = node(workflow, "A")
        second, last = node(workflow, "B"), node(workflow, "last", CondorWorkflowFinalNode)
        second.add_parent(first)

        assert list(workflow.node_set.select_subclasses()) == [first, second, last]
        assert list(workflow.nodes.select_subclasses(CondorWorkflowFinalNode)) == [last]
        assert type(CondorWorkflowNode.objects.get_subclass(name="last")) is CondorWorkflowFinalNode
        assert (list(first.children_nodes), first.children_nodes.count()) == ([second], 1)
        assert workflow.num_jobs == workflow.condorpy_workflow.num_jobs == 3

    def test_each_kind_of_node_sees_only_its_own(self, workflow):
        job, last = node(workflow, "A"), node(workflow, "last", CondorWorkflowFinalNode)
        inner = node(workflow, "inner", CondorWorkflowSubdagNode, dag_file="inner.dag")

        assert list(CondorWorkflowFinalNode.objects.all()) == [last]
        assert list(CondorWorkflowSubdagNode.objects.all()) == [inner]
        assert set(CondorWorkflowJobNode.objects.all()) == {job, last}  # a FINAL node is a job, too
        assert CondorWorkflowNode.objects.count() == 3

    def test_the_outputs_of_a_node_lie_below_the_folder_that_it_is_submitted_in(self, workflow, described):
        template = {"condorpy_template_name": "vanilla_transfer_files"}
        plain, below = node(workflow, "A", **template), node(workflow, "B", dir="sub", **template)

        assert plain.initial_dir == str(workflow.folder / "A")
        assert below.initial_dir == str(workflow.folder / "sub" / "B")

    def test_nodes_of_an_unsaved_workflow_are_refused_in_words(self, make):
        with pytest.raises((InvalidJob, ValueError), match=r"unsaved|Save the workflow"):
            node(make("flow", "CONDORWORKFLOW"), "A")

    def test_while_it_is_under_way_nobody_changes_its_nodes(self, workflow):
        first, second = node(workflow, "A"), node(workflow, "B")
        workflow.execute()

        with pytest.raises(InvalidJob, match="under way"):
            first.save()
        with pytest.raises(InvalidJob, match="under way"):
            second.add_parent(first)

    def test_throttles_are_kept(self, workflow):
        workflow.add_max_jobs_throttle("heavy", 2)
        workflow.save()

        assert CondorWorkflow.objects.get().max_jobs == {"heavy": 2}

    def test_a_nodes_state_is_what_the_last_refresh_saw(self, workflow):
        node(workflow, "A")
        nodes = {"A": {"status": "ERR", "message": "Exit code 3.", "native_id": "17", "retries": 1}}
        Job._base_manager.filter(pk=workflow.pk).update(backend_state={"nodes": nodes})

        found = CondorWorkflow.objects.get().get_job("A")

        assert (found.cached_status, found.status_message, found.cluster_id) == ("Error", "Exit code 3.", 17)
        assert found.state["retries"] == 1

    def test_it_is_run_again_from_where_it_failed_or_from_the_start_when_asked(self, workflow):
        workflow.execute()
        workflow.update_status("Error")
        workflow.resubmit(from_start=True)
        assert CondorWorkflow.objects.get().from_start
        workflow.update_status("Error")

        workflow.resubmit()

        assert not CondorWorkflow.objects.get().from_start

    def test_running_it_again_keeps_what_somebody_else_has_changed_of_it(self, workflow):
        workflow.execute()
        workflow.update_status("Error")
        other = CondorWorkflow.objects.get()
        other.add_max_jobs_throttle("heavy", 2)
        other.save()

        workflow.resubmit()

        found = CondorWorkflow.objects.get()
        assert (found.max_jobs, found.resubmitted, found.from_start) == ({"heavy": 2}, True, False)

    def test_its_nodes_go_with_it(self, workflow):
        node(workflow, "B").add_parent(node(workflow, "A"))

        workflow.delete()
        lifecycle.remove(workflow.pk)

        assert (Job._base_manager.count(), CondorWorkflowNode.objects.count()) == (0, 0)

    def test_a_final_node_is_one_of_the_same_table(self, workflow):
        assert node(workflow, "last", CondorWorkflowFinalNode).keyword == "FINAL"

    def test_nothing_waits_for_a_final_node(self, workflow):
        last = node(workflow, "last", CondorWorkflowFinalNode)
        with pytest.raises(InvalidJob, match="A cannot wait for last: a FINAL node runs last"):
            node(workflow, "A").add_parent(last)


class TestParts:
    def test_what_is_wanted_of_a_proc_is_passed_on_once(self, running):
        running.pause(proc=2)
        running.pause(proc=2)
        running.stop(proc=0)

        lifecycle.control_parts(running.pk)

        assert FakeBackend.world.controlled == [("hold", "2"), ("cancel", "0")]
        assert PartWish.objects.count() == 0
        assert [event.message for event in running.events.filter(by__in=["hold", "cancel"])] == [
            "Asked to pause part 2.",
            "Asked to stop part 0.",
        ]
        assert Job.objects.get().cached_status == "Submitted"

    def test_one_that_there_is_not_is_refused(self, running):
        with pytest.raises(InvalidJob, match="There is no proc 4: the job has 4, counted from 0"):
            running.resume(proc=4)

    def test_what_htcondor_does_not_have_cannot_be_asked_of(self, make):
        job = make(num_jobs=2)
        job.save()

        with pytest.raises(TransitionNotAllowed, match="HTCondor does not have job"):
            job.pause(proc=1)

    def test_a_lost_message_is_made_good(self, running, settings, django_capture_on_commit_callbacks):
        running.resume(proc=1)
        settings.JOBSAPI = {**settings.JOBSAPI, "DISPATCHER": "jobsapi.dispatch.ImmediateDispatcher"}

        with django_capture_on_commit_callbacks(execute=True):
            lifecycle.rescue()

        assert FakeBackend.world.controlled == [("release", "1")]

    def test_a_backend_without_parts_says_so_in_the_history(self, running, monkeypatch):
        def refuse(*args):
            raise InvalidJob("Part 1 has ended.")

        monkeypatch.setattr(FakeBackend, "control_parts", refuse)
        running.stop(proc=1)

        lifecycle.control_parts(running.pk)

        assert PartWish.objects.count() == 0
        assert running.events.last().message == "Part 1 has ended."

    def test_a_node_is_asked_for_by_its_name(self, workflow):
        first = node(workflow, "A")
        workflow.execute()
        lifecycle.submit(workflow.pk)

        first.pause()
        lifecycle.control_parts(workflow.pk)

        assert FakeBackend.world.controlled == [("hold", "A")]

    def test_what_was_wanted_of_an_earlier_attempt_is_forgotten(self, running):
        running.stop(proc=1)
        running.update_status("Error")

        running.resubmit()

        assert PartWish.objects.count() == 0

    def test_dask_has_none(self):
        with pytest.raises(NotSupported, match="knows no parts"):
            super(FakeBackend, FakeBackend(None)).control_parts(None, "hold", ["1"])


class TestFolder:
    @pytest.fixture
    def job(self, make):
        job = make()
        job.execute()
        return job

    def put(self, job, mark=None):
        job.folder.mkdir(parents=True)
        (job.folder / "output").write_text("computed")
        if mark is not None:
            (job.folder / ".jobsapi").write_text(mark)

    def test_it_says_which_attempt_lies_in_it(self, job):
        assert job.attempt_in_folder() is None

        self.put(job, job.folder_mark)

        assert job.attempt_in_folder() == job.submission_id.hex

    @pytest.mark.parametrize("mark", [None, "", "somebody else\n", "0" * 32 + " " + "1" * 32])
    def test_one_that_is_not_of_the_jobs_making_is_never_taken_nor_removed(self, job, mark):
        self.put(job, mark)

        with pytest.raises(InvalidJob, match="was there before this job"):
            job.attempt_in_folder()
        job.remove_files()

        assert (job.folder / "output").read_text() == "computed"

    def test_it_is_made_with_its_mark_and_nothing_that_is_there_is_taken(self, job):
        job.claim_folder()
        (job.folder / "output").write_text("computed")
        job.claim_folder()

        assert job.attempt_in_folder() == job.submission_id.hex
        assert (job.folder / "output").read_text() == "computed"
        assert [path.name for path in job.folder.parent.iterdir()] == [job.folder.name]

    @pytest.mark.parametrize(("column", "value"), [("name", "another"), ("workspace", "elsewhere")])
    def test_what_it_is_found_by_stays_once_the_job_was_executed(self, job, column, value):
        setattr(job, column, value)

        with pytest.raises(InvalidJob, match=f"The {column} of a job of HTCondor stays"):
            job.save()

    def test_one_that_was_saved_may_be_renamed_until_it_is_executed(self, make):
        job = make("one")
        job.save()
        job.name = "two"

        job.execute()

        assert CondorJob.objects.get(pk=job.pk).folder.name == f"two-{job.pk}"

    def test_a_deleted_jobs_own_folder_goes_and_nothing_else_of_the_workspace(self, job):
        self.put(job, job.folder_mark)
        beside = Path(job.workspace, "mine.txt")
        beside.write_text("the user's own")
        lifecycle.submit(job.pk)

        job.delete()
        lifecycle.remove(job.pk)

        assert not job.folder.exists()
        assert beside.read_text() == "the user's own"
        assert Job._base_manager.count() == 0

    def test_a_link_in_its_place_leads_nowhere(self, job, tmp_path):
        elsewhere = tmp_path / "elsewhere"
        elsewhere.mkdir()
        (elsewhere / ".jobsapi").write_text(job.folder_mark)
        Path(job.workspace).mkdir(parents=True)
        os.symlink(elsewhere, job.folder)

        with pytest.raises(InvalidJob, match="was there before"):
            job.attempt_in_folder()
        job.remove_files()

        assert (elsewhere / ".jobsapi").exists()


class TestLogs:
    @pytest.fixture
    def job(self, running):
        state = {"logs": ["flood/logs/*.out", "flood/logs/*.log"]}
        Job._base_manager.filter(pk=running.pk).update(backend_state=state)
        logs = running.folder / "flood" / "logs"
        logs.mkdir(parents=True)
        (logs / "flood.7.0.out").write_bytes(b"a" * 100_000 + b"the end")
        (logs / "flood.7.log").write_text("000 (7.0) submitted")
        (running.folder / "flood" / "data.bin").write_text("no log")
        os.symlink("/etc/passwd", logs / "flood.8.0.out")
        return Job.objects.get(pk=running.pk)

    def test_they_are_listed_by_name_with_their_size(self, job):
        assert job.list_logs() == [("flood/logs/flood.7.0.out", 100_007), ("flood/logs/flood.7.log", 19)]

    def test_the_end_is_read_first_and_then_what_is_new(self, job):
        name = "flood/logs/flood.7.0.out"
        end = job.read_log(name, limit=10)
        with (job.folder / name).open("a") as log:
            log.write(" and more")

        new = job.read_log(name, end.end)

        assert (end.text, end.offset, end.end, end.size) == ("aaathe end", 99_997, 100_007, 100_007)
        assert (new.text, new.offset, new.size) == (" and more", 100_007, 100_016)

    @pytest.mark.parametrize("name", ["", "../../secret", "flood/data.bin", "flood/logs/flood.8.0.out", "/etc/passwd"])
    def test_nothing_else_is_read(self, job, name):
        with pytest.raises(KeyError):
            job.read_log(name)

    def test_the_ends_of_all_of_them_come_with_the_history(self, job):
        logs = job.get_logs()

        assert list(logs) == ["history", "flood/logs/flood.7.0.out", "flood/logs/flood.7.log"]
        assert logs["flood/logs/flood.7.0.out"].endswith("the end")
        assert "Accepted by pool" in logs["history"]

    def test_of_one_that_runs_elsewhere_a_worker_fetches_the_ends(self, job):
        Job._base_manager.filter(pk=job.pk).update(backend_state={"remote": True, "logs": ["*"]})
        job = Job.objects.get(pk=job.pk)
        lifecycle.fetch_logs(job.pk)

        piece = job.read_log("scheduler", 4)

        assert [log.name for log in job.list_logs()] == ["scheduler"]
        assert (piece.text, piece.offset) == (f"{job.pk} was here", 4)


class TestScheduler:
    KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ0fWVRPjuy6Uh+PZYQ4nRgLPv5ZzdBvPcFxIXHiGRFM"

    @pytest.mark.parametrize(
        ("host", "username", "local"),
        [("", "", True), ("", "ada", True), ("localhost", "", True), ("localhost", "ada", False), ("host", "", False)],
    )
    def test_without_a_host_or_a_user_on_localhost_it_is_this_machines_own(self, host, username, local):
        assert CondorScheduler(name="pool", host=host, username=username).is_local is local

    def test_a_key_that_the_host_showed_is_accepted_by_an_administrator_alone(self, pool):
        CondorScheduler.objects.update(offered_host_key=self.KEY, retry_at="2100-01-01T00:00Z")

        pool.accept_host_key(fingerprint(self.KEY))

        found = CondorScheduler.objects.get()
        assert (found.host_key, found.offered_host_key, found.retry_at) == (self.KEY, "", None)
        assert found.host_fingerprint.startswith("SHA256:")

    def test_there_is_nothing_to_accept_as_long_as_none_was_shown(self, pool):
        with pytest.raises(JobsApiError, match="has shown no key"):
            pool.accept_host_key("")

    def test_another_key_than_was_compared_is_not_accepted(self, pool):
        CondorScheduler.objects.update(offered_host_key=self.KEY)

        with pytest.raises(JobsApiError, match="does not show SHA256:else, but another key"):
            pool.accept_host_key("SHA256:else")

        assert CondorScheduler.objects.get().host_key == ""
