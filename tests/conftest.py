"""What every test may ask for."""

from __future__ import annotations

import pytest

from jobsapi.testing import FakeBackend
from tests.rig.condor import condor_pool, condor_tools, condor_workspace

__all__ = ["condor_pool", "condor_tools", "condor_workspace"]


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
