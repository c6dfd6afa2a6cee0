"""What would make jobs fail later is said when the site starts."""

import copy
import re
from collections import ChainMap
from pathlib import Path

import pytest
from celery.signals import worker_init
from django.core import checks
from django.core.checks import run_checks

from jobsapi import conf
from jobsapi.checks import check_settings
from jobsapi.models import BasicJob, Job
from worker import checks as celery_checks
from worker.celery import app
from worker.tasks import CeleryDispatcher


@pytest.fixture
def jobsapi_settings(settings):
    """Change entries of ``JOBSAPI``."""

    def change(**entries):
        settings.JOBSAPI = {**settings.JOBSAPI, **entries}

    return change


def only_message():
    (message,) = check_settings()
    return message


def test_the_portals_settings_are_clean():
    assert check_settings() == []
    assert [message for message in run_checks() if message.level >= checks.WARNING] == []


def test_a_setting_that_does_not_exist_is_named_with_those_that_do(jobsapi_settings):
    jobsapi_settings(REFRESH_INTERVALL=5)

    message = only_message()

    assert message.id == "jobsapi.E001"
    assert "REFRESH_INTERVALL" in message.msg
    assert "REFRESH_INTERVAL," in message.hint


def test_a_backend_that_does_not_import_is_named_with_what_to_do(jobsapi_settings):
    jobsapi_settings(BACKENDS={"dask": "no_such.Backend"})

    message = only_message()

    assert message.id == "jobsapi.E002"
    assert "no_such" in message.msg
    assert 'JOBSAPI["BACKENDS"]' in message.hint
    assert "jobsapi[dask]" in message.msg + message.hint


def test_a_dispatcher_that_does_not_import_is_named_with_what_to_do(jobsapi_settings):
    jobsapi_settings(DISPATCHER="no_such.Dispatcher")

    message = only_message()

    assert message.id == "jobsapi.E003"
    assert "no_such" in message.msg
    assert "jobsapi[worker]" in message.hint


@pytest.fixture
def sqlite(settings):
    """The settings of the one database, as they are read by the check."""
    good = {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": "unused",
        "OPTIONS": {"transaction_mode": "IMMEDIATE"},
        "ATOMIC_REQUESTS": False,
    }
    databases = copy.deepcopy(settings.DATABASES)
    settings.DATABASES["default"] = good
    yield good
    settings.DATABASES.clear()
    settings.DATABASES.update(databases)


def test_atomic_requests_are_refused_on_sqlite(sqlite):
    assert check_settings() == []
    sqlite["ATOMIC_REQUESTS"] = True

    message = only_message()

    assert message.id == "jobsapi.E004"
    assert "transaction.atomic()" in message.hint


def test_sqlite_without_immediate_transactions_is_warned_of(sqlite):
    sqlite["OPTIONS"] = {}

    message = only_message()

    assert (message.id, message.level) == ("jobsapi.W001", checks.WARNING)
    assert "IMMEDIATE" in message.hint


def test_atomic_requests_are_none_of_our_business_elsewhere(sqlite):
    sqlite |= {"ENGINE": "django.db.backends.postgresql", "ATOMIC_REQUESTS": True, "OPTIONS": {}}

    assert check_settings() == []


def ids(messages=None):
    return [message.id for message in (check_settings() if messages is None else messages)]


class TestValues:
    @pytest.mark.parametrize(
        ("name", "wrong", "words"),
        [
            ("PORTAL", "", "text that is not empty"),
            ("BACKENDS", ["dask"], "a dict of texts"),
            ("BACKENDS", {"dask": None}, "a dict of texts"),
            ("DISPATCHER", None, "text that is not empty"),
            ("WORKSPACE_ROOT", "", "a path"),
            ("RESULT_ROOT", 7, "a path"),
            ("SEALING_KEYS", "one key as a bare string", "one alone is written as (key,)"),
            ("SEALING_KEYS", ["", "key"], "not empty"),
            ("SEALING_KEYS", [b"bytes"], "list or tuple of texts"),
            ("REFRESH_INTERVAL", 0, "a number, more than 0"),
            ("REFRESH_INTERVAL", "10", "a number, more than 0"),
            ("RESCUE_INTERVAL", None, "a number, more than 0"),
            ("LEASE", float("inf"), "a number, more than 0"),
            ("LEASE", True, "a number, more than 0"),
            ("LOST_GRACE", -1, "a number, 0 or more"),
            ("TASK_RESULT_DAYS", "7", "a number, 0 or more"),
            ("MAX_ATTEMPTS", 0, "a whole number, 1 or more"),
            ("SCHEDULER_THREADS", 2.5, "a whole number, 1 or more"),
            ("INPUT_MAX_BYTES", 1024**3, "a whole number from 1 to 536,870,912"),
            ("RESULT_MAX_BYTES", -1, "a whole number, 1 or more"),
            ("RETENTION", [], "a dict"),
        ],
    )
    def test_a_value_that_cannot_be_is_told_with_what_it_must_be(self, jobsapi_settings, name, wrong, words):
        jobsapi_settings(**{name: wrong})

        message = only_message()

        assert message.id == "jobsapi.E005"
        assert f'JOBSAPI["{name}"]' in message.msg
        assert words in message.msg
        assert "The default is" in message.hint

    @pytest.mark.parametrize(
        ("name", "right"),
        [("LOST_GRACE", 0), ("TASK_RESULT_DAYS", 0.5), ("LEASE", 10), ("RESULT_ROOT", "results"), ("MAX_ATTEMPTS", 1)],
    )
    def test_what_can_be_is_not_complained_of(self, jobsapi_settings, name, right):
        jobsapi_settings(**{name: right})

        assert check_settings() == []

    def test_all_mistakes_are_told_at_once(self, jobsapi_settings):
        jobsapi_settings(LEASE=0, MAX_ATTEMPTS=0, REFRESH_INTERVALL=5, RETENTION={"*": {"*": {"row": 1}}})

        assert ids() == ["jobsapi.E001", "jobsapi.E005", "jobsapi.E005", "jobsapi.E006"]

    def test_settings_that_are_no_dict_are_told(self, settings):
        settings.JOBSAPI = ["PORTAL"]

        assert "JOBSAPI is a list" in only_message().msg

    def test_a_site_that_says_nothing_gets_the_defaults(self, settings):
        del settings.JOBSAPI
        settings.SECRET_KEY = "tests-only" * 6

        assert check_settings() == []

    def test_every_default_is_a_value_that_can_be(self, settings):
        settings.JOBSAPI = dict(conf.DEFAULTS)

        assert not [message for message in check_settings() if message.level >= checks.ERROR]


class TestRetention:
    @pytest.mark.parametrize(
        ("policy", "words"),
        [
            ({"*": {"*": {"result": 1}}}, "'result' is nothing that can be removed. Choose of rows, inputs, results"),
            ({"*": {"Submitted": {"rows": 1}}}, "no job ends as 'Submitted'"),
            ({"*": {"*": {"rows": "a month"}}}, "must be days from 0 to 36,500, or None to keep"),
        ],
    )
    def test_what_is_not_understood_is_told(self, jobsapi_settings, policy, words):
        jobsapi_settings(RETENTION=policy)

        message = only_message()

        assert message.id == "jobsapi.E006"
        assert words in message.msg
        assert "Nothing is removed" in message.hint

    def test_an_app_that_there_is_not_is_warned_of(self, jobsapi_settings):
        jobsapi_settings(
            RETENTION={"fluud": {"*": {"rows": 1}}, "flood": {"*": {"rows": 1}}, "*": {"*": {"rows": None}}}
        )

        message = only_message()

        assert (message.id, message.level) == ("jobsapi.W005", checks.WARNING)
        assert "“fluud”" in message.msg


class TestKeys:
    @pytest.mark.parametrize("weak", ["hunter2", "a" * 50, "django-insecure-" + "abcdefgh" * 6])
    def test_a_weak_key_is_warned_of_and_not_shown(self, jobsapi_settings, weak):
        jobsapi_settings(SEALING_KEYS=("Good-enough-to-be-used-0123456789-abc", weak))

        message = only_message()

        assert message.id == "jobsapi.W004"
        assert 'JOBSAPI["SEALING_KEYS"][1] is weak' in message.msg
        assert "token_urlsafe" in message.hint
        assert weak not in message.msg + message.hint

    def test_a_key_that_is_there_twice_is_warned_of(self, jobsapi_settings):
        jobsapi_settings(SEALING_KEYS=["Good-enough-to-be-used-0123456789-abc"] * 2)

        assert "[1] is there twice" in only_message().msg

    def test_that_the_secret_key_seals_is_told_before_a_deployment(self, jobsapi_settings):
        jobsapi_settings(SEALING_KEYS=())
        told = {message.id: message for message in run_checks(include_deployment_checks=True)}

        assert "SECRET_KEY seals" in told["jobsapi.I001"].msg
        assert told["jobsapi.I001"].level == checks.INFO
        jobsapi_settings(SEALING_KEYS=("Good-enough-to-be-used-0123456789-abc",))
        assert "jobsapi.I001" not in ids(run_checks(include_deployment_checks=True))


class TestPlaces:
    @pytest.fixture
    def place(self, jobsapi_settings, settings, tmp_path):
        """Set roots below one folder."""

        def put(**roots):
            for name in ("MEDIA_ROOT", "STATIC_ROOT"):
                if name in roots:
                    setattr(settings, name, str(tmp_path / roots.pop(name)))
            jobsapi_settings(**{name: tmp_path / path for name, path in roots.items()})

        return put

    @pytest.mark.parametrize("public", ["MEDIA_ROOT", "STATIC_ROOT"])
    @pytest.mark.parametrize("root", ["RESULT_ROOT", "WORKSPACE_ROOT"])
    @pytest.mark.parametrize("below", ["public", "public/results"])
    def test_what_everybody_can_fetch_is_warned_of(self, place, public, root, below):
        place(**{public: "public", root: below})

        message = only_message()

        assert (message.id, message.level) == ("jobsapi.W002", checks.WARNING)
        assert root in message.msg
        assert public in message.msg

    def test_a_folder_of_static_files_too(self, place, settings, tmp_path):
        settings.STATICFILES_DIRS = [("prefix", str(tmp_path / "public"))]
        place(RESULT_ROOT="public")

        assert "STATICFILES_DIRS" in only_message().msg

    def test_a_storage_that_is_served_too(self, settings, tmp_path):
        settings.MEDIA_ROOT = str(tmp_path)
        backend = {"BACKEND": "django.core.files.storage.FileSystemStorage"}
        settings.STORAGES = {**settings.STORAGES, "jobsapi": backend}

        message = only_message()

        assert message.id == "jobsapi.W002"
        assert 'STORAGES["jobsapi"]' in message.msg

    @pytest.mark.parametrize(
        ("results", "workspaces"), [("here", "here"), ("here/results", "here"), ("here", "here/workspaces")]
    )
    def test_results_and_workspaces_must_not_overlap(self, place, results, workspaces):
        place(RESULT_ROOT=results, WORKSPACE_ROOT=workspaces)

        message = only_message()

        assert message.id == "jobsapi.E008"
        assert "Keep them apart" in message.hint

    @pytest.mark.parametrize(
        ("storage", "words"),
        [
            ({"BACKEND": "no_such.Storage"}, "No module named 'no_such'"),
            ({"BACKEND": "django.core.files.storage.FileSystemStorage", "OPTIONS": {"bucket": 1}}, "bucket"),
        ],
    )
    def test_a_storage_that_cannot_be_made_is_told(self, settings, storage, words):
        settings.STORAGES = {**settings.STORAGES, "jobsapi": storage}

        message = only_message()

        assert message.id == "jobsapi.E007"
        assert words in message.msg

    def test_a_storage_without_a_folder_is_fine(self, settings):
        settings.STORAGES = {
            **settings.STORAGES,
            "jobsapi": {"BACKEND": "django.core.files.storage.InMemoryStorage"},
        }

        assert check_settings() == []

    def test_a_relative_root_means_another_folder_to_each_process(self, settings, jobsapi_settings):
        jobsapi_settings(WORKSPACE_ROOT="workspaces", RESULT_ROOT="results")
        assert check_settings() == []
        del settings.BASE_DIR

        assert ids() == ["jobsapi.W003", "jobsapi.W003"]


class TestTheSite:
    def test_local_times_are_refused(self, settings):
        settings.USE_TZ = False

        assert ids() == ["jobsapi.E009"]

    def test_a_database_that_was_never_tested_is_warned_of(self, sqlite):
        sqlite["ENGINE"] = "django.db.backends.mysql"

        assert ids() == ["jobsapi.W006"]

    def test_pages_need_htmx(self, settings):
        settings.INSTALLED_APPS = [name for name in settings.INSTALLED_APPS if name != "django_htmx"]

        assert ids() == ["jobsapi.W007"]

    def test_a_job_type_whose_backend_nobody_has_named_is_told(self):
        class Orphan(BasicJob):
            backend = "slurm"

            class Meta:
                proxy = True
                app_label = "tests"

        try:
            message = only_message()
        finally:
            del Job.registry["Orphan"]

        assert message.id == "jobsapi.E010"
        assert "The job type Orphan needs the backend “slurm”" in message.msg


class TestCelery:
    @pytest.fixture
    def celery(self):
        """What is said when these of Celery's settings are others than ours."""

        def check(**changes):
            return list(celery_checks.check(ChainMap(changes, {"broker_url": "redis://"}, app.conf)))

        return check

    def test_ours_are_fine(self, celery):
        assert celery() == []
        assert celery(broker_url="amqp://host") == celery(broker_url=["redis://a", "rediss://b"]) == []

    @pytest.mark.parametrize("url", ["memory://", "filesystem://", "sqla+sqlite:///x", "sqs://key@"])
    def test_a_broker_that_cannot_do_it_is_refused_with_the_reason(self, celery, url):
        (message,) = celery(broker_url=url)

        assert (message.id, message.level) == ("jobsapi.E020", checks.ERROR)
        assert "cannot be used: " in message.msg
        assert "redis://host:6379/0" in message.hint

    @pytest.mark.parametrize("url", [None, "", "confluentkafka://host"])
    def test_a_broker_that_was_never_tested_or_named_is_warned_of(self, celery, url):
        assert ids(celery(broker_url=url)) == ["jobsapi.W020"]

    def test_a_message_that_comes_back_during_a_call_is_warned_of(self, celery, jobsapi_settings):
        options = dict(app.conf["broker_transport_options"])
        assert celery(broker_transport_options={**options, "visibility_timeout": 301}) == []

        (message,) = celery(broker_transport_options={**options, "visibility_timeout": 300})

        assert message.id == "jobsapi.W021"
        assert message.msg == "Redis sends a message again after 300 s, and a call may take 300 s."
        jobsapi_settings(RESULT_TIMEOUT=10.0, SUBMIT_TIMEOUT=400.0)
        assert ids(celery(broker_transport_options={**options, "visibility_timeout": 400})) == ["jobsapi.W021"]

    def test_time_outs_that_were_dropped_by_accident_are_missed(self, celery):
        (message,) = celery(broker_transport_options={"visibility_timeout": 3600})

        assert message.id == "jobsapi.W022"
        assert "socket_timeout, socket_connect_timeout not set" in message.msg

    @pytest.mark.parametrize(
        ("changes", "expected"),
        [
            ({"task_always_eager": True}, "jobsapi.E021"),
            ({"task_serializer": "pickle"}, "jobsapi.E022"),
            ({"accept_content": ["json", "pickle"]}, "jobsapi.E022"),
            ({"task_acks_late": False}, "jobsapi.W023"),
            ({"beat_schedule": {}}, "jobsapi.W025"),
            ({"result_backend": None}, "jobsapi.W026"),
            ({"result_backend": "disabled://"}, "jobsapi.W026"),
        ],
    )
    def test_other_changes_that_break_it_are_told(self, celery, changes, expected):
        (message,) = celery(**changes)

        assert message.id == expected
        assert message.hint

    def test_tasks_that_no_worker_takes_are_named(self, celery):
        (message,) = celery(task_routes={**app.conf["task_routes"], "jobsapi.submit": {"queue": "mine"}})

        assert message.id == "jobsapi.W024"
        assert "submit" in message.msg
        assert ids(celery(task_routes={}, task_default_queue="celery")) == ["jobsapi.W024"] * 4
        assert celery(task_routes=[("jobsapi.*", {"queue": "control"})]) == []

    def test_a_result_backend_that_is_not_installed_is_told(self, celery, settings):
        settings.INSTALLED_APPS = [name for name in settings.INSTALLED_APPS if name != "django_celery_results"]

        assert ids(celery()) == ["jobsapi.E023"]

    def test_the_dispatcher_has_it_asked_for_with_all_else(self, settings, jobsapi_settings):
        assert CeleryDispatcher.queues == ("control", "refresh", "submit", "results")
        assert list(CeleryDispatcher.check()) == []
        jobsapi_settings(RESULT_TIMEOUT=10**6)
        assert ids() == ["jobsapi.W021"]
        jobsapi_settings(RESULT_TIMEOUT=10**6, DISPATCHER="jobsapi.dispatch.ImmediateDispatcher")
        assert check_settings() == []


class TestAWorkerThatStarts:
    def test_it_refuses_settings_that_are_wrong(self, jobsapi_settings, caplog):
        jobsapi_settings(LEASE=0)

        with pytest.raises(SystemExit, match="The settings are wrong"):
            celery_checks.refuse_to_start()

        assert "(jobsapi.E005)" in caplog.text
        assert celery_checks.refuse_to_start in worker_init._live_receivers(None)

    def test_it_logs_what_is_doubtful_and_starts(self, jobsapi_settings, caplog):
        jobsapi_settings(SEALING_KEYS=("short",))

        celery_checks.refuse_to_start()

        assert [record.levelname for record in caplog.records] == ["WARNING"]
        assert "(jobsapi.W004)" in caplog.text

    def test_when_all_is_well_nothing_is_said(self, caplog):
        celery_checks.refuse_to_start()

        assert not caplog.records


def test_every_check_is_documented_and_every_documented_check_exists():
    root = Path(__file__).resolve().parents[1]
    sources = [*(root / "jobsapi" / "checks").glob("*.py"), root / "worker" / "checks.py"]
    known = {found for path in sources for found in re.findall(r'"(jobsapi\.[EWI]\d{3})"', path.read_text())}

    documented = re.findall(r"^\| `(jobsapi\.[EWI]\d{3})` \|", (root / "docs" / "settings.md").read_text(), re.M)

    assert sorted(documented) == documented == sorted(known)
