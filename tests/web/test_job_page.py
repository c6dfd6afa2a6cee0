"""The page of a job: everything about it, for those who may see it, and news of it for a page that is open."""

from __future__ import annotations

import html
import re
from datetime import timedelta

import pytest
from django.contrib.auth.models import Group
from django.urls import reverse
from django.utils import timezone

from jobsapi.models import (
    BasicJob,
    CondorWorkflowFinalNode,
    CondorWorkflowSpliceNode,
    JobBlob,
    JobEvent,
    Purpose,
    Scheduler,
)
from jobsapi.status import Status
from jobsapi.web.job import history
from jobsapi.web.job.history import History, written

pytestmark = pytest.mark.django_db

SUBPAGES = ("job", "job-logs", "job-result", "job-files")


@pytest.fixture
def browser(client, ada):
    client.force_login(ada)
    return client


@pytest.fixture
def shared(django_user_model):
    """Share a job with somebody's group: ``shared(job, "view")`` gives the user."""

    def share(job, right):
        user = django_user_model.objects.create_user(f"{right}er", password="pw")
        group = Group.objects.create(name=f"{right}ers")
        user.groups.add(group)
        job.share(group, right)
        return user

    return share


def page_of(job, page="job") -> str:
    return reverse(f"jobsapi:{page}", args=[job.pk])


def text(response) -> str:
    return html.unescape(response.content.decode())


def seen_by(page: str) -> list[str]:
    """What an open page sends along."""
    return re.findall(r'name="seen" value="([^"]+)"', page)


def news(client, job, seen, here="Overview"):
    return client.get(page_of(job), {"live": here, "seen": seen}, headers={"HX-Request": "true"})


def sent(response) -> set[str]:
    return set(re.findall(r'id="job-([a-z]+)"[^>]*hx-swap-oob', response.content.decode()))


def actions(page: str) -> list[str]:
    return re.findall(r'id="job-action-([a-z-]+)"', page)


@pytest.mark.parametrize("status", list(Status))
def test_it_shows_a_job_in_every_status(browser, row, condor_row, status):
    for job in (row("Flood <Rhine>", status), condor_row("flood", status)):
        for page in SUBPAGES[:3]:
            answer = browser.get(page_of(job, page))
            assert answer.status_code == 200
            assert job.cached_status in text(answer)
            assert "<Rhine>" not in answer.content.decode()


def test_it_tells_what_the_job_was_given_but_not_its_sealed_input(browser, condor_row, row):
    job = condor_row("flood", Status.RUNNING, spec={"attributes": {"arguments": "--gauge <4>"}, "num_jobs": 3})
    page = text(browser.get(page_of(job)))
    assert "--gauge <4>" in page
    assert "Times to run" in page

    page = text(browser.get(page_of(row("sealed"))))
    assert "what execute() was given" not in page
    assert "a packed graph or function, 24 bytes" in page


def test_times_have_their_time_zone(browser, row, settings):
    settings.TIME_ZONE = "Europe/Berlin"
    assert re.search(r"Started</dt>\s*<dd><time [^>]*>[-0-9]+ [:0-9]+ CES?T<", text(browser.get(page_of(row()))))


def test_it_is_as_many_queries_however_long_its_history(browser, row, django_assert_max_num_queries):
    job = row("busy", Status.RUNNING)
    JobEvent.objects.bulk_create([job.event("execute", "Asked to run.")])
    JobEvent.objects.bulk_create([job.event("app", f"step {number}") for number in range(5_000)])

    with django_assert_max_num_queries(16):
        page = text(browser.get(page_of(job)))

    assert page.count("<li>") < 2 * history.LISTED
    assert "step 4999" in page
    assert "step 3" not in page
    assert "What was before is in the" in page


def test_a_long_history_is_read_page_by_page(browser, row):
    job = row("busy", Status.RUNNING)
    JobEvent.objects.bulk_create([job.event("app", f"step {number}.") for number in range(250)])

    newest = written(job)
    before = written(job, newest.earlier)
    page = text(browser.get(page_of(job, "job-logs"), {"before": newest.earlier}))

    assert "step 249." in newest.text
    assert "step 150." in newest.text
    assert "step 149." in before.text
    assert "step 149." in page
    assert "step 150." not in page
    assert written(job, before.earlier).earlier == 0


def test_of_a_long_history_the_last_run_is_drawn_from_its_beginning(row):
    job = row("busy", Status.RUNNING)
    begun = timezone.now() - timedelta(hours=2)
    JobEvent.objects.bulk_create(
        [
            job.event("execute", "", now=begun - timedelta(hours=1)),
            job.event("resubmit", "", now=begun),
            *(job.event("app", f"step {number}.") for number in range(history.LISTED + 5)),
        ]
    )

    found = History.of(job)

    assert found.is_cut
    assert found.drawable[0].time == begun
    assert found.first == 2
    assert len(found.moments) == history.LISTED


def test_why_it_failed_is_on_the_page_and_the_rest_of_it_folds_open(browser, row):
    lines = [f"line {number} of it" for number in range(50)]
    page = text(browser.get(page_of(row("bad", Status.ERROR, backend_state={"traceback": "\n".join(lines)}))))

    assert "line 49 of it" in page
    assert "line 0 of it" not in page
    assert "The whole traceback" in page


def test_an_outage_of_its_scheduler_is_said(browser, row, cluster_row):
    Scheduler.objects.filter(pk=cluster_row.pk).update(unreachable_since=timezone.now(), last_error="Refused.")
    assert "“cluster” unreachable since" in text(browser.get(page_of(row())))


@pytest.mark.parametrize(
    ("status", "sentence"),
    [
        (Status.PENDING, "the job has not been run yet"),
        (Status.RUNNING, "There is no result yet."),
        (Status.ERROR, "the job failed"),
        (Status.COMPLETE, "No result is kept"),
    ],
)
def test_without_a_result_it_says_why(browser, row, status, sentence):
    assert sentence in text(browser.get(page_of(row("bare", status), "job-result")))


def test_a_page_that_is_open_is_sent_what_has_changed_alone(browser, row, change):
    job = row("Flood", Status.RUNNING, progress_done=1, progress_total=10)
    seen = seen_by(text(browser.get(page_of(job))))

    same = news(browser, job, seen)
    change(job, progress_done=2)
    moved = news(browser, job, seen)
    job.event("hold", "Asked to pause.").save()
    seen = seen_by(text(browser.get(page_of(job))))
    change(job, _status=Status.COMPLETE, completion_time=timezone.now())
    ended = news(browser, job, seen)

    assert (same.status_code, same.content) == (204, b"")
    assert sent(moved) == {"head"}
    assert "2 of 10" in text(moved)
    assert sent(ended) >= {"head", "said", "heartbeat", "ending", "about"}
    assert "every 2s" not in text(ended)


def test_a_poll_without_news_is_few_queries(browser, row, django_assert_max_num_queries):
    job = row("Flood", Status.RUNNING)
    seen = seen_by(text(browser.get(page_of(job))))
    with django_assert_max_num_queries(8):
        assert news(browser, job, seen).status_code == 204


def test_a_page_of_logs_is_sent_its_head_alone(browser, row, change):
    job = row("Flood", Status.RUNNING)
    seen = seen_by(text(browser.get(page_of(job, "job-logs"))))
    change(job, status_message="Half way.")
    assert {each.partition(".")[0] for each in seen} == {"said", "heartbeat", "head", "history"}
    assert sent(news(browser, job, seen, "Logs")) == {"head"}


def test_a_page_of_a_result_is_sent_it_when_it_is_there(browser, row, change):
    job = row("Flood", Status.RUNNING)
    seen = seen_by(text(browser.get(page_of(job, "job-result"))))
    assert news(browser, job, seen, "Result").status_code == 204
    JobBlob.store(job, Purpose.PREVIEW, b'{"type": "int", "text": "42"}')
    change(job, _status=Status.COMPLETE, completion_time=timezone.now())
    assert ">42</pre>" in text(news(browser, job, seen, "Result"))


@pytest.mark.parametrize("seen", ["", "x", "head", ".", "head.", "../../etc.x", "\x00.1", "facts.1"])
def test_what_a_page_says_that_it_shows_may_be_anything(browser, row, seen):
    assert news(browser, row(), [seen]).status_code in (200, 204)


def test_a_page_of_a_job_that_is_deleted_is_left(browser, row, client):
    job = row("gone")
    seen = seen_by(text(browser.get(page_of(job))))
    job.delete()
    assert news(browser, job, seen)["HX-Redirect"] == reverse("jobsapi:jobs")
    assert browser.get(page_of(job)).status_code == 404
    client.logout()
    assert news(browser, job, seen)["HX-Refresh"] == "true"


def test_who_may_only_view_is_offered_no_action(client, condor_row, shared):
    job = condor_row("flood", Status.RUNNING)

    client.force_login(shared(job, "view"))
    viewed = text(client.get(page_of(job)))
    refused = client.post(page_of(job, "job-stop"))
    client.force_login(shared(job, "manage"))
    managed = text(client.get(page_of(job)))

    assert "flood" in viewed
    assert actions(viewed) == []
    assert "Submission id" in viewed
    assert "Workspace" not in viewed
    assert refused.status_code == 403
    assert actions(managed) == ["pause", "stop"]


def test_the_owner_is_offered_what_is_possible_now(browser, row, condor_row):
    offered = {
        status: actions(text(browser.get(page_of(row(status.label, status)))))
        for status in (Status.PENDING, Status.RUNNING, Status.COMPLETE)
    }
    assert offered == {
        Status.PENDING: ["delete"],
        Status.RUNNING: ["stop"],
        Status.COMPLETE: ["resubmit", "delete"],
    }
    held = condor_row("held", Status.PAUSED, status_message="Out of memory.")
    page = text(browser.get(page_of(held)))
    assert actions(page) == ["resume", "stop"]
    assert "Out of memory." in page


def test_without_a_script_a_button_leads_back_to_the_page(browser, row):
    job = row(status=Status.RUNNING)
    answer = browser.post(page_of(job, "job-stop"), {"next": page_of(job)})
    assert (answer.status_code, answer["Location"]) == (302, page_of(job))


@pytest.mark.parametrize("page", SUBPAGES)
def test_what_is_not_theirs_is_not_there_for_others(client, row, bob, page):
    job = row("mine", workspace="ada")
    assert client.get(page_of(job, page)).status_code == 302
    client.force_login(bob)
    assert client.get(page_of(job, page)).status_code == 404
    assert news(client, job, ["head.x"]).headers.get("HX-Redirect") == reverse("jobsapi:jobs")


def test_a_job_that_the_app_does_itself_has_a_page_too(browser, ada):
    job = BasicJob(name="by hand", user=ada, label="tests")
    job.save()
    JobBlob.objects.filter(job=job, purpose=Purpose.INPUT).delete()
    for page in SUBPAGES[:3]:
        assert browser.get(page_of(job, page)).status_code == 200


def asked(page: str) -> dict[str, str]:
    """What each button of the head asks."""
    return dict(re.findall(r'id="job-action-([a-z-]+)"[^>]*? hx-confirm="([^"]*)"', page))


DONE, FAILED = {"status": "COM"}, {"status": "ERR"}


@pytest.mark.parametrize(
    ("states", "how"),
    [
        (
            {"A": DONE, "B": DONE, "C": FAILED, "D": {"status": "ABT"}, "E": DONE},
            "It goes on where it failed: A, B and E are kept, C and D run again.",
        ),
        ({"A": DONE, "B": FAILED}, "It goes on where it failed: A is kept, B runs again."),
        (
            {"A": FAILED, **{f"N{number}": DONE for number in range(1_200)}},
            "It goes on where it failed: 1,200 nodes are kept, A runs again.",
        ),
        (
            {"A": FAILED, **{"N" * 90 + str(number): DONE for number in range(3)}},
            "It goes on where it failed: 3 nodes are kept, A runs again.",
        ),
        ({"A": DONE}, "It goes on where it failed: nodes that have ended well are kept."),  # its results failed
    ],
)
def test_a_failed_workflow_says_what_is_kept_when_it_is_run_again_or_offers_to_run_all(
    browser, workflow_row, states, how
):
    job = workflow_row(status=Status.VARIOUS_COMPLETE, **states)

    page = text(browser.get(page_of(job)))

    assert actions(page) == ["resubmit", "resubmit-all", "delete"]
    assert asked(page)["resubmit"] == f"Run job {job.pk} again? {how}"
    assert asked(page)["resubmit-all"].startswith(f"Run all nodes of job {job.pk} again")


def test_nodes_of_a_splice_and_a_final_node_are_told_as_they_run(browser, condor_row):
    states = {"A": DONE, "S+X": DONE, "S+Y": FAILED, "end": DONE}
    job = condor_row("flow", Status.VARIOUS_COMPLETE, nodes=["A"], backend_state={"nodes": states})
    CondorWorkflowSpliceNode(name="S", workflow=job, dag_file="s.dag").save()
    CondorWorkflowFinalNode(name="end", workflow=job, attributes={"executable": "/bin/true"}).save()

    page = text(browser.get(page_of(job)))

    assert "A and S+X are kept, S+Y and end run again." in asked(page)["resubmit"]


@pytest.mark.parametrize(("status", "states"), [(Status.COMPLETE, {"A": DONE}), (Status.ERROR, {"A": FAILED})])
def test_a_workflow_of_which_all_runs_again_is_not_asked_twice(browser, workflow_row, status, states):
    page = text(browser.get(page_of(workflow_row(status=status, **states))))
    assert actions(page) == ["resubmit", "delete"]
    assert asked(page)["resubmit"].endswith("Its present result is dropped, and its files are removed.")


def test_a_second_run_that_htcondor_never_had_goes_on_from_the_first(browser, workflow_row, change):
    job = workflow_row(status=Status.ERROR, A=FAILED)
    change(job, native_id="", backend_state={}, spec={**job.spec, "resubmitted": True})
    page = text(browser.get(page_of(job)))
    assert "nodes that have ended well are kept" in asked(page)["resubmit"]


def test_all_nodes_of_a_workflow_run_again_when_that_is_asked_for(browser, workflow_row, row):
    job = workflow_row(status=Status.VARIOUS_COMPLETE, A=DONE, B=FAILED)
    answer = browser.post(page_of(job, "job-resubmit-all"), {"next": page_of(job)})
    assert (answer.status_code, answer["Location"]) == (302, page_of(job))
    job = type(job).objects.get(pk=job.pk)
    assert (job.cached_status, job.from_start) == ("Submitted", True)

    other = row("dask", Status.ERROR)
    assert browser.post(page_of(other, "job-resubmit-all")).status_code == 404
    assert type(other).objects.get(pk=other.pk).cached_status == "Error"


def test_what_an_attribute_says_anyway_is_left_out(browser, condor_row, change):
    job = condor_row("flood", Status.COMPLETE)
    change(job, spec={**job.spec, "reports": False, "resubmitted": False})
    assert "Other attributes" not in text(browser.get(page_of(job)))
    change(job, spec={**job.spec, "reports": True})
    page = text(browser.get(page_of(job)))
    assert re.search(r'<th scope="row">reports</th><td>true</td>', page)


@pytest.mark.parametrize(("is_staff", "way_out"), [(True, "/admin/logout/"), (False, None)])
def test_a_site_that_logs_in_by_the_admin_logs_out_by_it(client, ada, row, settings, is_staff, way_out):
    settings.ROOT_URLCONF = "tests.web.admin_alone"
    ada.is_staff = is_staff
    ada.save()
    client.force_login(ada)
    found = re.search(r'<form method="post" action="([^"]+)">[^§]*?Log out', text(client.get(page_of(row()))))
    assert (found and found[1]) == way_out
