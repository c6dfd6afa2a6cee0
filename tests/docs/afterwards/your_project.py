"""The pages are there, and lead to a login."""

from django.test import Client


def holds(page):
    client = Client()
    assert client.get("/jobs/", follow=True).status_code == 200
    assert client.get("/jobs/").headers["location"].startswith("/admin/login/")

    client.force_login(page.user)
    assert "Your jobs" in client.get("/jobs/").text
    assert page.app.get_scheduler("cluster").name == "our cluster"
