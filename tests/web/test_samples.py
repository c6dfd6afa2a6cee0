"""The sample app: the page that a newcomer presses a button on, and the work behind it."""

from __future__ import annotations

import shutil
import subprocess
from types import SimpleNamespace

import cloudpickle
import numpy as np
import pytest
from django.urls import reverse

from jobsapi.models import CondorJob, CondorScheduler, CondorWorkflow, DaskJob, Job, SchedulerAssignment
from jobsapi.portal.demo import FAILS
from jobsapi.portal.samples import programs, work
from jobsapi.portal.samples.app import SampleApp
from jobsapi.status import Status


@pytest.fixture
def browser(client, ada):
    client.force_login(ada)
    return client


@pytest.fixture
def assigned(cluster_row):
    SchedulerAssignment.objects.create(package="samples", setting="dask", scheduler=cluster_row)


@pytest.mark.django_db
def test_the_button_runs_three_jobs_and_shows_them(browser, assigned, ada):
    answer = browser.post(reverse("samples-run"))
    assert (answer.status_code, answer.url) == (302, "/jobs/")
    jobs = list(Job.objects.order_by("pk"))
    assert [(type(job), job._status, job.label, job.user) for job in jobs] == 3 * [
        (DaskJob, Status.SUBMITTED, "samples", ada)
    ]
    assert jobs[0].name == f"Monte Carlo estimate of π (job {jobs[0].pk})"
    assert jobs[2].name == FAILS
    assert list(SampleApp.get_job_manager().list_jobs(user=ada)) == jobs


@pytest.fixture
def pool(db):
    scheduler = CondorScheduler.objects.create(name="pool", host="")
    SchedulerAssignment.objects.create(package="samples", setting="htcondor", scheduler=scheduler)


def test_the_second_button_is_there_with_a_pool_and_runs_a_job_and_a_workflow(browser, assigned, pool, ada):
    assert "Run the two HTCondor samples" in browser.get(reverse("samples")).content.decode()
    answer = browser.post(reverse("samples-run-htcondor"))
    assert (answer.status_code, answer.url) == (302, "/jobs/")
    estimate, flood = Job.objects.order_by("pk")
    assert [(type(job), job._status, job.user) for job in (estimate, flood)] == [
        (CondorJob, Status.SUBMITTED, ada),
        (CondorWorkflow, Status.SUBMITTED, ada),
    ]
    assert estimate.num_jobs == 4
    assert [(node.name, [parent.name for parent in node.parents]) for node in flood.nodes] == [
        ("rain", []),
        ("runoff", ["rain"]),
        ("report", ["runoff"]),
    ]
    assert flood.outputs["report.txt"] == f"{flood.folder.name}/report/report.txt"


@pytest.mark.parametrize(("setting", "shown"), [("htcondor", True), ("dask", False)])
def test_what_needs_a_pool_is_shown_where_there_is_one(browser, cluster_row, setting, shown):
    SchedulerAssignment.objects.create(package="samples", setting=setting, scheduler=cluster_row)
    page = browser.get(reverse("samples")).content.decode()
    assert ("Run the two HTCondor samples" in page) == ("CondorWorkflowJobNode(" in page) == shown


@pytest.mark.django_db
def test_without_a_pool_the_second_button_says_who_has_to_do_what(browser, assigned):
    answer = browser.post(reverse("samples-run-htcondor"), follow=True)
    assert "No scheduler is assigned to the setting “htcondor”" in answer.content.decode()
    assert not Job.objects.exists()


@pytest.mark.django_db
def test_without_a_scheduler_the_page_says_who_has_to_do_what(browser):
    answer = browser.post(reverse("samples-run"), follow=True)
    assert "An administrator can assign one" in answer.content.decode()
    assert not Job.objects.exists()


@pytest.mark.django_db
@pytest.mark.parametrize("name", ["samples", "samples-run", "samples-run-htcondor"])
def test_strangers_are_led_to_the_login(client, name):
    answer = client.post(reverse(name))
    assert answer.url == f"{reverse('login')}?next={reverse(name)}"


@pytest.mark.django_db
def test_jobs_are_run_by_post_alone_and_the_page_shows_the_code_that_runs_them(browser, assigned):
    assert browser.get(reverse("samples-run")).status_code == 405
    page = browser.get(reverse("samples")).content.decode()
    assert "Run the three sample jobs" in page
    assert "job_manager.create_job(" in page
    assert not Job.objects.exists()


@pytest.mark.django_db
def test_a_site_adds_its_own_links_to_the_pages_of_the_app_by_templates_of_the_same_name(browser, settings):
    assert settings.INSTALLED_APPS[0] == "jobsapi.portal.samples"
    page = browser.get("/jobs/").content.decode()
    assert '<a href="/demo/">Sample jobs</a>' in page
    assert 'action="/demo/run/"' in page


@pytest.mark.django_db
def test_the_login_leads_back_to_where_one_was_going(client, ada):
    page = client.get("/demo/", follow=True)
    assert "registration/login.html" in [template.name for template in page.templates]
    answer = client.post(reverse("login"), {"username": "ada", "password": "pw", "next": "/demo/"})
    assert answer.url == "/demo/"
    wrong = client.post(reverse("login"), {"username": "ada", "password": "no"})
    assert "correct username and password" in wrong.content.decode()


def test_the_hits_of_all_tasks_make_an_estimate_of_pi(monkeypatch):
    monkeypatch.setattr(work, "POINTS", 10 * work.ROUND)
    estimate = work.estimate_pi([work.count_hits(seed) for seed in range(4)])
    assert abs(estimate["pi"] - np.pi) < 5 * estimate["standard error"]
    assert work.count_hits(1) != work.count_hits(2)


def test_the_tasks_of_the_estimate_say_what_each_has_found(monkeypatch):
    monkeypatch.setattr(work, "POINTS", work.ROUND)
    said = []
    graph = work.count_in_batches(3, lambda message: said.append(message) or True)
    assert graph.compute(scheduler="synchronous") == work.count_in_batches(3).compute(scheduler="synchronous")
    assert sorted(words[:19] for words in said) == [f"Batch {number} puts π at 3" for number in (1, 2, 3)]


@pytest.mark.parametrize("address", ["", "http://127.0.0.1:8000"])
def test_the_estimate_reports_where_jobs_know_the_address_of_the_site(browser, assigned, settings, address):
    settings.JOBSAPI = {**settings.JOBSAPI, "PUBLIC_URL": address}
    assert browser.post(reverse("samples-run")).url == "/jobs/"
    estimate = Job.objects.order_by("pk").first()
    _, function, arguments, named = cloudpickle.loads(estimate.open_input())
    assert (function, arguments) == (work.count_in_batches, (work.TASKS,))
    assert named == ({} if address else {"reporter": None})


def test_the_procs_of_the_estimate_are_put_together_whatever_other_files_lie_there(tmp_path):
    for proc, hits in enumerate([78_540, 78_530, 78_550]):
        (tmp_path / f"hits.{proc}").write_text(f"{hits} 100000\n")
    (tmp_path / "logs").mkdir()
    job = SimpleNamespace(initial_dir=str(tmp_path))
    assert programs.estimate_pi(job) == {"pi": 3.1416, "standard error": 0.002998, "points": 300_000}


def test_each_program_of_the_workflow_takes_what_the_one_before_has_written(tmp_path):
    folder = tmp_path / "report"
    shutil.copytree(programs.FOLDER, folder)
    for name in ("rain", "runoff", "report"):
        subprocess.run([folder / f"{name}.sh"], cwd=folder, check=True)
    report = programs.flood_report(SimpleNamespace(folder=tmp_path))
    assert report["highest rain in mm/h"] == 18
    assert 0 < report["highest runoff in mm/h"] < 18
    assert report["hours between them"] > 0


def test_the_programs_have_points_of_their_own_in_each_proc(tmp_path):
    script = (programs.FOLDER / "count_hits.sh").read_text().replace("points=20000000", "points=1000")
    (tmp_path / "count_hits.sh").write_text(script)
    said = [
        subprocess.run(["sh", "count_hits.sh", str(proc)], cwd=tmp_path, check=True, capture_output=True).stdout
        for proc in range(4)
    ]
    assert len(set(said)) == 4
    assert all(600 < int(hits) < 1000 and points == b"1000" for hits, points in map(bytes.split, said))


def test_the_plate_in_pieces_is_as_warm_as_the_plate_in_one():
    start = np.zeros((work.CELLS, work.CELLS))
    start[: work.CELLS // 4, : work.CELLS // 4] = 100.0
    blocks = work.CELLS // work.BLOCK
    whole = work.diffuse(start, 200).reshape(blocks, work.BLOCK, blocks, work.BLOCK).mean(axis=(1, 3)).round(1)
    in_pieces = work.heat_in_a_plate(rounds=200).compute(scheduler="synchronous")
    assert isinstance(in_pieces, np.ndarray)
    np.testing.assert_allclose(in_pieces, whole, atol=0.11)


def test_the_simulation_says_which_of_its_numbers_makes_no_sense():
    assert work.simulate([1.0, 2.5]) == 3.5
    with pytest.raises(ValueError, match=r"station 2 has a depth of -1\.0 m"):
        work.simulate([1.0, -1.0])
