"""What would make jobs fail later is said when the site starts."""

import copy

import pytest
from django.core import checks
from django.core.checks import run_checks

from jobsapi.checks import check_settings


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
