"""Each secret has a telling value. After a run in which much goes wrong, it is searched for wherever anybody looks."""

from __future__ import annotations

import io
import json
import logging
import sys
from urllib.request import urlopen

import dask
import pytest
from django.core.management import call_command
from django.test import Client
from django.urls import reverse
from django.utils.log import AdminEmailHandler
from django.views.debug import ExceptionReporter
from django_celery_results.models import TaskResult

from jobsapi.compute import create_condor_scheduler, create_dask_scheduler
from jobsapi.exceptions import SealBroken
from jobsapi.models import CondorScheduler, Job, JobEvent, Scheduler
from tests.rig.dask import DaskCluster
from tests.rig.eventually import eventually
from tests.security.portal import CANARY, SECRETS, refusing_host
from tests.security.walk import endpoints, filled
from tests.stack import work

FLOWER = (
    "/",
    "/workers",
    "/tasks",
    "/broker",
    "/api/workers?refresh=true",
    "/api/tasks",
    "/api/queues/length",
    "/metrics",
)


@pytest.mark.services
def test_no_secret_is_found_where_anybody_looks(attacked, admin_user, user, manager, caplog):
    caplog.set_level(logging.DEBUG)
    session = Client()
    session.force_login(admin_user)
    cookie = session.cookies["sessionid"].value

    with refusing_host() as (port, key, refuses), DaskCluster() as cluster:
        # Given a job that fails, a host that refuses the login, and a Dask scheduler that is not there
        pool = create_condor_scheduler("pool", "127.0.0.1", username="grid", port=port, host_key=key)
        pool.password, pool.private_key_pass = SECRETS["password"], SECRETS["passphrase"]
        rows = [pool, create_dask_scheduler("cluster", cluster.address), create_dask_scheduler("gone", "127.0.0.1:1")]
        for row in rows:
            row.save()
        job = manager.create_job("fails", user, job_type="DASK", scheduler=rows[1])
        job.execute(dask.delayed(work.fail)(-1))
        manager.create_job("waits", user, job_type="DASK", scheduler=rows[2]).execute(dask.delayed(work.add)(1, 1))
        for row in rows:
            row.request_check()
        job.wait(90)
        eventually(lambda: all(row.report.outcome for row in Scheduler.objects.all()), timeout=90)
        assert job.cached_status == "Error"
        assert refuses.told == [SECRETS["password"]]  # the one place that it goes to

    # When everybody looks everywhere
    places = {f"log of {name}": text for name, text in attacked.logs().items()}
    places["log of the web process"] = caplog.text
    places["rows"] = str([list(model.objects.values()) for model in (JobEvent, TaskResult, Scheduler)])
    places["jobs"] = str(list(Job._base_manager.values()))
    for worker in json.loads(fetched(attacked.flower + "/api/workers?refresh=true")):
        places[f"Flower's page of {worker}"] = fetched(f"{attacked.flower}/worker/{worker}")
    for task in TaskResult.objects.values_list("task_id", flat=True)[:5]:
        places[f"Flower's page of {task}"] = fetched(f"{attacked.flower}/task/{task}")
    places |= {f"Flower's {path}": fetched(attacked.flower + path) for path in FLOWER}
    places |= dict(pages(session, job))
    dumped = io.StringIO()
    call_command("dumpdata", exclude=["sessions"], stdout=dumped)
    places["dumpdata"] = dumped.getvalue()

    # Then there is none
    assert {name: text.count(CANARY) for name, text in places.items() if CANARY in text} == {}
    assert [name for name, text in places.items() if cookie in text] == []
    assert all(each in places["dumpdata"] for each in CondorScheduler.objects.values_list("_password", flat=True))
    assert "bad depth -1" in places["rows"] + places["jobs"]  # what was searched is what there is
    assert "refuses" in places["rows"]


@pytest.mark.django_db
def test_neither_an_error_page_nor_an_error_mail_shows_a_secret(settings, rf, mailoutbox):
    settings.DEBUG = True
    settings.ADMINS = [("admin", "admin@example.org")]
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = SECRETS["secret-key"], [SECRETS["fallback"]]
    settings.CELERY_BROKER_URL = f"redis://:{SECRETS['broker']}@127.0.0.1:6379/0"
    settings.JOBSAPI = {**settings.JOBSAPI, "SEALING_KEYS": [SECRETS["sealing"]]}
    settings.DATABASE = {**settings.DATABASE, "PASSWORD": SECRETS["database"]}
    environment = {"DATABASE_URL": f"postgres://u:{SECRETS['database']}@h/d", "HTTP_AUTHORIZATION": SECRETS["broker"]}
    request = rf.get("/jobs/", **environment, headers={"cookie": f"sessionid={SECRETS['secret-key']}"})
    create_condor_scheduler("pool", "submit.example.org", password=SECRETS["password"]).save()

    failure = broken(CondorScheduler.objects.get())
    reporter = ExceptionReporter(request, *failure)
    record = logging.LogRecord("django.request", logging.ERROR, "", 0, "failed", None, failure)
    record.request = request
    AdminEmailHandler(include_html=True).emit(record)

    mail = mailoutbox[0]
    shown = [reporter.get_traceback_html(), reporter.get_traceback_text(), mail.body, str(mail.alternatives)]
    assert [text[max(0, text.find(CANARY) - 200) :][:300] for text in shown if CANARY in text] == []


def broken(pool):
    """The error of a password that was entered for another host."""
    pool.host = "other.example.org"
    try:
        return pool.password
    except SealBroken:
        return sys.exc_info()


def pages(client, job):
    """All pages that can be read by an administrator."""
    values = {"index": 0, "name": "x", "job_id": job.pk, "object_id": job.pk, "pk": job.scheduler_id, "id": job.user_id}
    values |= {"content_type_id": 1, "uidb64": "x", "token": "x", "url": "x", "app_label": "jobsapi", "key": "x"}
    for name, pattern in endpoints():
        if "logout" not in name:
            answer = client.get(filled(pattern, values))
            yield f"page {name}", answer.getvalue().decode(errors="replace")
    for row in CondorScheduler.objects.all():
        for page in ("change", "history", "test", "delete"):
            address = reverse(f"admin:jobsapi_condorscheduler_{page}", args=[row.pk])
            yield address, client.get(address).content.decode()


def fetched(address: str) -> str:
    with urlopen(address, timeout=30) as answer:
        return answer.read().decode()
