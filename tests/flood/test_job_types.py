"""A job type is a class in an app's ``job_types.py``, and nothing else has to know of it."""

import inspect
import pickle

import pytest
from django.core.management import call_command

from jobsapi import lifecycle
from jobsapi.exceptions import InvalidJob
from jobsapi.models import DaskJob, Job
from jobsapi.testing import FakeBackend
from tests.flood.job_types import FloodJob

pytestmark = pytest.mark.django_db(transaction=True)

ATTRIBUTES = {"river": "Elbe", "gauges": ["Dresden", "Meissen"], "cell_size": 2.5}


@pytest.fixture
def flood(manager, user, scheduler):
    def make(job_type="FLOOD", **attributes):
        return manager.create_job("flood {id}", user, job_type=job_type, scheduler=scheduler, **attributes)

    return make


def test_it_takes_about_fifteen_lines():
    assert len(inspect.getsource(FloodJob).splitlines()) <= 15


@pytest.mark.parametrize("job_type", ["FLOOD", "HYDRO", "FloodJob", FloodJob])
def test_it_is_created_by_its_names_or_its_class(flood, job_type):
    assert type(flood(job_type)) is FloodJob


def test_its_attributes_are_saved_and_come_back_in_its_class(flood, manager):
    job = flood(**ATTRIBUTES)
    job.save()

    (found,) = manager.list_jobs()

    assert type(found) is FloodJob
    assert {name: getattr(found, name) for name in ATTRIBUTES} == ATTRIBUTES
    found.gauges.append("Torgau")
    found.forget = True
    found.save()
    assert Job.objects.get().gauges == ["Dresden", "Meissen", "Torgau"]
    assert Job.objects.get().spec == {**ATTRIBUTES, "gauges": ["Dresden", "Meissen", "Torgau"], "forget": True}


def test_each_job_has_defaults_of_its_own(flood):
    one, two = flood(), flood()
    one.gauges.append("Dresden")

    assert (two.gauges, two.river, two.cell_size, two.forget) == ([], "", 10.0, False)
    assert FloodJob.cell_size.__doc__ == "In metres."


def test_an_attribute_that_it_does_not_have_is_refused(flood):
    with pytest.raises(TypeError, match="lake"):
        flood(lake="Constance")


def test_an_attribute_that_is_no_json_is_refused_at_the_call(flood):
    with pytest.raises(InvalidJob, match="attributes must be JSON"):
        flood(gauges={"Dresden"})


def test_it_is_run_as_what_it_is(fake, flood):
    job = flood(**ATTRIBUTES)

    job.execute("work")
    FakeBackend.finish(job, 7.42)
    lifecycle.refresh(job.scheduler_id)

    found = DaskJob.objects.get()
    assert (type(found), found.cached_status, found.result, found.river) == (FloodJob, "Complete", 7.42, "Elbe")
    assert found.name == f"flood {found.pk}"


def test_it_survives_pickling(flood):
    job = flood(**ATTRIBUTES)
    job.save()

    assert pickle.loads(pickle.dumps(job)).gauges == ["Dresden", "Meissen"]


def test_no_migration_is_missing():
    call_command("makemigrations", check=True, dry_run=True, verbosity=0)


def test_another_class_of_the_same_name_is_refused():
    with pytest.raises(TypeError, match=r"tests\.flood\.job_types has a FloodJob already"):
        type("FloodJob", (DaskJob,), {"__module__": "tests.elsewhere", "Meta": type("Meta", (), {"proxy": True})})
    assert Job.registry["FloodJob"] is FloodJob
