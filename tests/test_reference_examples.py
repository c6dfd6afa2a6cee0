"""The code examples of the reference, run as they are written there, and the API beside them."""

import subprocess
import sys
import textwrap
import types
from pathlib import Path

import pytest
from django.template import RequestContext, Template

from jobsapi.app import JobsApp, SchedulerSetting
from jobsapi.compute import (
    create_condor_scheduler,
    create_dask_scheduler,
    create_scheduler,
    get_scheduler,
    list_schedulers,
)
from jobsapi.exceptions import SchedulerNotAssigned
from jobsapi.gizmos import JobsTable
from jobsapi.manager import JobManager
from jobsapi.models import CondorScheduler, DaskScheduler, Job, Scheduler, SchedulerAssignment
from jobsapi.testing import FakeBackend

ROOT = Path(__file__).parents[1]

IMPORT = """
from app import MyFirstApp as app
"""
GET_MANAGER = """
job_manager = app.get_job_manager()
"""
IMPORT_AND_GET_MANAGER = """
from app import MyApp as app

job_manager = app.get_job_manager()
"""
AFTER_CREATION = """
# properties can also be added after the job is created
job.extended_properties = {'one': 1, 'two': 2}
"""
SAVE = """
# save or execute the job
job.save()
"""
EXECUTE = """
# or
job.execute()
"""
RETRIEVE = """
# get list of all jobs created in your app
job_manager.list_jobs()

# get list of all jobs created by current user in your app
job_manager.list_jobs(user=request.user)

# get job with id of 27
job_manager.get_job(job_id=27)

# get job with id of 27 only if it was created by current user
job_manager.get_job(job_id=27, user=request.user)
"""
JOBS_TABLE = """
job_manager = app.get_job_manager()

jobs = job_manager.list_jobs(request.user)

jobs_table_options = JobsTable(
    jobs=jobs,
    column_fields=('id', 'name', 'description', 'creation_time', 'execute_time'),
    actions=['run', 'resubmit', '|', 'logs', '|', 'terminate', 'delete'],
    hover=True,
    striped=False,
    bordered=False,
    condensed=False,
    results_url='app_name:results_controller',
)
"""
CALLBACK = """
job_manager = app.get_job_manager()
callback_url = job_manager.get_job_status_callback_url(request, job_id)
"""
CREATE = """
# create a new job from the job manager
job = job_manager.create_job(
    name='myjob_{id}',  # required
    user=request.user,  # required
    job_type='DASK',  # required
    scheduler=scheduler,
)
"""
"""The reference's own example is of an HTCondor job; this one differs in its type and that type's attributes."""


class MyFirstApp(JobsApp):
    """The app of the examples."""

    package = "tests"

    def scheduler_settings(self):
        return (
            SchedulerSetting("dask_primary", "Runs the models.", engine=SchedulerSetting.DASK, required=True),
            SchedulerSetting(name="condor_primary", description="Pool.", engine=SchedulerSetting.HTCONDOR),
        )


@pytest.fixture
def names(monkeypatch, rf, request):
    """What the examples take for granted: a module ``app``, and a view's ``request``."""
    module = types.ModuleType("app")
    module.MyFirstApp = module.MyApp = MyFirstApp
    monkeypatch.setitem(sys.modules, "app", module)
    view = rf.get("/view/")
    if "user" in request.fixturenames:
        view.user = request.getfixturevalue("user")
    return {"request": view}


def run(names, *examples):
    for example in examples:
        exec(compile(example, "jobs_api.txt", "exec"), names)


class TestExamples:
    def test_getting_the_job_manager(self, names):
        run(names, IMPORT, GET_MANAGER)
        assert isinstance(names["job_manager"], JobManager)

        run(names, IMPORT_AND_GET_MANAGER)
        assert names["job_manager"].label == "tests"

    @pytest.mark.django_db(transaction=True)
    def test_creating_and_executing_a_job(self, fake, names, user, scheduler):
        names["scheduler"] = scheduler
        run(names, IMPORT, GET_MANAGER, CREATE, AFTER_CREATION, SAVE)
        assert Job.objects.get().name == f"myjob_{names['job'].pk}"
        assert Job.objects.get().extended_properties == {"one": 1, "two": 2}

        run(names, EXECUTE)
        assert Job.objects.get().cached_status == "Submitted"
        assert fake.submitted == [names["job"].pk]

    def test_retrieving_jobs(self, names, user, make_job):
        make_job().save()

        run(names, IMPORT, GET_MANAGER, RETRIEVE)

    def test_showing_them_in_a_table_of_ported_templates(self, names, make_job, manager, django_user_model):
        make_job("flood").save()
        manager.create_job("another's", django_user_model.objects.create_user("bob"), job_type="BASIC").save()
        names["JobsTable"] = JobsTable

        run(names, IMPORT, JOBS_TABLE)
        context = RequestContext(names["request"], {"jobs_table_options": names["jobs_table_options"]})
        shown = Template("{% load jobsapi %}{% gizmo jobs_table_options %}").render(context)

        assert "flood" in shown
        assert "another" not in shown
        for words in ("Description", "Creation time", "Run again", "Logs", "Delete"):
            assert words in shown

    def test_getting_the_callback_url(self, names, user):
        names["job_id"] = 27

        run(names, IMPORT, CALLBACK)

        assert names["callback_url"] == "http://testserver/update-job-status/27/"


class TestImportTime:
    def test_getting_the_job_manager_touches_no_database(self, db, django_assert_num_queries):
        with django_assert_num_queries(0):
            MyFirstApp.get_job_manager()
            JobManager(MyFirstApp)

    def test_it_works_at_module_level_before_django_is_set_up_and_without_a_database(self, tmp_path):
        (tmp_path / "ported.py").write_text(
            textwrap.dedent("""
            from jobsapi.app import JobsApp, SchedulerSetting

            class App(JobsApp):
                package = "ported"

            job_manager = App.get_job_manager()
            """)
        )
        script = textwrap.dedent("""
            import ported, django
            django.setup()
            from django.db import OperationalError
            print(ported.job_manager.label)
            jobs = ported.job_manager.list_jobs()
            try:
                list(jobs)
            except OperationalError:
                print("no database")
            """)
        environment = {
            "DJANGO_SETTINGS_MODULE": "jobsapi.portal.settings",
            "SECRET_KEY": "x",
            "DATABASE_URL": f"sqlite:///{tmp_path}/missing/db.sqlite3",
            "PYTHONPATH": f"{ROOT}:{tmp_path}",
        }

        done = subprocess.run(
            [sys.executable, "-c", script], env=environment, capture_output=True, text=True, timeout=60, check=False
        )

        assert done.stdout.split("\n")[:2] == ["ported", "no database"], done.stderr

    def test_what_a_request_imports_needs_neither_dask_nor_condor_nor_celery(self):
        script = textwrap.dedent("""
            import sys, django
            django.setup()
            import jobsapi.app, jobsapi.manager, jobsapi.models, jobsapi.compute
            print([name for name in ("dask", "distributed", "condorpy", "paramiko", "celery") if name in sys.modules])
            """)
        settings = """
            from jobsapi.portal.settings import *
            INSTALLED_APPS = ["jobsapi", "django.contrib.auth", "django.contrib.contenttypes"]
            """
        done = subprocess.run(
            [sys.executable, "-c", f"import sys, types; settings = types.ModuleType('bare'); "
             f"exec({textwrap.dedent(settings)!r}, vars(settings)); sys.modules['bare'] = settings\n{script}"],
            env={"DJANGO_SETTINGS_MODULE": "bare", "SECRET_KEY": "x", "DATABASE_URL": "sqlite://:memory:",
                 "PYTHONPATH": str(ROOT)},
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip

        assert done.stdout.strip() == "[]", done.stderr


@pytest.mark.django_db
class TestSchedulersOfAnApp:
    def test_the_one_assigned_to_the_setting_is_given_in_its_class(self, scheduler, django_assert_num_queries):
        SchedulerAssignment.objects.create(package="tests", setting="dask_primary", scheduler=scheduler)
        SchedulerAssignment.objects.create(package="elsewhere", setting="condor_primary", scheduler=scheduler)

        with django_assert_num_queries(1):
            found = MyFirstApp.get_scheduler("dask_primary")

        assert (found, type(found)) == (scheduler, DaskScheduler)

    def test_a_setting_without_one_says_who_has_to_do_what(self, scheduler):
        words = (
            "No scheduler is assigned to the setting “condor_primary” of tests. "
            "An administrator can assign one in the admin, under Scheduler assignments."
        )
        with pytest.raises(SchedulerNotAssigned) as raised:
            MyFirstApp.get_scheduler("condor_primary")
        assert str(raised.value) == words

    def test_a_setting_that_does_not_exist_is_said_with_those_that_do(self):
        with pytest.raises(SchedulerNotAssigned, match=r"the app defines condor_primary, dask_primary"):
            MyFirstApp.get_scheduler("primary")

        class Bare(JobsApp):
            package = "bare"

            def scheduler_settings(self):
                return None

        with pytest.raises(SchedulerNotAssigned, match="the app defines no scheduler settings"):
            Bare.get_scheduler("primary")


@pytest.mark.django_db
class TestLowLevelSchedulers:
    def test_what_is_created_is_not_saved_and_can_be(self):
        condor = create_condor_scheduler("pool", "submit.example.org", "ada", "pw", "/keys/id", "phrase")
        dask = create_dask_scheduler("cluster", "dask.example.org:8786", 5, 2, "http://dask.example.org:8787")
        assert list_schedulers() == []

        condor.save()
        dask.save()

        assert list_schedulers() == [dask, condor]
        assert [type(scheduler) for scheduler in list_schedulers()] == [DaskScheduler, CondorScheduler]
        pool, cluster = get_scheduler("pool"), get_scheduler("cluster")
        assert (pool.name, pool.host, pool.port, pool.username) == ("pool", "submit.example.org", 22, "ada")
        assert (pool.password, pool.private_key_path, pool.private_key_pass) == ("pw", "/keys/id", "phrase")
        assert (cluster.host, cluster.timeout) == ("dask.example.org:8786", "5")
        assert (cluster.heartbeat_interval, cluster.dashboard) == ("2", "http://dask.example.org:8787")

    def test_a_type_is_chosen_by_name_and_condor_by_default(self):
        assert type(create_scheduler("pool", "host")) is CondorScheduler
        assert type(create_scheduler("pool", "host", "condor", username="ada")) is CondorScheduler
        assert create_scheduler("cluster", "host:1", scheduler_type="dask", timeout=3).timeout == "3"
        with pytest.raises(ValueError, match=r"no scheduler type 'slurm'\. Choose one of condor, dask"):
            create_scheduler("pool", "host", "slurm")
        with pytest.raises(TypeError):
            create_scheduler("pool", "host", "dask", username="ada")

    def test_what_was_left_out_stays_empty(self):
        create_scheduler("pool", "host").save()
        create_scheduler("cluster", "host:1", "dask").save()

        assert (get_scheduler("pool").password, get_scheduler("cluster").timeout) == ("", "")

    def test_a_name_that_nobody_has_is_none(self):
        assert get_scheduler("nobody") is None

    def test_each_kind_sees_only_its_own(self):
        create_scheduler("pool", "host").save()
        create_scheduler("cluster", "host:1", "dask").save()

        assert [scheduler.name for scheduler in CondorScheduler.objects.all()] == ["pool"]
        assert [scheduler.name for scheduler in DaskScheduler.objects.all()] == ["cluster"]
        assert Scheduler.objects.count() == 2

    def test_a_scheduler_created_by_code_runs_jobs(self, fake, manager, user, django_capture_on_commit_callbacks):
        scheduler = create_scheduler("cluster", "host:1", "dask")
        scheduler.save()
        job = manager.create_job("job", user, job_type="DASK", scheduler=scheduler)

        with django_capture_on_commit_callbacks(execute=True):
            job.execute()

        FakeBackend.finish(job)
        assert fake.submitted == [job.pk]
