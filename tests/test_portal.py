"""The portal as a site of its own: its pages without and with apps, its health page, its static files, its folders."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys

import pytest
from asgiref.sync import async_to_sync
from django.test import AsyncClient

from jobsapi.portal.demo import ROOT

ASK = """
import json, sys
import django
django.setup()
from django.test import Client
client, answers = Client(), {}
for address in sys.argv[1:]:
    answer = client.get(address, headers={"host": "localhost"})
    body = b"".join(answer.streaming_content) if answer.streaming else answer.content
    answers[address] = [answer.status_code, answer.get("Location"), body.decode(errors="replace")]
print(json.dumps(answers))
"""


@pytest.fixture
def site(tmp_path):
    """Start a portal of its own in another process and ask it for pages: status, Location and text of each."""
    base = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}",
        "DJANGO_SETTINGS_MODULE": "jobsapi.portal.settings",
        "SECRET_KEY": "x" * 50,
        "JOBSAPI_VAR": str(tmp_path / "var"),
        "JOBSAPI_HTTPS": "0",
        "ALLOWED_HOSTS": "localhost",
    }

    def python(*arguments: str, **variables: str) -> str:
        done = subprocess.run(
            [sys.executable, *arguments],
            env={**base, **variables},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(done.stderr)
        return done.stdout

    def ask(*addresses: str, **variables: str) -> dict[str, list]:
        python("-m", "django", "migrate", "--verbosity=0", **variables)
        return json.loads(python("-c", ASK, *addresses, **variables).splitlines()[-1])

    ask.python = python
    return ask


@pytest.fixture
def tide(tmp_path):
    """A team's own app: a home page, one more page, a login page and a style of its own."""
    app = tmp_path / "tide"
    for folder in ("templates/registration", "static/tide"):
        (app / folder).mkdir(parents=True)
    (app / "__init__.py").touch()
    (app / "urls.py").write_text(
        "from django.http import HttpResponse\nfrom django.urls import path\n"
        "urlpatterns = [path('', lambda request: HttpResponse('high tide')),"
        " path('tide/', lambda request: HttpResponse('low tide')),"
        " path('admin/', lambda request: HttpResponse('not the admin'))]"
    )
    (app / "templates/registration/login.html").write_text(
        "{% load static %}Come in. {% static 'tide/tide.css' %} {% static 'jobsapi/table.css' %}"
    )
    (app / "static/tide/tide.css").write_text("body { color: blue }")
    return "tide"


def test_a_site_without_an_app_has_the_table_of_jobs_as_its_home_and_a_login_page(site):
    answers = site("/", "/jobs/", "/accounts/login/", "/demo/", "/static/jobsapi/table.css", "/favicon.ico")
    assert answers["/"][:2] == [302, "/jobs/"]
    assert answers["/jobs/"][:2] == [302, "/accounts/login/?next=/jobs/"]
    assert answers["/accounts/login/"][0] == 200
    assert "<h1>Log in</h1>" in answers["/accounts/login/"][2]
    assert answers["/demo/"][0] == 404
    assert answers["/static/jobsapi/table.css"][0] == 200
    assert answers["/favicon.ico"][:2] == [302, "/static/jobsapi/icon.svg"]


def test_the_environment_alone_adds_an_app_with_its_addresses_and_templates(site, tide):
    answers = site("/", "/tide/", "/accounts/login/", "/admin/", "/static/tide/tide.css", JOBSAPI_APPS=tide)
    assert answers["/"][2] == "high tide"
    assert answers["/tide/"][2] == "low tide"
    assert answers["/accounts/login/"][2].startswith("Come in.")
    assert answers["/admin/"][:2] == [302, "/admin/login/?next=/admin/"]  # the portal's own addresses go before
    assert answers["/static/tide/tide.css"][2] == "body { color: blue }"


def test_collected_files_have_names_that_change_with_their_content_and_may_be_kept_for_ever(site, tide, tmp_path):
    folder = {"JOBSAPI_STATIC": str(tmp_path / "static"), "JOBSAPI_APPS": tide}
    site.python("-m", "django", "collectstatic", "--no-input", **{**folder, "SECRET_KEY": ""})
    page = site("/accounts/login/", **folder)["/accounts/login/"][2]
    own, ours = page.removeprefix("Come in. ").split()
    assert own.startswith("/static/tide/tide.")
    assert own != "/static/tide/tide.css"
    answers = json.loads(site.python("-c", ASK, own, ours, **folder).splitlines()[-1])
    assert (answers[own][0], answers[own][2], answers[ours][0]) == (200, "body { color: blue }", 200)
    assert list((tmp_path / "static/jobsapi").glob("table.*.css.gz"))


def test_an_installed_portal_asks_where_it_may_write_instead_of_writing_beside_its_code(site, tmp_path):
    shutil.copytree(ROOT / "jobsapi", tmp_path / "jobsapi", ignore=shutil.ignore_patterns("__pycache__"))
    show = "from jobsapi.portal import settings; print(settings.VAR_DIR)"
    assert site.python("-c", show) == f"{tmp_path / 'var'}\n"
    with pytest.raises(RuntimeError, match=r"ImproperlyConfigured: JOBSAPI_VAR is not set\."):
        site.python("-c", show, JOBSAPI_VAR="")


@pytest.mark.django_db
def test_the_health_page_needs_no_name_no_https_and_no_login_and_is_not_kept(client, settings):
    settings.SECURE_SSL_REDIRECT = True
    answer = client.get("/healthz", headers={"host": "10.0.0.1"})
    assert (answer.status_code, answer.content) == (200, b"ok\n")
    assert answer["Cache-Control"] == "no-store"
    assert client.get("/jobs/", headers={"host": "localhost"}).status_code == 301


@pytest.mark.django_db
def test_the_health_page_answers_under_asgi_too():
    answer = async_to_sync(AsyncClient().get)("/healthz", headers={"host": "10.0.0.1"})
    assert (answer.status_code, answer.content) == (200, b"ok\n")


def test_without_a_database_the_health_page_says_so_and_no_more(site):
    lost = "postgres://nobody:secret@127.0.0.1:1/none?connect_timeout=1"
    said = site.python("-c", ASK, "/healthz", "/readyz", "/accounts/login/", DATABASE_URL=lost).splitlines()[-1]
    answers = json.loads(said)
    assert answers["/healthz"] == [503, None, "the database does not answer\n"]
    assert answers["/readyz"] == [503, None, "not ready\nFAIL database: does not answer\n"]
    assert answers["/accounts/login/"][0] == 200
