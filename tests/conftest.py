"""What every test may ask for."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis

from jobsapi.testing import FakeBackend
from tests.rig.condor import condor_pool, condor_tools, condor_workspace

__all__ = ["condor_pool", "condor_tools", "condor_workspace"]

# How long an example takes says nothing on a machine that others use; fixtures that hold no state may be shared.
LOOSE = {
    "deadline": None,
    "suppress_health_check": [HealthCheck.too_slow, HealthCheck.function_scoped_fixture, HealthCheck.data_too_large],
}
hypothesis.register_profile("quick", derandomize=True, database=None, max_examples=40, stateful_step_count=30, **LOOSE)
hypothesis.register_profile("long", max_examples=5_000, stateful_step_count=60, print_blob=True, **LOOSE)
hypothesis.load_profile("quick")


@pytest.fixture
def user(db, django_user_model):
    return django_user_model.objects.create_user("ada", password="pw")


@pytest.fixture
def fake(settings):
    """A scheduler in this process behind DaskJob, and messages that are worked off before ``execute()`` returns."""
    settings.JOBSAPI = {
        **settings.JOBSAPI,
        "BACKENDS": {"dask": "jobsapi.testing.FakeBackend", "condor": "jobsapi.testing.FakeBackend"},
        "DISPATCHER": "jobsapi.dispatch.ImmediateDispatcher",
        "LOST_GRACE": 0.0,
        "REFRESH_INTERVAL": 10.0,
    }
    return FakeBackend.reset()


@pytest.fixture
def silent(settings, fake):
    """As ``fake``, but every message is lost: a test calls the lifecycle itself."""
    settings.JOBSAPI = {**settings.JOBSAPI, "DISPATCHER": "jobsapi.dispatch.DummyDispatcher"}
    return fake


@pytest.fixture
def scheduler(db):
    from jobsapi.compute import create_dask_scheduler

    row = create_dask_scheduler("cluster", "127.0.0.1:1")
    row.save()
    return row


@pytest.fixture
def manager():
    from jobsapi.app import JobsApp

    class App(JobsApp):
        package = "tests"

    return App.get_job_manager()


@pytest.fixture
def make_job(manager, user, scheduler):
    """Create a DaskJob, not saved."""

    def make(name="job", **kwargs):
        return manager.create_job(name, user, job_type="DASK", **{"scheduler": scheduler, **kwargs})

    return make
