"""A Dask scheduler is put to the test: what an administrator reads, and that nothing of it is left."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dask
import pytest

from jobsapi.backends.base import Finding
from jobsapi.backends.dask import DaskBackend
from jobsapi.backends.dask.health import fit, workers
from jobsapi.exceptions import BackendUnavailable
from tests.backends.conftest import Desk, FakeScheduler
from tests.rig.dask import DaskCluster, silent_listener
from tests.rig.dask_tasks import until
from tests.rig.eventually import eventually

STEPS = ["Connection", "Credentials", "Versions", "Workers", "A tiny job"]


def found(backend: DaskBackend) -> dict[str, Finding]:
    """What each step has found."""
    return {step.title: step.run() for step in backend.check()}


def test_a_scheduler_that_works_is_said_to_by_every_step(desk: Desk) -> None:
    findings = found(desk.backend)

    assert {title: finding.outcome for title, finding in findings.items()} == dict.fromkeys(STEPS, "good")
    assert findings["Workers"].capacity == 2
    assert findings["Workers"].message == "2 workers with 2 threads."
    assert f"dask {dask.__version__}" in findings["Versions"].message
    assert "its value came back" in findings["A tiny job"].message


def test_nothing_of_the_test_is_left_and_nobodys_connection_is_cut(own_desk: Desk, own_cluster: DaskCluster) -> None:
    own_desk.backend.open()

    found(own_desk.backend)

    assert own_desk.backend.exchanges.connected
    eventually(lambda: not [key for key in own_cluster.known_keys() if "trial" in key])


def test_a_silent_scheduler_costs_its_time_out() -> None:
    with silent_listener() as address:
        (step, *_) = DaskBackend(FakeScheduler(address, timeout="0.3")).check()
        with pytest.raises(BackendUnavailable, match=r"answered at tcp://127.0.0.1:\d+ within 0.3 s"):
            step.run()


def test_a_frozen_scheduler_is_found_to_be_although_a_connection_is_kept(
    own_desk: Desk, own_cluster: DaskCluster
) -> None:
    own_desk.backend.open()
    own_desk.scheduler.timeout = "0.5"
    with own_cluster.frozen():
        (step, *_) = own_desk.backend.check()
        with pytest.raises(BackendUnavailable, match=r"within 0\.5 s"):
            step.run()


def test_a_cluster_without_workers_has_its_job_not_tried() -> None:
    with DaskCluster(workers=0) as cluster:
        findings = found(DaskBackend(FakeScheduler(cluster.address)))

    assert findings["Workers"].outcome == findings["A tiny job"].outcome == "doubtful"
    assert "No worker is connected" in findings["Workers"].message
    assert "Not tried" in findings["A tiny job"].message


def test_a_busy_cluster_is_no_failure(own_desk: Desk, own_cluster: DaskCluster, settings: Any, tmp_path: Path) -> None:
    settings.JOBSAPI = {**settings.JOBSAPI, "TRIAL_TIMEOUT": 0.5}
    own_desk.execute(dask.delayed(until)(str(tmp_path / "go on")))

    findings = found(own_desk.backend)

    assert findings["A tiny job"].outcome == "doubtful"
    assert "did not end within 0.5 s" in findings["A tiny job"].message
    tmp_path.joinpath("go on").touch()
    eventually(lambda: not [key for key in own_cluster.known_keys() if "trial" in key])


def answer(**packages: str) -> dict[str, Any]:
    """What one place tells of itself."""
    python = packages.pop("python", "3.11.7.final.0")
    return {
        "host": {"python": python},
        "packages": {"dask": "2026.8.0", "distributed": "2026.8.0", "cloudpickle": "3.1", **packages},
    }


def test_other_versions_at_the_cluster_are_named_with_what_to_do() -> None:
    finding = fit({"client": answer(), "scheduler": answer(), "workers": {"tcp://w": answer(dask="2025.4.1")}})

    assert finding.outcome == "doubtful"
    assert finding.message == (
        "dask is 2026.8.0 here, at the scheduler; 2025.4.1 at worker tcp://w. "
        "Install the same versions at both ends, or jobs may fail to open."
    )


def test_a_thousand_workers_are_told_in_a_word() -> None:
    many = {f"tcp://w{number}": answer(python="3.13.1.final.0") for number in range(1000)}

    finding = fit({"client": answer(), "scheduler": answer(), "workers": many})

    assert "python is 3.11.7 here, at the scheduler; 3.13.1 at 1,000 workers." in finding.message


def test_pythons_that_differ_in_the_last_number_fit() -> None:
    finding = fit({"client": answer(), "scheduler": answer(python="3.11.2.final.0"), "workers": {}})

    assert finding.outcome == "good"
    assert "python" in finding.facts


def test_workers_are_counted_with_their_threads() -> None:
    assert workers({"workers": {"tcp://w": {}}}, 4).message == "1 worker with 4 threads."
    assert workers({"workers": {}}, 0).outcome == "doubtful"
