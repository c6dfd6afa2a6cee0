"""What this portal has on a real Dask cluster, beside another portal and beside users who work there themselves."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from dask import delayed
from distributed import Client

from jobsapi import lifecycle
from jobsapi.backends.dask import scheduler as remote
from jobsapi.compute import create_dask_scheduler
from jobsapi.models import DaskJob, Job, Stray
from tests.backends.conftest import Desk
from tests.rig import dask_tasks as tasks
from tests.rig.dask import DaskCluster
from tests.rig.eventually import eventually

pytestmark = pytest.mark.services


@pytest.fixture
def theirs(cluster: DaskCluster) -> Iterator[Client]:
    """A user's own client, with a dataset of his own that looks like the portal's."""
    with Client(cluster.address, set_as_default=False) as client:
        client.publish_dataset(client.submit(sum, (1, 2), key="theirs"), name="jobsapi/mine/first")
        yield client
        client.unpublish_dataset("jobsapi/mine/first")


def test_an_inventory_has_what_is_ours_and_nothing_of_others(desk: Desk, theirs: Client, settings: Any) -> None:
    one, two = desk.execute(delayed(tasks.add_one)(1)), desk.execute([delayed(tasks.add_one)(n) for n in range(2)])
    for portal in ("jobsapi2", "jobsapi/inner", "job"):
        settings.JOBSAPI = {**settings.JOBSAPI, "PORTAL": portal}
        desk.execute(delayed(tasks.add_one)(1))
    settings.JOBSAPI = {**settings.JOBSAPI, "PORTAL": "jobsapi"}
    desk.ended(one), desk.ended(two)

    found = {each.uid: each for each in desk.backend.inventory()}

    assert {one.uid, two.uid} <= set(found)
    assert all(each.id.count("/") == 2 and each.id.startswith("jobsapi/") for each in found.values())
    assert "jobsapi/mine/first" not in {each.id for each in found.values()}
    mine = found[one.uid]
    assert (mine.submission_id, mine.native_id, mine.words) == (one.submission_id, one.native_id, "1 done")
    assert (mine.name, mine.kind) == ("add_one", "DaskJob")
    assert mine.size
    assert found[two.uid].native_id == two.native_id
    assert found[two.uid].words == "2 done"


def test_what_is_discarded_goes_and_another_attempt_and_the_user_s_own_future_stay(
    desk: Desk, theirs: Client, cluster: DaskCluster
) -> None:
    future = theirs.submit(tasks.add_one, 41)
    pinned, other = desk.prepared(future), desk.execute(delayed(tasks.add_one)(1))
    (found,) = [each for each in desk.backend.inventory() if each.uid == pinned.uid]

    desk.backend.discard(found)
    desk.backend.discard(found)

    assert pinned.uid not in {each.uid for each in desk.backend.inventory()}
    assert other.uid in {each.uid for each in desk.backend.inventory()}
    assert future.result(timeout=20) == 42
    assert "jobsapi/mine/first" in cluster.datasets()


def test_what_was_reserved_and_never_published_is_found_and_discarded(desk: Desk) -> None:
    job = desk.prepared(delayed(tasks.add_one)(1))
    name = f"jobsapi/{job.uid.hex}/{job.submission_id.hex}"
    desk.backend.exchanges.run(remote.reserve, name, ["never-sent"], timeout=10)

    (found,) = [each for each in desk.backend.inventory() if each.id == name]
    assert (found.kind, found.words) == ("", "reserved, and never published")

    desk.backend.discard(found)
    assert name not in {each.id for each in desk.backend.inventory()}


@pytest.mark.django_db(transaction=True)
def test_a_dataset_whose_row_is_gone_becomes_a_job_with_its_result(
    cluster: DaskCluster, settings: Any, user: Any, manager: Any, tmp_path: Path
) -> None:
    settings.JOBSAPI = {**settings.JOBSAPI, "DISPATCHER": "jobsapi.dispatch.DummyDispatcher", "LOST_GRACE": 0.0}
    scheduler = create_dask_scheduler("dask", cluster.address, timeout="20")
    scheduler.save()
    job: DaskJob = manager.create_job("gone", user, job_type="DASK", scheduler=scheduler)
    job.execute(delayed(tasks.noted)(str(tmp_path), "value"))
    lifecycle.submit(job.pk)
    Job._base_manager.filter(pk=job.pk).delete()
    for _ in range(2):
        lifecycle.reconcile(scheduler.pk)
    stray = Stray.objects.get(uid=job.uid)
    assert stray.why == "No job of the portal knows of it."

    stray.request(Stray.ADOPT, "root", user, "tests")
    lifecycle.reconcile(scheduler.pk)

    adopted = Job.objects.get()
    assert (adopted.name, adopted.label, adopted.uid) == ("noted", "tests", job.uid)
    eventually(lambda: lifecycle.refresh(scheduler.pk) or Job.objects.get().cached_status == "Results-Ready")
    lifecycle.fetch_results(adopted.pk)
    lifecycle.cleanup(adopted.pk)
    assert (Job.objects.get().cached_status, Job.objects.get().result) == ("Complete", "value")
    assert (tmp_path / "runs").read_text() == "x"
    assert not any(job.uid.hex in name for name in cluster.datasets())
    adopted.backend_class()(scheduler).close()
