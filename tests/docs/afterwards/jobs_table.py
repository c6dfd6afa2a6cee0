"""The view shows the jobs, its action does what it says, and its template is whole."""

import re

from django.test import Client
from django.urls import include, path


def holds(page):
    from mysite import urls

    urls.urlpatterns += [path("", include("flood.urls"))]
    client = Client()
    client.force_login(page.user)

    shown = client.get("/forecasts/").text

    assert page.job.name in shown
    assert "River" in shown
    assert "/static/jobsapi/table.css" in shown
    assert "Show it to everybody?" in shown
    token = re.search(r'name="token" value="([^"]+)"', shown)[1]
    publish = re.search(rf'hx-post="(/jobs/table/\d+/{page.job.pk}/)"[^>]*>Publish<', shown)[1]
    said = client.post(publish, {"token": token, "confirmed": "yes"}, follow=True)
    assert said.redirect_chain == [("/forecasts/", 302)]
    page.job.refresh_from_db()
    assert page.job.extended_properties == {"published": True}
