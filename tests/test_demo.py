"""The demo's ground: the HTCondor pool that it uses, workspaces that another account can write, and its verdict."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from django.utils import timezone

from jobsapi.models import BasicJob, CondorScheduler, SchedulerAssignment
from jobsapi.portal.demo import FAILS, DemoError, pool, processes
from jobsapi.portal.demo.display import display, table, verdict
from jobsapi.portal.demo.ground import addresses, prepare_database
from jobsapi.portal.supervisor import Command, Supervisor
from tests.rig.eventually import eventually


@pytest.fixture
def var(tmp_path):
    """The demo's folder, which is private."""
    folder = tmp_path / "demo"
    folder.mkdir(mode=0o700)
    return folder


@pytest.fixture
def tool(tmp_path, monkeypatch):
    """Put a program on the PATH, and nothing else of HTCondor."""
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")

    def make(name, script):
        (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / name).chmod(0o755)

    return make


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_the_variables_that_the_pool_tells_are_understood(monkeypatch):
    monkeypatch.setenv("PATH", "/usr/bin")
    told = """export CONDOR_CONFIG='/x y/config'\nexport PATH='/x/bin':"$PATH"\nexport HTCONDOR_POOL_PORT=''\n"""
    assert pool.exported(told) == {
        "CONDOR_CONFIG": "/x y/config",
        "PATH": "/x/bin:/usr/bin",
        "HTCONDOR_POOL_PORT": "",
    }


def test_without_its_tools_on_the_path_there_is_no_pool(tool):
    tool("condor_submit", "")
    assert pool.found_pool() == ""


def test_a_pool_whose_tools_are_on_the_path_and_that_does_not_work_is_told_in_its_own_words(tool):
    tool("condor_submit", "")
    tool("condor_q", "echo 'Failed to connect to queue manager' >&2; exit 1")
    with pytest.raises(DemoError, match="cannot be used: Failed to connect to queue manager"):
        pool.found_pool()


def test_a_pool_that_does_not_answer_is_not_waited_for(tool, monkeypatch):
    monkeypatch.setattr(pool, "ANSWER_WITHIN", 0.3)
    tool("condor_submit", "")
    tool("condor_q", "exec sleep 60")
    with pytest.raises(DemoError, match="does not answer within"):
        pool.found_pool()


@pytest.mark.services
def test_a_pool_whose_tools_are_on_the_path_is_used(condor_tools):
    assert pool.found_pool().startswith("the pool of /")


@pytest.mark.parametrize("there_before", [True, False])
def test_workspaces_move_to_where_another_account_can_write_and_all_else_stays_private(var, there_before):
    if there_before:
        (var / "workspaces" / "samples").mkdir(parents=True)
        (var / "workspaces" / "samples" / "kept").write_text("kept")
    for _ in range(2):  # the second demo finds what the first has made
        pool.open_workspaces(var)
        place = (var / "workspaces").resolve()
        assert not place.is_relative_to(var)
        assert (mode(place), mode(place.parent), mode(var)) == (0o1777, 0o711, 0o700)
        assert (place / "samples" / "kept").exists() == there_before
    subprocess.run(["rm", "-rf", place.parent], check=True)
    pool.open_workspaces(var)
    assert mode(place) == 0o1777
    subprocess.run(["rm", "-rf", place.parent], check=True)


@pytest.mark.skipif("os.geteuid() != 0", reason="only root can make a folder another's")
def test_a_place_that_somebody_else_has_made_is_not_used(var):
    pool.open_workspaces(var)
    place = (var / "workspaces").resolve().parent
    os.chown(place, 12345, 12345)
    with pytest.raises(DemoError, match="somebody else's"):
        pool.open_workspaces(var)
    subprocess.run(["rm", "-rf", place], check=True)


def test_what_the_workers_write_then_may_be_written_by_everybody_and_what_others_write_may_not(tmp_path):
    before = processes.celery(tmp_path)
    after = pool.opened(before)
    assert [one == other for one, other in zip(before, after, strict=True)] == [False, False, True]
    assert [list(command.argv[-len(before[0].argv) :]) for command in after[:2]] == [
        list(command.argv) for command in before[:2]
    ]

    write = Command(name="writer", argv=[sys.executable, "-c", f"open({str(tmp_path / 'file')!r}, 'w')"])
    with Supervisor(tmp_path / "logs") as supervisor:
        supervisor.run(pool.with_open_files(write))
    assert mode(tmp_path / "file") == 0o666


@pytest.mark.django_db
def test_the_samples_have_a_pool_when_the_demo_has_one_and_none_any_more_when_it_has_not():
    for has_one in (True, False, True):
        prepare_database("pw", "tcp://127.0.0.1:1", "", htcondor=has_one)
        assigned = SchedulerAssignment.objects.filter(package="samples", setting="htcondor")
        assert [(type(each.scheduler), each.scheduler.host) for each in assigned] == [(CondorScheduler, "")] * has_one
        assert SchedulerAssignment.objects.get(package="samples", setting="dask").scheduler.name == "demo"


@pytest.mark.django_db
def test_the_demo_has_a_user_like_any_other_and_an_administrator(django_user_model):
    prepare_database("pw", "tcp://127.0.0.1:1", "")
    users = {user.username: user for user in django_user_model.objects.all()}
    assert {name: (user.is_staff, user.is_superuser) for name, user in users.items()} == {
        "demo": (False, False),
        "admin": (True, True),
    }
    assert all(user.check_password("pw") for user in users.values())


@pytest.mark.parametrize("complete", [2, 4])
def test_the_last_line_says_how_the_samples_ended(tmp_path, capsys, complete):
    now = timezone.now()
    jobs = [BasicJob(name=f"job {number}", _status="COM") for number in range(complete)]
    jobs.append(BasicJob(name=FAILS, _status="ERR"))
    with Supervisor(tmp_path) as supervisor:
        assert verdict(supervisor, jobs, complete + 1) == 0
        assert capsys.readouterr().out == f"demo: {complete + 1} jobs, {complete} complete, 1 failed as intended\n"

        jobs[0] = BasicJob(pk=7, name="the pool's", _status="ERR", status_message="Exit code 1.", completion_time=now)
        assert verdict(supervisor, jobs, complete + 1) == 1
        assert "job 7 “the pool's” ended as Error. Exit code 1." in capsys.readouterr().err


def test_a_process_that_died_and_was_started_again_is_told_once_each_time(tmp_path, capsys):
    dies = Command(name="celery-work", argv=["sleep", "600"], restart=True)
    with Supervisor(tmp_path / "logs") as supervisor, display(supervisor) as show:
        process = supervisor.start(dies)
        lines = []
        for number in (1, 2):
            os.kill(process.pid, signal.SIGKILL)
            eventually(lambda number=number: supervisor.tend() or process.restarts == number)
            show([])
            show([])
            lines += capsys.readouterr().out.splitlines()
        assert table([], supervisor).caption == lines[-1]
    said = "celery-work died and was started again"
    assert lines == [said, f"{said}, 2 times by now"]


def test_jobs_of_the_demo_report_to_its_own_site_unless_the_user_has_named_another(monkeypatch):
    for name in ("JOBSAPI_PUBLIC_URL", "JOBSAPI_FLOWER_URL"):
        monkeypatch.delenv(name, raising=False)
    flower = {"JOBSAPI_FLOWER_URL": "http://127.0.0.1:5555"}
    assert addresses(8000, 5555) == {"JOBSAPI_PUBLIC_URL": "http://127.0.0.1:8000", **flower}
    monkeypatch.setenv("JOBSAPI_PUBLIC_URL", "https://jobs.example.org")
    assert addresses(8000, 5555) == flower


def test_the_pool_of_the_demo_is_the_project_s_own():
    assert os.access(pool.SCRIPT, os.X_OK)
    assert pool.SCRIPT.is_relative_to(Path(__file__).parents[1])
