"""Jobs as apps create, list and store them."""

import copy
import json
import pickle
from pathlib import Path

import pytest
from django.contrib.auth.models import AnonymousUser, Group
from django.db import IntegrityError, connection, transaction
from django.db.models import ProtectedError
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from jobsapi.app import JobsApp
from jobsapi.compute import create_condor_scheduler, create_dask_scheduler
from jobsapi.exceptions import InvalidJob, SchedulerMissing, UnknownJobType, WorkspaceNotAllowed
from jobsapi.models import BasicJob, DaskJob, Job, JobBlob, JobEvent, TethysJob
from jobsapi.status import Status
from tests.flood.job_types import FloodJob

pytestmark = pytest.mark.django_db


def rows():
    """How many rows there are of all that a job may write."""
    return (
        Job._base_manager.count(),
        JobEvent.objects.count(),
        JobBlob.objects.count(),
        Job.groups.through.objects.count(),
    )


@pytest.fixture
def bob(django_user_model):
    return django_user_model.objects.create_user("bob")


@pytest.fixture
def other_app():
    class OtherApp(JobsApp):
        package = "elsewhere"

    return OtherApp.get_job_manager()


@pytest.fixture
def mix(manager, user, scheduler):
    """One saved job of each type."""
    jobs = [
        manager.create_job("basic", user, job_type="BASIC"),
        manager.create_job("dask", user, job_type="DASK", scheduler=scheduler),
        manager.create_job("flood", user, job_type="FLOOD", scheduler=scheduler),
    ]
    for job in jobs:
        job.save()
    return jobs


class TestListing:
    def test_a_mix_of_types_comes_in_one_query_without_a_join_each_of_its_class(self, manager, user, mix):
        with CaptureQueriesContext(connection) as queries:
            found = list(manager.list_jobs(user=user))

        assert found == mix
        assert [type(job) for job in found] == [BasicJob, DaskJob, FloodJob]
        assert len(queries) == 1
        assert "JOIN" not in queries[0]["sql"]

    def test_a_list_is_lazy_and_can_be_filtered_further(self, manager, mix, django_assert_num_queries):
        with django_assert_num_queries(0):
            jobs = manager.list_jobs().filter(name="dask")
        with django_assert_num_queries(1):
            assert [job.name for job in jobs] == ["dask"]

    def test_only_the_apps_jobs_are_listed(self, manager, other_app, user, mix):
        other_app.create_job("other", user, job_type="BASIC").save()

        assert list(manager.list_jobs()) == mix
        assert [job.name for job in other_app.list_jobs()] == ["other"]

    def test_only_the_users_jobs_are_listed_when_asked_for(self, manager, user, bob, mix):
        manager.create_job("bob's", bob, job_type="BASIC").save()

        assert list(manager.list_jobs(user=user)) == mix
        assert [job.name for job in manager.list_jobs(user=bob)] == ["bob's"]
        assert manager.list_jobs().count() == 4

    def test_one_group_or_several_and_no_job_twice(self, manager, user, mix):
        red, blue, empty = (Group.objects.create(name=name) for name in ("red", "blue", "empty"))
        one = manager.create_job("one", user, [red], "BASIC")
        both = manager.create_job("both", user, [red, blue], "BASIC")

        with CaptureQueriesContext(connection) as queries:
            assert list(manager.list_jobs(groups=red)) == [one, both]
        assert len(queries) == 1
        assert "JOIN" not in queries[0]["sql"]
        assert list(manager.list_jobs(groups=[red, blue])) == [one, both]
        assert list(manager.list_jobs(groups=Group.objects.filter(name="blue"))) == [both]
        assert list(manager.list_jobs(groups=(empty,))) == []
        assert list(manager.list_jobs(groups=[])) == []

    def test_a_user_together_with_groups_is_refused(self, manager, user):
        with pytest.raises(ValueError, match="a user or groups, not both"):
            manager.list_jobs(user=user, groups=[])

    def test_filters_narrow_the_list_and_stay_as_they_were(self, manager, user, mix):
        filters = {"name__startswith": "d", "user": user}
        before = dict(filters)

        assert [job.name for job in manager.list_jobs(filters=filters)] == ["dask"]
        assert manager.get_job(mix[0].pk, filters=filters) is None
        assert manager.get_job(mix[1].pk, user=user, filters=filters) == mix[1]
        assert filters == before

    def test_the_order_is_as_asked_for(self, manager, mix):
        assert list(manager.list_jobs(order_by="-id")) == mix[::-1]
        assert [job.name for job in manager.list_jobs(order_by="-name")] == ["flood", "dask", "basic"]

    def test_a_job_is_got_by_its_number_in_its_class(self, manager, user, mix):
        for job in mix:
            found = manager.get_job(job_id=job.pk, user=user)
            assert found == job
            assert type(found) is type(job)

    def test_a_job_that_is_missing_foreign_or_another_apps_is_none(self, manager, other_app, user, bob, mix):
        theirs = other_app.create_job("theirs", user, job_type="BASIC")
        theirs.save()

        assert manager.get_job(job_id=10**6) is None
        assert manager.get_job(job_id=10**30) is None
        assert manager.get_job(job_id=mix[0].pk, user=bob) is None
        assert manager.get_job(job_id=theirs.pk) is None

    def test_each_proxy_sees_only_its_own_and_its_subtypes(self, mix):
        basic, dask, flood = mix

        assert list(Job.objects.all()) == mix
        assert list(BasicJob.objects.all()) == [basic]
        assert list(DaskJob.objects.all()) == [dask, flood]
        assert list(FloodJob.objects.all()) == [flood]
        with pytest.raises(DaskJob.DoesNotExist):
            DaskJob.objects.get(pk=basic.pk)

    def test_ported_apps_find_their_names(self, mix):
        basic, dask, flood = mix

        assert TethysJob is Job
        assert list(TethysJob.objects.filter(name="flood").select_subclasses()) == [flood]
        assert list(TethysJob.objects.select_subclasses(BasicJob, FloodJob)) == [basic, flood]
        assert type(TethysJob.objects.get_subclass(id=dask.pk)) is DaskJob
        assert [job.type for job in mix] == ["BasicJob", "DaskJob", "FloodJob"]

    def test_a_row_whose_type_is_not_installed_any_more_is_a_plain_job(self, manager, mix):
        Job.objects.filter(pk=mix[2].pk).update(kind="GoneJob")

        found = manager.get_job(mix[2].pk)

        assert type(found) is Job
        assert found.name == "flood"


class TestCreating:
    @pytest.mark.parametrize("job_type", ["BASIC", "DASK", "FLOOD", "HYDRO", "DaskJob", DaskJob, FloodJob])
    def test_the_id_in_a_name_becomes_the_number_for_every_type(self, manager, user, job_type):
        job = manager.create_job("run_{id}_of_{id}", user, job_type=job_type)
        assert job.name == "run_{id}_of_{id}"

        job.save()

        assert job.name == f"run_{job.pk}_of_{job.pk}"
        assert manager.get_job(job.pk).name == job.name

    def test_a_job_is_saved_by_its_app_alone_unless_groups_are_given(self, manager, user):
        manager.create_job("unsaved", user, job_type="BASIC")
        assert rows() == (0, 0, 0, 0)

        group = Group.objects.create(name="group")
        for groups in (group, [group], (each for each in [group])):
            job = manager.create_job("saved", user, groups=groups, job_type="BASIC")
            assert list(job.groups.all()) == [group]

    def test_groups_that_cannot_be_given_leave_no_job(self, manager, user):
        with pytest.raises((ValueError, TypeError)):
            manager.create_job("job", user, groups=[Group(name="unsaved")], job_type="BASIC")

        assert rows() == (0, 0, 0, 0)

    def test_attributes_of_a_type_and_of_all_types_are_kept(self, manager, user, scheduler):
        job = manager.create_job(
            "job",
            user,
            job_type="DASK",
            scheduler=scheduler,
            description="what it does",
            extended_properties={"one": 1},
            priority=3,
            forget=True,
        )
        job.save()

        found = manager.get_job(job.pk)
        assert (found.description, found.extended_properties, found.priority) == ("what it does", {"one": 1}, 3)
        assert (found.forget, found.scheduler, found.label, found.user) == (True, scheduler, "tests", user)
        assert (found.cached_status, found.attempts, found.key) == ("Pending", 0, "")
        assert found.creation_time is not None
        assert found.execute_time is found.start_time is found.completion_time is found.run_time is None

    @pytest.mark.parametrize("job_type", [None, "", "CONDORR", "Job", Job, int, 7])
    def test_an_unknown_job_type_is_refused_with_the_known_ones(self, manager, user, job_type):
        with pytest.raises(UnknownJobType, match="BASIC, CONDORJOB, CONDORWORKFLOW, DASK, FLOOD"):
            manager.create_job("job", user, job_type=job_type)

    def test_an_unknown_attribute_is_refused(self, manager, user):
        with pytest.raises(TypeError, match="atributes"):
            manager.create_job("job", user, job_type="DASK", atributes={})

        assert rows() == (0, 0, 0, 0)

    def test_nobody_is_no_user(self, manager):
        with pytest.raises(InvalidJob, match="logged in"):
            manager.create_job("job", AnonymousUser(), job_type="BASIC")
        with pytest.raises(InvalidJob, match="logged in"):
            manager.create_job("job", None, job_type="BASIC")

    @pytest.mark.parametrize(
        ("bad", "error", "words"),
        [
            pytest.param({"name": "x" * 1025}, InvalidJob, "at most 1,024 characters", id="long name"),
            pytest.param({"name": ""}, InvalidJob, "needs a name", id="no name"),
            pytest.param({"name": " \n"}, InvalidJob, "needs a name", id="blank name"),
            pytest.param({"name": None}, InvalidJob, "name must be text; it is a NoneType", id="None as name"),
            pytest.param({"name": "a\x00b"}, InvalidJob, "without NUL", id="NUL in name"),
            pytest.param({"name": "a\ud800b"}, InvalidJob, "name", id="half a character in name"),
            pytest.param({"description": "x" * 2049}, InvalidJob, "at most 2,048", id="long description"),
            pytest.param({"description": 3}, InvalidJob, "description must be text", id="description"),
            pytest.param({"extended_properties": [1]}, InvalidJob, "must be a dict; it is a list", id="no dict"),
            pytest.param({"extended_properties": {"a": object()}}, InvalidJob, "must be JSON", id="no JSON"),
            pytest.param({"extended_properties": {"a": {1, 2}}}, InvalidJob, "must be JSON", id="a set"),
            pytest.param({"extended_properties": {(1, 2): 3}}, InvalidJob, "must be JSON", id="key of no JSON"),
            pytest.param({"extended_properties": {"a": float("nan")}}, InvalidJob, "must be JSON", id="NaN"),
            pytest.param({"extended_properties": {"a": float("inf")}}, InvalidJob, "must be JSON", id="infinity"),
            pytest.param({"extended_properties": {"a": ["\x00"]}}, InvalidJob, "NUL", id="NUL in JSON"),
            pytest.param({"extended_properties": {"a": "\ud800"}}, InvalidJob, "must be JSON", id="half a character"),
            pytest.param({"forget": object()}, InvalidJob, "attributes must be JSON", id="attribute of no JSON"),
            pytest.param({"workspace": "../out"}, WorkspaceNotAllowed, "does not lie below", id="relative out"),
            pytest.param({"workspace": "a/../../out"}, WorkspaceNotAllowed, "does not lie below", id="winding out"),
            pytest.param({"workspace": "/etc"}, WorkspaceNotAllowed, "WORKSPACE_ROOT", id="absolute out"),
            pytest.param({"workspace": "."}, WorkspaceNotAllowed, "does not lie below", id="the root itself"),
            pytest.param({"workspace": "a\x00b"}, InvalidJob, "NUL", id="NUL in workspace"),
            pytest.param({"workspace": "x" * 1025}, InvalidJob, "at most 1,024", id="long workspace"),
            pytest.param({"workspace": "x/" * 505}, InvalidJob, "at most 1,024", id="long below the root"),
            pytest.param({"workspace": 7}, InvalidJob, "workspace must be text", id="workspace of no text"),
            pytest.param(
                {"process_results_function": "os.system"}, InvalidJob, "neither in the app's own", id="foreign"
            ),
            pytest.param(
                {"process_results_function": "tests.nothing.here"}, InvalidJob, "does not import", id="absent"
            ),
            pytest.param({"process_results_function": len}, InvalidJob, "builtins.len", id="a function of Python's"),
        ],
    )
    def test_bad_input_is_refused_at_the_call_and_nothing_is_written(self, make_job, bad, error, words):
        group = Group.objects.create(name="group")

        with pytest.raises(error, match=words):
            make_job(**bad)
        with pytest.raises(error, match=words):
            make_job(**bad, groups=[group])

        assert rows() == (0, 0, 0, 0)

    def test_what_goes_bad_later_is_refused_by_save_and_execute_and_nothing_is_written(self, fake, make_job):
        saved, unsaved = make_job("saved"), make_job("unsaved")
        saved.save()
        for job in (saved, unsaved):
            job.extended_properties = {"a": object()}
            with pytest.raises(InvalidJob):
                job.save()
            with pytest.raises(InvalidJob):
                job.execute(1)
            assert job.cached_status == "Pending"

        assert rows() == (1, 0, 0, 0)
        assert unsaved.pk is None

    def test_a_name_that_its_own_number_makes_too_long_leaves_no_row_and_can_be_mended(self, make_job):
        job = make_job("{id}" * 256, id=10**6)

        with pytest.raises(InvalidJob, match="at most 1,024"):
            job.save()

        assert rows() == (0, 0, 0, 0)
        job.name = "short {id}"
        job.save()
        assert Job.objects.get().name == f"short {10**6}"

    def test_text_that_only_looks_like_nul_is_kept(self, make_job):
        job = make_job(extended_properties={"pattern": r"\u0000", "more": r"\\u0000"})
        job.save()

        assert Job.objects.get().extended_properties == {"pattern": r"\u0000", "more": r"\\u0000"}

    def test_work_that_does_not_pickle_is_refused_and_nothing_is_written(self, fake, make_job):
        job = make_job("job {id}")

        with pytest.raises(InvalidJob, match="cannot be pickled"):
            job.execute(lambda: 1)

        assert rows() == (0, 0, 0, 0)
        assert (job.pk, job.name, job.submission_id, job.cached_status) == (None, "job {id}", None, "Pending")

    def test_a_job_without_a_scheduler_is_refused_by_execute_and_says_how_to_get_one(self, fake, manager, user):
        job = manager.create_job("job", user, job_type="DASK")

        with pytest.raises(SchedulerMissing, match=r"app.get_scheduler"):
            job.execute(1)
        assert rows() == (0, 0, 0, 0)

    def test_a_scheduler_of_another_kind_or_not_saved_is_refused_at_the_door(self, manager, user):
        condor = create_condor_scheduler("pool", "host")
        condor.save()

        with pytest.raises(SchedulerMissing, match="needs a DaskScheduler; “pool” is a CondorScheduler"):
            manager.create_job("job", user, job_type="DASK", scheduler=condor)
        with pytest.raises(SchedulerMissing, match="not saved yet"):
            manager.create_job("job", user, job_type="DASK", scheduler=create_dask_scheduler("new", "host:1"))
        assert rows() == (0, 0, 0, 0)


class TestWorkspace:
    @pytest.fixture(autouse=True)
    def root(self, settings, tmp_path):
        root = tmp_path / "workspaces"
        settings.JOBSAPI = {**settings.JOBSAPI, "WORKSPACE_ROOT": root}
        return root

    def test_it_is_the_users_folder_under_the_apps_and_made_when_first_needed(self, make_job, user, root):
        job = make_job()

        assert Path(job.workspace) == root / "tests" / f"user-{user.pk}"
        assert not root.exists()
        assert job.ensure_workspace().is_dir()
        assert job.ensure_workspace() == Path(job.workspace)

    @pytest.mark.parametrize("given", ["mine", "mine/deeper", "a/../mine"])
    def test_a_folder_below_the_root_is_taken(self, make_job, root, given):
        assert make_job(workspace=given).workspace == str((root / given).resolve())
        assert make_job(workspace=str(root / given)).workspace == str((root / given).resolve())
        job = make_job(workspace=root / given)
        job.save()
        assert job.workspace == str((root / given).resolve())

    def test_none_is_as_good_as_nothing(self, make_job):
        job = make_job(description=None, extended_properties=None, _process_results_function=None, workspace=None)
        job.save()

        assert (job.description, job.extended_properties, job._process_results_function) == ("", {}, "")

    def test_a_link_that_leads_out_is_refused(self, make_job, root, tmp_path):
        root.mkdir()
        (root / "link").symlink_to(tmp_path)
        (root / "inner").symlink_to(root / "target")

        with pytest.raises(WorkspaceNotAllowed):
            make_job(workspace="link/folder")
        assert make_job(workspace="inner").workspace == str(root / "target")

    def test_a_link_made_after_creation_is_refused_when_the_folder_is_needed(self, make_job, root, tmp_path):
        job = make_job(workspace="mine/folder")
        root.mkdir()
        (root / "mine").symlink_to(tmp_path)

        with pytest.raises(WorkspaceNotAllowed):
            job.ensure_workspace()
        assert not (tmp_path / "folder").exists()

    def test_a_link_that_leads_to_itself_is_refused(self, make_job, root):
        root.mkdir()
        (root / "loop").symlink_to(root / "loop")

        with pytest.raises(WorkspaceNotAllowed):
            make_job(workspace="loop/folder")


class TestStatusNames:
    def test_the_names_of_the_predecessor_are_there(self):
        assert dict(Job.STATUSES)["SUB"] == "Submitted"
        assert "COM" in Job.VALID_STATUSES
        assert "Results-Ready" in Job.DISPLAY_STATUSES
        assert Job.REVERSE_STATUSES["Running"] == "RUN"
        assert {"Pending", "Submitted"} <= set(Job.PRE_RUNNING_STATUSES)
        assert {"Running", "Various"} <= set(Job.RUNNING_STATUSES)
        assert {"Submitted", "Running", "Various", "Paused"} <= set(Job.ACTIVE_STATUSES)
        assert {"Complete", "Error", "Aborted", "Various-Complete"} <= set(Job.TERMINAL_STATUSES)
        assert not set(Job.NON_TERMINAL_STATUSES) & set(Job.TERMINAL_STATUSES)
        assert Job.OTHER_STATUS_KEY == "__other_status__"

    @pytest.mark.parametrize(
        ("add", "categories"),
        [
            ("add_custom_pre_running_status", {"PRE_RUNNING_STATUSES", "NON_TERMINAL_STATUSES"}),
            ("add_custom_running_status", {"RUNNING_STATUSES", "ACTIVE_STATUSES", "NON_TERMINAL_STATUSES"}),
            ("add_custom_active_status", {"ACTIVE_STATUSES", "NON_TERMINAL_STATUSES"}),
            ("add_custom_terminal_status", {"TERMINAL_STATUSES"}),
        ],
    )
    def test_a_custom_status_joins_its_categories_and_changes_nothing_built_in(self, add, categories):
        from jobsapi import status

        builtin = {name: value for name, value in vars(status).items() if isinstance(value, frozenset)}
        constants = copy.deepcopy((Job.STATUSES, Job.VALID_STATUSES, Job.DISPLAY_STATUSES, Job.REVERSE_STATUSES))
        label = f"Custom {add}"

        getattr(DaskJob, add)(label)
        getattr(DaskJob, add)(label)

        every = {
            "PRE_RUNNING_STATUSES",
            "RUNNING_STATUSES",
            "ACTIVE_STATUSES",
            "NON_TERMINAL_STATUSES",
            "TERMINAL_STATUSES",
        }
        for category in every:
            assert getattr(Job, category).count(label) == (category in categories), category
        assert constants == (Job.STATUSES, Job.VALID_STATUSES, Job.DISPLAY_STATUSES, Job.REVERSE_STATUSES)
        assert builtin == {name: value for name, value in vars(status).items() if isinstance(value, frozenset)}

    def test_a_list_of_names_that_an_app_changes_is_its_own_copy(self):
        Job.TERMINAL_STATUSES.append("Mine")

        assert "Mine" not in Job.TERMINAL_STATUSES

    def test_a_custom_status_shows_in_extended_properties_and_is_not_stored_there(self, manager, user):
        job = manager.create_job("job", user, job_type="BASIC", extended_properties={"one": 1})
        job.update_status("Preparing data")

        found = manager.get_job(job.pk)
        assert (found.cached_status, found._status, found.custom_status) == ("Preparing data", "OTH", "Preparing data")
        assert found.events.last().message == "Preparing data: The app itself says so, with update_status(...)."
        assert found.extended_properties == job.extended_properties == {"one": 1, "__other_status__": "Preparing data"}
        found.extended_properties["two"] = 2
        found.save()
        with connection.cursor() as cursor:
            cursor.execute("SELECT extended_properties FROM jobsapi_job")
            assert json.loads(cursor.fetchone()[0]) == {"one": 1, "two": 2}

        found.update_status("Running")
        assert found.extended_properties == {"one": 1, "two": 2}
        assert manager.get_job(job.pk).extended_properties == {"one": 1, "two": 2}

    def test_a_custom_terminal_status_ends_the_job(self, manager, user):
        Job.add_custom_terminal_status("Archived")
        job = manager.create_job("job", user, job_type="BASIC")

        job.update_status("Archived")

        assert job.ended
        assert list(Job.objects.ended()) == [job]

    @pytest.mark.parametrize("label", ["x" * 256, "a\x00b"])
    def test_a_custom_status_that_cannot_be_stored_is_refused_and_nothing_is_written(self, manager, user, label):
        job = manager.create_job("job", user, job_type="BASIC")

        with pytest.raises(InvalidJob, match="custom status"):
            job.update_status(label)

        assert rows() == (0, 0, 0, 0)


class TestStoring:
    @pytest.mark.parametrize("code", ["COM", "ERR", "ABT", "VCP"])
    def test_a_row_created_as_ended_gets_its_completion_time(self, manager, user, code):
        job = manager.create_job("job", user, job_type="BASIC", _status=code)
        job.save()

        assert manager.get_job(job.pk).completion_time is not None
        assert job.cached_status == Status(code).label

    def test_a_completion_time_that_was_given_is_kept(self, user):
        then = timezone.now() - timezone.timedelta(days=3)

        BasicJob.objects.create(name="old", user=user, label="tests", _status="COM", completion_time=then)

        assert BasicJob.objects.get().completion_time == then

    def test_the_database_refuses_an_ended_job_without_a_completion_time(self, make_job, user):
        make_job().save()

        with pytest.raises(IntegrityError, match="jobsapi_ended_at"), transaction.atomic():
            Job.objects.update(_status="COM")
        with pytest.raises(IntegrityError), transaction.atomic():
            BasicJob.objects.bulk_create([BasicJob(name="job", user=user, label="tests", _status="ERR")])

    def test_the_database_refuses_an_unknown_status(self, make_job):
        make_job().save()

        with pytest.raises(IntegrityError, match="jobsapi_known_status"), transaction.atomic():
            Job.objects.update(_status="XXX")

    def test_the_kind_is_set_however_a_row_is_made(self, user):
        common = {"user": user, "label": "tests"}
        DaskJob.objects.bulk_create([FloodJob(name="bulk", **common), DaskJob(name="bulk", **common)])
        BasicJob.objects.get_or_create(name="got", defaults=common)
        DaskJob.objects.create(name="created", **common)
        DaskJob.objects.update_or_create(name="updated", defaults=common)

        assert [type(job) for job in Job.objects.all()] == [FloodJob, DaskJob, BasicJob, DaskJob, DaskJob]
        again, created = DaskJob.objects.update_or_create(name="updated", defaults={"description": "new"})
        assert (created, again.description) == (False, "new")
        assert DaskJob.objects.get(name="updated").description == "new"

    def test_only_some_columns_without_the_kind_can_be_read(self, mix):
        first = Job.objects.only("name").order_by("pk").first()
        assert (type(first), first.name) == (Job, "basic")
        assert type(DaskJob.objects.only("name").first()) is DaskJob
        assert type(Job.objects.only("kind").order_by("pk").first()) is BasicJob
        assert list(Job.objects.values_list("name", flat=True).order_by("pk")) == ["basic", "dask", "flood"]

    def test_a_job_can_be_read_again_in_full_and_in_part(self, make_job):
        job = make_job("before")
        job.save()
        Job.objects.update(name="after", status_message="told")

        job.refresh_from_db(fields=["name"])
        assert (job.name, job.status_message) == ("after", "")
        job.refresh_from_db()
        assert job.status_message == "told"
        job.save()

    def test_a_job_survives_pickling(self, mix):
        for job in mix:
            thawed = pickle.loads(pickle.dumps(job))
            assert (thawed, type(thawed)) == (job, type(job))
            thawed.description = "thawed"
            thawed.save()
            assert Job.objects.get(pk=job.pk).description == "thawed"

    def test_jobs_compare_by_their_number(self, mix):
        basic, dask, flood = mix

        assert Job.objects.only("pk").get(pk=dask.pk) == dask != basic
        assert len({basic, Job.objects.get(pk=basic.pk)}) == 1
        assert sorted([flood, basic, dask]) == mix

    def test_an_unsaved_job_can_be_asked_what_it_is(self, make_job):
        job = make_job()

        assert (job.status, job.cached_status, job.result, job.type) == ("Pending", "Pending", None, "DaskJob")
        assert str(job) == "job (job None)"


class TestDeleting:
    def test_a_deleted_job_is_hidden_at_once_from_every_list(self, silent, manager, mix):
        count, per_model = mix[1].delete()

        assert (count, per_model) == (1, {"jobsapi.DaskJob": 1})
        assert list(manager.list_jobs()) == [mix[0], mix[2]]
        assert manager.get_job(mix[1].pk) is None
        assert list(DaskJob.objects.all()) == [mix[2]]
        assert Job._base_manager.count() == 3

    def test_a_queryset_is_deleted_in_two_statements(self, silent, manager, mix, django_assert_num_queries):
        with django_assert_num_queries(4):  # savepoint, read, write, release
            count, _ = manager.list_jobs().exclude(name="basic").delete()

        assert count == 2
        assert list(manager.list_jobs()) == [mix[0]]
        with pytest.raises(TypeError, match="limit"):
            manager.list_jobs()[:1].delete()

    def test_an_executed_job_that_is_deleted_is_asked_to_stop(self, silent, make_job):
        job = make_job()
        job.execute(1)

        job.delete()

        assert Job._base_manager.get().requested == "cancel"

    def test_a_user_or_scheduler_with_jobs_is_protected(self, mix, user, scheduler):
        with pytest.raises(ProtectedError), transaction.atomic():
            user.delete()
        with pytest.raises(ProtectedError), transaction.atomic():
            scheduler.delete()

        assert Job.objects.count() == 3

    def test_a_user_with_deleted_jobs_is_protected_until_the_worker_has_removed_them(self, silent, mix, user):
        Job.objects.all().delete()

        with pytest.raises(ProtectedError), transaction.atomic():
            user.delete()

    def test_a_scheduler_that_an_app_is_assigned_is_protected(self, scheduler):
        from jobsapi.models import SchedulerAssignment

        SchedulerAssignment.objects.create(package="tests", setting="dask", scheduler=scheduler)

        with pytest.raises(ProtectedError), transaction.atomic():
            scheduler.delete()
