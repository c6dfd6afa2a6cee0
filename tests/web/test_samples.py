"""The sample app: the page that a newcomer presses a button on, and the work behind it."""

from __future__ import annotations

import numpy as np
import pytest
from django.urls import reverse

from jobsapi.models import DaskJob, Job, SchedulerAssignment
from jobsapi.portal.demo import FAILS
from jobsapi.portal.samples import work
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


@pytest.mark.django_db
def test_without_a_scheduler_the_page_says_who_has_to_do_what(browser):
    answer = browser.post(reverse("samples-run"), follow=True)
    assert "An administrator can assign one" in answer.content.decode()
    assert not Job.objects.exists()


@pytest.mark.django_db
@pytest.mark.parametrize("name", ["samples", "samples-run"])
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
