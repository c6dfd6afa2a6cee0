"""Who gets what at every address of the portal. An address that has no row here fails."""

from __future__ import annotations

import copy
import re
from itertools import product
from uuid import uuid4

import pytest
from django.contrib.auth.models import Group, Permission
from django.db import connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from django_celery_results.models import GroupResult, TaskResult

from jobsapi import results
from jobsapi.backends.basic import BasicBackend
from jobsapi.models import Job, JobBlob, Purpose, Right, SchedulerAssignment
from jobsapi.models.strays import Stray
from jobsapi.portal import health
from jobsapi.status import Status
from tests.security.walk import endpoints, filled
from tests.web.conftest import ada, cluster_row, condor_row, lost_messages, pool_row, row

__all__ = ["ada", "cluster_row", "condor_row", "lost_messages", "pool_row", "row"]

pytestmark = pytest.mark.django_db

ROLES = ("nobody", "stranger", "viewer", "manager", "owner", "trusted", "staff", "root")
"""Not logged in; no right to the job; its groups to view and to manage; its owner; with the permission to see
everybody's jobs; staff without any permission of Django's; superuser."""

LOGIN, DONE = "login", 302
"""Sent to log in; done, and led elsewhere."""
ENDPOINTS = dict(endpoints())


def everybody(answer) -> dict[str, object]:
    return dict.fromkeys(ROLES, answer)


def known(answer) -> dict[str, object]:
    """For everybody who is logged in."""
    return {**everybody(answer), "nobody": LOGIN}


def of_job(answer, *, viewer=None) -> dict[str, object]:
    """For those to whom the job exists."""
    return {**known(answer), "stranger": 404, "viewer": answer if viewer is None else viewer}


def of_admin(answer, *, staff=403) -> dict[str, object]:
    return {**everybody(LOGIN), "staff": staff, "root": answer}


def manages_all(answer) -> dict[str, object]:
    return {**known(404), "trusted": answer, "staff": answer, "root": answer}


PAGE = (of_job(200), known(405))
PIECE = (of_job(200), everybody(405))
"""What a page loads into itself."""
COMMAND = (known(405), of_job(DONE, viewer=403))
IN_TABLE = (everybody(405), {**everybody(410), "nobody": LOGIN})
"""Without a token that the server has sealed for this very user, it is a table that has expired."""
OPEN = (everybody(200), everybody(405))

MATRIX = {
    "home": (everybody(DONE), everybody(DONE)),
    "favicon.ico": (everybody(DONE), everybody(DONE)),
    "login": (everybody(200), everybody(200)),
    "logout": (everybody(405), everybody(DONE)),
    "password_change": (known(200), known(200)),
    "password_change_done": (known(200), known(405)),
    "password_reset": (everybody(200), everybody(200)),
    "password_reset_done": OPEN,
    "password_reset_confirm": (everybody(200), everybody(200)),
    "password_reset_complete": OPEN,
    "samples": (known(200), known(405)),
    "samples-run": (known(405), known(DONE)),
    "samples-run-htcondor": (known(405), known(DONE)),
    "jobsapi:jobs": (known(200), known(405)),
    "jobsapi:table-changes": (everybody(405), {**everybody(410), "nobody": 204}),
    "jobsapi:table-selected": IN_TABLE,
    "jobsapi:table-act": IN_TABLE,
    "jobsapi:table-alive": ({**everybody(200), "nobody": 204}, everybody(405)),
    "jobsapi:job": PIECE,
    "jobsapi:job-logs": PAGE,
    "jobsapi:job-log-follow": ({**of_job(200), "nobody": 204, "stranger": 204}, everybody(405)),
    "jobsapi:job-log-download": PAGE,
    "jobsapi:job-files": PAGE,
    "jobsapi:job-file": PAGE,
    "jobsapi:job-files-all": PAGE,
    "jobsapi:job-traceback": PAGE,
    "jobsapi:job-result": PAGE,
    "jobsapi:job-result-download": PAGE,
    "jobsapi:job-output": PAGE,
    "jobsapi:job-inside": PIECE,
    "jobsapi:job-dashboard": (manages_all(200), known(405)),
    "jobsapi:job-parts": PIECE,
    **{f"jobsapi:part-{verb}": COMMAND for verb in ("stop", "pause", "resume")},
    **{f"jobsapi:job-{verb}": COMMAND for verb in ("run", "stop", "pause", "resume", "resubmit", "delete")},
    "jobsapi:job-resubmit-all": COMMAND,
    "jobsapi:job-share": (known(405), {**of_job(DONE, viewer=403), "manager": 403}),
    "jobsapi:update-job-status": (everybody(200), everybody(200)),
    "jobsapi:update-dask-job-status": (everybody(200), everybody(200)),
    "jobsapi:report-job-status": (everybody(405), everybody(401)),
    "admin:index": (of_admin(200, staff=200), of_admin(200, staff=200)),
    "admin:login": ({**everybody(200), "staff": DONE, "root": DONE}, everybody(200)),
    "admin:logout": ({**everybody(DONE), "staff": 405, "root": 405}, everybody(DONE)),
    "admin:password_change": (of_admin(200, staff=200), of_admin(200, staff=200)),
    "admin:password_change_done": (of_admin(200, staff=200), of_admin(405, staff=405)),
    "admin:autocomplete": (of_admin(403), of_admin(405, staff=405)),
    "admin:jsi18n": (of_admin(200, staff=200), of_admin(405, staff=405)),
    "admin:view_on_site": (of_admin(404, staff=404), of_admin(404, staff=404)),
    "admin:app_list": (of_admin(200, staff=404), of_admin(200, staff=404)),
    "admin/(?P<url>.*)$": (of_admin(404, staff=404), of_admin(404, staff=404)),
}

ADMIN = {"changelist": 200, "add": 200, "history": 200, "delete": 200, "change": 200}
"""What each model of the admin has, and what a superuser gets; staff without a permission get nothing."""
MODELS = {
    "jobsapi_job": {**ADMIN, "add": 403},
    "jobsapi_schedulerassignment": ADMIN,
    "jobsapi_stray": {**ADMIN, "add": 403},
    "jobsapi_condorscheduler": {**ADMIN, "test": 200},
    "jobsapi_daskscheduler": {**ADMIN, "test": 200},
    "django_celery_results_taskresult": ADMIN,
    "django_celery_results_groupresult": ADMIN,
    "auth_group": ADMIN,
    "auth_user": {**ADMIN, "password_change": 200},
}
IN_USE = ("jobsapi_condorscheduler", "jobsapi_daskscheduler", "auth_user")
"""What has jobs, and is not deleted but told of."""
RESULT = "django_celery_results_taskresult"
NOTHING_TO_FILL = {(RESULT, "add"), (RESULT, "change"), ("jobsapi_stray", "change")}
"""Forms without a field that must be filled: what was sent is enough."""
for model, pages in MODELS.items():
    for page, answer in pages.items():
        is_kept = (model, page) in NOTHING_TO_FILL
        deleted = page == "delete" and model not in IN_USE
        sent = DONE if is_kept or deleted or page == "test" else answer
        MATRIX[f"admin:{model}_{page}"] = (of_admin(answer), of_admin(sent))
    MATRIX[f"admin/{model.rpartition('_')[0]}/{model.rpartition('_')[2]}/<path:object_id>/"] = (
        of_admin(DONE, staff=DONE),  # to the address that the page has now, which says who may see it
        of_admin(DONE, staff=DONE),
    )

REFUSALS = (401, 403, 404, 405)
NEEDS_NO_TOKEN = {"jobsapi:update-job-status", "jobsapi:update-dask-job-status", "jobsapi:report-job-status"}
"""What programs call that have no session. The first two believe and tell nothing; the third asks for a token of the
job's own."""
WRITES_WHEN_READ = {
    "jobsapi:update-job-status": {"jobsapi_scheduler"},
    "jobsapi:update-dask-job-status": {"jobsapi_scheduler"},
}
"""A GET of the reference's that asks for a refresh, and where that is noted."""


QUERY = {
    "jobsapi:job-log-download": {"log": "a.out"},
    "jobsapi:job-file": {"path": "report.csv"},
    "admin:autocomplete": {"app_label": "jobsapi", "model_name": "schedulerassignment", "field_name": "scheduler"},
}
"""What an address is asked, so that it has something to give."""
DATA = {f"jobsapi:part-{verb}": {"part": "0", "confirmed": "yes"} for verb in ("stop", "pause", "resume")}
"""What a form sends."""
OF_DONE = ("log-follow", "result", "result-download", "output", "logs", "log-download", "dashboard")
OF_FOLDER = ("files", "file", "files-all", "parts")


@pytest.fixture
def users(ada, django_user_model):
    """One of each role."""
    users = {name: django_user_model.objects.create_user(name) for name in ROLES if name not in ("nobody", "owner")}
    users["owner"] = ada
    users["staff"].is_staff = users["root"].is_staff = users["root"].is_superuser = True
    for name in ("staff", "root"):
        users[name].save()
    users["trusted"].user_permissions.add(Permission.objects.get(codename="jobs_table_actions"))
    for name, right in (("viewer", Right.VIEW), ("manager", Right.MANAGE)):
        users[name].groups.add(Group.objects.create(name=right))
    return users


@pytest.fixture
def clients(users):
    """A browser of each role, in which the portal's cookies are."""
    clients = {name: Client(enforce_csrf_checks=True) for name in ROLES}
    for name, user in users.items():
        clients[name].force_login(user)
    return clients


@pytest.fixture
def jobs(users, row, condor_row, cluster_row):
    """One that runs, one that has ended, one with a folder, with parts, with nodes; all shared with two groups."""
    type(cluster_row).objects.update(dashboard="http://dask.example.org:8787")
    folder = condor_row("folder", Status.COMPLETE)
    folder.folder.mkdir(parents=True)
    (folder.folder / folder.MARK).write_text(folder.folder_mark)
    (folder.folder / "report.csv").write_text("a,b")
    done = row("done", Status.COMPLETE, workspace="ada", outputs={"report": "report.txt"})
    (done.ensure_workspace() / "report.txt").write_text("of the job")
    for each in results.whole(done, BasicBackend(None), 1):
        each.keep()
    JobBlob.store(done, Purpose.LOGS, b'{"a.out": {"text": "end", "offset": 0, "size": 3}}')
    inside = {
        "parts": condor_row("parts", progress_total=2),
        "nodes": condor_row("nodes", Status.VARIOUS_COMPLETE, nodes=["A"]),
    }
    found = {"running": row("running"), "done": done, "folder": folder, **inside}
    for job, right in product(found.values(), (Right.VIEW, Right.MANAGE)):
        job.share(Group.objects.get(name=right), right)
    return found


def job_for(name: str, jobs) -> Job:
    """The one that has what this endpoint shows."""
    view = name.rpartition(":")[2]
    if view.startswith("part-"):
        return jobs["parts"]
    view = view.removeprefix("job-")
    if view == "resubmit-all":
        return jobs["nodes"]
    return jobs["done" if view in OF_DONE else "folder" if view in OF_FOLDER else "running"]


@pytest.fixture
def send(users, jobs, cluster_row, pool_row):
    """Ask an endpoint; whatever that has changed is taken back. Gives the answer, and what was written."""
    now = timezone.now()
    rows = {
        "jobsapi_job": jobs["running"],
        "jobsapi_daskscheduler": cluster_row,
        "jobsapi_condorscheduler": pool_row,
        "jobsapi_schedulerassignment": SchedulerAssignment.objects.create(
            package="samples", setting="dask", scheduler=cluster_row
        ),
        "jobsapi_stray": Stray.objects.create(
            scheduler=cluster_row, native_id="7", submission_id=uuid4(), first_seen=now, last_seen=now
        ),
        "django_celery_results_taskresult": TaskResult.objects.create(task_id="job-1"),
        "django_celery_results_groupresult": GroupResult.objects.create(group_id="group-1"),
        "auth_group": Group.objects.first(),
        "auth_user": users["owner"],
    }

    def values(name, job):
        model = next((model for model in rows if model.replace("_", "/") in name or model in name), "auth_user")
        key = rows[model].pk
        known = {"index": 0, "name": "report", "job_id": job, "key": "key-1", "app_label": "jobsapi", "url": "nothing"}
        return {**known, "object_id": key, "pk": key, "id": key, "content_type_id": 1, "uidb64": "MQ", "token": "x-y"}

    def send(client, name, method, job=None, *, token=True):
        address = filled(ENDPOINTS[name], values(name, job or job_for(name, jobs).pk))
        data = {"group": Group.objects.get(name=Right.VIEW).pk, "right": "view", **DATA.get(name, {})}
        headers, cookies = {}, copy.deepcopy(client.cookies)
        if method == "POST" and token:
            client.cookies["csrftoken"] = headers["x-csrftoken"] = "x" * 32
        with transaction.atomic(), CaptureQueriesContext(connection) as asked:
            if method == "POST":
                answer = client.post(address, data, headers=headers)
            else:
                answer = client.get(address, QUERY.get(name))
            body = answer.getvalue()
            transaction.set_rollback(True)
        client.cookies = cookies
        return answer, body, {found[1] for query in asked if (found := WRITES.match(query["sql"]))}

    return send


WRITES = re.compile(r'(?:INSERT INTO|UPDATE|DELETE FROM) "(\w+)"')


def word(answer) -> object:
    """An answer as the matrix has it."""
    return LOGIN if answer.status_code == DONE and "/login/" in answer["Location"] else answer.status_code


def test_every_address_has_a_rule_and_every_rule_an_address():
    assert set(MATRIX) == set(ENDPOINTS)
    assert set(health.PAGES) == {"/healthz", "/readyz"}  # by middleware, before all else: they say how the portal is


def test_each_role_gets_what_the_rule_says_and_no_more(clients, send):
    wrong = {}
    for name, rules in MATRIX.items():
        for (method, rule), role in product(zip(("GET", "POST"), rules, strict=True), tried(name)):
            answer, _, written = send(clients[role], name, method)
            if word(answer) != rule[role]:
                wrong[name, method, role] = f"{word(answer)}, not {rule[role]}"
            elif (method == "GET" or answer.status_code in REFUSALS) and not written <= may_write(name):
                wrong[name, method, role] = f"wrote {written}"
    assert not wrong


def test_a_form_of_another_site_does_nothing(clients, send):
    wrong = {}
    for name, role in product(sorted(set(MATRIX) - NEEDS_NO_TOKEN), ("nobody", "owner", "root")):
        answer, _, written = send(clients[role], name, "POST", token=False)
        led_elsewhere = MATRIX[name][1][role] in (DONE, LOGIN)
        if written or not (answer.status_code in REFUSALS or led_elsewhere):
            wrong[name, role] = f"{word(answer)}, wrote {written}"
    assert not wrong


def test_a_job_of_somebody_else_answers_as_one_that_there_is_not(clients, send, jobs):
    wrong = []
    for name, method in product((name for name, pattern in ENDPOINTS.items() if "job_id" in pattern), ("GET", "POST")):
        hidden, absent = job_for(name, jobs).pk, 987_654
        there, gone = (told(send(clients["stranger"], name, method, job=pk), pk) for pk in (hidden, absent))
        if there != gone:
            wrong.append((name, method, there, gone))
    assert not wrong


def tried(name: str) -> tuple[str, ...]:
    """The roles that an endpoint may tell apart. For the admin all are alike that are not staff."""
    return ("nobody", "owner", "staff", "root") if name.startswith("admin") else ROLES


def may_write(name: str) -> set[str]:
    return WRITES_WHEN_READ.get(name, set()) | {"django_session"}


def told(sent, number) -> tuple[object, ...]:
    """All that an answer tells, without what the caller has said, what time it is, and the token of each form."""
    answer, body, _ = sent
    headers = {name: value for name, value in answer.items() if name not in ("Content-Length", "Expires")}
    text = re.sub(r'name="csrfmiddlewaretoken" value="\w+"', "", body.decode())
    return tuple(re.sub(rf"\b{number}\b", "N", str(each)) for each in (answer.status_code, headers, text))
