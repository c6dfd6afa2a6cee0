"""What a stranger, or a page of another site, can do with the addresses of the portal."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
from email.message import EmailMessage

import pytest
from django.urls import reverse

from jobsapi.backends.condor.transport.remote import unpacked
from jobsapi.portal.demo import ROOT
from jobsapi.web.job.downloads import Download, plain_name

ELSEWHERE = [
    "https://evil.example.org/",
    "//evil.example.org",
    "/\\evil.example.org",
    "javascript:alert(1)",
    "\t//evil",
]


@pytest.mark.django_db
@pytest.mark.parametrize("address", ELSEWHERE)
def test_nothing_leads_to_another_site(client, make_job, user, address):
    job = make_job()
    job.save()
    login = client.post(reverse("login"), {"username": "ada", "password": "pw", "next": address})
    after = client.post(reverse("jobsapi:job-stop", args=[job.pk]), {"next": address})

    assert (login.status_code, login["Location"]) == (302, "/")
    assert (after.status_code, after["Location"]) == (302, reverse("jobsapi:jobs"))


@pytest.mark.django_db
def test_another_host_name_is_refused_everywhere_but_for_probes(client, user):
    client.force_login(user)

    for name in ("home", "login", "jobsapi:jobs", "admin:index", "password_reset"):
        assert client.get(reverse(name), headers={"host": "evil.example.org"}).status_code == 400, name
    assert client.get("/healthz", headers={"host": "evil.example.org"}).status_code == 200


@pytest.mark.django_db
def test_every_answer_refuses_to_be_framed_or_guessed_at(client, user):
    addresses = [reverse("login"), reverse("jobsapi:jobs"), "/jobs/999999/", "/nothing", reverse("admin:login")]
    for logged_in in (False, True):
        if logged_in:
            client.force_login(user)
        for address in addresses:
            answer = client.get(address)
            assert answer["X-Frame-Options"] == "DENY", address
            assert answer["X-Content-Type-Options"] == "nosniff", address
            assert "frame-ancestors 'none'" in answer["Content-Security-Policy"], address


def test_the_portal_is_safe_unless_told_otherwise():
    """Its settings with nothing set but what must be, as another process reads them."""
    known = {"PATH": os.environ["PATH"], "SECRET_KEY": "x" * 60, "ALLOWED_HOSTS": "jobs.example.org"}
    safe = {
        "DEBUG": False,
        "SESSION_COOKIE_SECURE": True,
        "SESSION_COOKIE_HTTPONLY": True,
        "SESSION_COOKIE_SAMESITE": "Lax",
        "CSRF_COOKIE_SECURE": True,
        "SECURE_SSL_REDIRECT": True,
        "SESSION_SERIALIZER": "django.contrib.sessions.serializers.JSONSerializer",
    }
    script = (
        "from django.conf import settings\n"
        f"print({{name: getattr(settings, name) for name in {list(safe)}}} == {safe}, settings.SECURE_HSTS_SECONDS > 0)"
    )
    environment = {**known, "DJANGO_SETTINGS_MODULE": "jobsapi.portal.settings", "JOBSAPI_VAR": "/nonexistent"}
    environment["DATABASE_URL"] = "sqlite://:memory:"
    said = subprocess.run(
        [sys.executable, "-c", script], env=environment, cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert said.stdout == "True True\n"


@pytest.mark.parametrize(
    "name", ['a"; filename="b.exe', "a\r\nSet-Cookie: x=y", "ünïcode \u202etxt.exe", "../../etc/passwd", "\x00", ""]
)
def test_no_name_of_a_file_breaks_out_of_its_header(rf, tmp_path, name):
    (tmp_path / "file").write_bytes(b"x")

    with (tmp_path / "file").open("rb") as file:
        answer = Download(rf.get("/"), file, plain_name(name), 1)

    header = answer["Content-Disposition"]
    assert header.startswith("attachment")
    assert header.isascii()
    assert header.isprintable()
    said = EmailMessage()
    said["Content-Disposition"] = header
    assert said.get_filename() == plain_name(name)
    assert not set("/\\\r\n\0") & set(plain_name(name))
    assert "Set-Cookie" not in answer.headers


def test_an_archive_that_stands_for_a_terabyte_is_refused(tmp_path):
    """What a hostile submit host can answer when it is asked for small files."""
    with (tmp_path / "bomb").open("wb") as file:
        file.truncate(1024**4)
    packed = subprocess.run(
        ["tar", "--sparse", "--format=gnu", "-c", "-f", "-", "bomb"], cwd=tmp_path, capture_output=True, check=True
    ).stdout
    assert len(packed) < 100_000

    with pytest.raises(tarfile.ReadError, match="holes"):
        unpacked(packed)
