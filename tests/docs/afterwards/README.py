"""The view of the README answers, and its job is computed."""

from django.test import Client
from django.urls import path


def holds(page):
    from flood import views
    from mysite import urls

    urls.urlpatterns += [path("simulate/", views.simulate)]
    client = Client()
    client.force_login(page.user)

    assert client.post("/simulate/").headers["location"] == "/jobs/"

    job = page.job_manager.list_jobs(user=page.user).last()
    assert job.wait(60) == "Complete", job.status_message
    assert job.result == 8.5
    assert f"flood {job.pk}" in client.get("/jobs/").text
