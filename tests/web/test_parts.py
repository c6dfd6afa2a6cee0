"""The page of a job's parts: nodes and procs as the last refresh saw them, and buttons for each."""

from __future__ import annotations

import html
import re

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from jobsapi.models import (
    CondorScheduler,
    CondorWorkflow,
    CondorWorkflowJobNode,
    CondorWorkflowSpliceNode,
    CondorWorkflowSubdagNode,
    Job,
    PartWish,
)
from jobsapi.status import Status
from jobsapi.web.inside import parts

pytestmark = pytest.mark.django_db

HALF = {
    "parts": 8,
    "ended": {"ok": "0-1,4", "bad": "3", "removed": "7"},
    "failed": [{"part": 3, "words": "killed by signal 9 (SIGKILL)", "exit_signal": 9}],
    "hold": {"reason": "disk quota exceeded", "code": 12, "subcode": 122, "parts": 1},
    "now": {"held": {"parts": 1, "numbers": "5"}, "running": {"parts": 1, "numbers": "2"}},
    "holds": [{"parts": 1, "numbers": "5", "words": "disk quota exceeded (12/122)"}],
    "where": ["node7", "node8"],
    "memory": 1500,
    "run_time": 3725,
}
"""``backend_state`` of a job of eight parts, five of which have ended."""


@pytest.fixture
def browser(client, ada):
    client.force_login(ada)
    return client


def page_of(job) -> str:
    return reverse("jobsapi:job-parts", args=[job.pk])


def text(response) -> str:
    return re.sub(r"\s+", " ", html.unescape(response.content.decode()))


def rows(page: str) -> list[str]:
    """The rows of all tables, without their markup."""
    return [" ".join(re.sub(r"<[^>]*>", " ", row).split()) for row in re.findall(r"<tbody>.*?</tbody>", page)]


def buttons(page: str) -> list[str]:
    return re.findall(r'<button [^>]*aria-label="([^"]+)"', page)


class TestWorkflow:
    def test_each_node_has_its_status_reason_retries_and_cluster(self, browser, workflow_row):
        flow = workflow_row(
            A={"status": "COM", "native_id": "14", "where": "node7", "run_time": 75, "memory": 1500},
            B={"status": "ERR", "native_id": "17", "retries": 2, "message": "Exit code 3."},
            C={"status": "PEN"},
        )
        page = text(browser.get(page_of(flow)))

        assert rows(page) == [
            "A JOB Complete cluster 14 on node7, 1 min 15 s, 1,500 MB Logs",
            "B JOB Error cluster 17 2 retries Logs Exit code 3.",
            "C JOB Pending",
        ]
        assert "All 3" in page

    def test_a_node_says_what_it_waits_for(self, browser, condor_row):
        flow = condor_row("flow", Status.PENDING, nodes=("A", "B", "C"))
        flow.get_job("C").add_parent(flow.get_job("A"))
        flow.get_job("C").add_parent(flow.get_job("B"))

        assert rows(text(browser.get(page_of(flow))))[2] == "C JOB after A, B Pending"

    def test_buttons_are_there_for_what_makes_sense_alone(self, browser, workflow_row):
        flow = workflow_row(
            A={"status": "COM", "native_id": "14"},
            B={"status": "RUN", "native_id": "15"},
            C={"status": "PAS", "native_id": "16"},
            D={"status": "SUB", "native_id": "17"},
            E={"status": "RUN", "native_id": "18", "held": 1},
            F={"status": "RUN"},
            G={"status": "PEN"},
        )

        page = text(browser.get(page_of(flow)))

        assert buttons(page) == [
            "Pause B",
            "Stop B",
            "Resume C",
            "Stop C",
            "Stop D",
            "Pause E",
            "Resume E",
            "Stop E",
        ]

    @pytest.mark.parametrize(
        ("command", "verb", "words"),
        [("stop", "cancel", "stopping …"), ("pause", "hold", "pausing …"), ("resume", "release", "resuming …")],
    )
    def test_a_node_is_stopped_paused_and_resumed(self, browser, workflow_row, command, verb, words):
        flow = workflow_row(A={"status": "RUN", "native_id": "14"})

        answer = browser.post(f"{page_of(flow)}{command}/?status=RUN", {"part": "A", "confirmed": "yes"}, follow=True)

        assert answer.redirect_chain == [(f"{page_of(flow)}?status=RUN", 302)]
        assert f"Asked to {command} A." in text(answer)
        assert words in text(answer)
        assert [(wish.verb, wish.part) for wish in PartWish.objects.all()] == [(verb, "A")]

    def test_what_is_refused_says_why(self, browser, workflow_row):
        flow = workflow_row("flow", Status.COMPLETE, A={"status": "COM", "native_id": "14"})

        answer = browser.post(f"{page_of(flow)}stop/", {"part": "A", "confirmed": "yes"}, follow=True)

        assert "HTCondor does not have job" in text(answer)
        assert not PartWish.objects.exists()

    def test_whether_a_node_is_to_be_stopped_is_asked_first(self, browser, workflow_row):
        flow = workflow_row(A={"status": "RUN", "native_id": "14"})
        address = f"{page_of(flow)}stop/?status=RUN"

        asked = browser.post(address, {"part": "A"})

        assert f"Stop node A of job {flow.pk}? What it has done so far may be lost." in text(asked)
        assert f'href="{page_of(flow)}?status=RUN">Cancel' in text(asked)
        assert not PartWish.objects.exists()
        answered = re.findall(r'<input type="hidden" name="(part|confirmed)" value="(.*?)"', text(asked))
        browser.post(address, dict(answered))
        assert PartWish.objects.get().part == "A"

    def test_each_node_that_has_begun_leads_to_its_logs_whether_or_not_its_cluster_is_known(self, browser, condor_row):
        begun = {name: {"status": status} for name, status in zip("ABCD", ("COM", "ERR", "RUN", "SUB"), strict=True)}
        unseen = {"E": {"status": "PEN"}, "F": {"status": "ABT", "message": "Not run: a node before it failed."}}
        stopped = {"G": {"status": "ABT", "native_id": "17"}}
        states = {**begun, **unseen, **stopped, "noop": {"status": "COM"}, "S+x": {"status": "COM", "native_id": "18"}}
        states |= {"sub": {"status": "COM"}}
        flow = condor_row("flow", Status.PENDING, nodes="ABCDEFG")
        program = {"attributes": {"executable": "/bin/true"}}
        CondorWorkflowJobNode(name="noop", workflow=flow, noop=True, **program).save()
        inner = {"dag_file": "inner.dag", "remote_input_files": ["inner.dag"]}
        CondorWorkflowSpliceNode(name="S", workflow=flow, **inner).save()
        CondorWorkflowSubdagNode(name="sub", workflow=flow, **inner).save()
        Job._base_manager.filter(pk=flow.pk).update(_status=Status.RUNNING, backend_state={"nodes": states})

        page = browser.get(page_of(flow)).content.decode()

        led = re.findall(r'-logs" href="[^"]*\?find=([^"]*)"', page)
        assert led == [*(f"%2F{name}%2F" for name in "ABCDG"), "%2Finner.dag."]

    @pytest.mark.parametrize("part", ["", "B", "A/../B", "0", "\x00"])
    def test_a_node_that_is_not_there_is_not_asked_for(self, browser, workflow_row, part):
        flow = workflow_row(A={"status": "RUN", "native_id": "14"})

        assert browser.post(f"{page_of(flow)}stop/", {"part": part}).status_code == 404
        assert not PartWish.objects.exists()

    def test_the_nodes_of_a_splice_stand_for_it(self, browser, workflow_row):
        states = {"S+A": {"status": "RUN", "native_id": "14"}, "S+B": {"status": "PEN"}}
        flow = workflow_row()
        Job._base_manager.filter(pk=flow.pk).update(_status=Status.PENDING)
        CondorWorkflowSpliceNode(
            name="S", workflow=CondorWorkflow.objects.get(pk=flow.pk), dag_file="s.dag", remote_input_files=["s.dag"]
        ).save()
        assert rows(text(browser.get(page_of(flow)))) == ["S SPLICE Pending"]
        Job._base_manager.filter(pk=flow.pk).update(_status=Status.RUNNING, backend_state={"nodes": states})

        assert [row.split()[0] for row in rows(text(browser.get(page_of(flow))))] == ["S+A", "S+B"]
        browser.post(f"{page_of(flow)}stop/", {"part": "S+A", "confirmed": "yes"})
        assert PartWish.objects.get().part == "S+A"

    def test_thousands_of_nodes_are_paged_and_chosen_by_status(
        self, browser, workflow_row, monkeypatch, django_assert_max_num_queries
    ):
        monkeypatch.setattr(parts, "PAGE", 10)
        states = {f"N{n}": {"status": "ERR" if n % 10 == 3 else "COM", "native_id": str(n)} for n in range(120)}
        flow = workflow_row(**states)

        with django_assert_max_num_queries(7):  # session, account, job, owner, wishes, nodes, links
            first = text(browser.get(page_of(flow)))
        second = text(browser.get(page_of(flow), {"status": "ERR", "page": 2}))

        assert [row.split()[0] for row in rows(first)] == [f"N{n}" for n in range(10)]
        assert "Complete 108" in first
        assert "After →" in first
        assert [row.split()[0] for row in rows(second)] == ["N103", "N113"]
        assert "After →" not in second
        assert "None on this page" in text(browser.get(page_of(flow), {"status": "nonsense"}))


class TestManyParts:
    def test_they_are_counted_by_status_and_the_failed_ones_named(self, browser, condor_row):
        job = condor_row("many", Status.VARIOUS, progress_total=8, progress_done=5, backend_state=HALF)

        page = text(browser.get(page_of(job)))

        assert rows(page) == [
            "Complete 3 0-1, 4 Error 1 3 Aborted 1 7 Paused 1 5 Running 1 2 Just ended 1",
            "5 disk quota exceeded (12/122)",
            "3 killed by signal 9 (SIGKILL) Logs",
        ]

    def test_before_the_first_look_it_is_known_how_many_are_held_and_not_which(self, browser, condor_row):
        state = {"ended": {"ok": "0-1"}, "hold": {"parts": 4}}
        job = condor_row("many", Status.VARIOUS, progress_total=8, backend_state=state)
        assert rows(text(browser.get(page_of(job)))) == ["Complete 2 0-1 Paused 4 Running or waiting 2"]

    def test_what_waited_when_a_job_was_stopped_has_never_run(self, browser, condor_row):
        job = condor_row("many", Status.ABORTED, progress_total=8, backend_state={**HALF, "hold": None})
        assert rows(text(browser.get(page_of(job))))[0].endswith("Aborted 1 7 Never run 3")

    def test_of_very_many_that_are_held_some_are_named_and_the_others_counted(self, browser, condor_row):
        holds = [
            {"parts": 900, "numbers": "0-899", "words": "No space left on device (12/28)"},
            {"parts": 2, "numbers": "901,905", "words": "no such file (13/2)"},
        ]
        now = {"held": {"parts": 907, "numbers": "0-899,901"}, "waiting": {"parts": 1, "numbers": "1000"}}
        state = {"hold": {"parts": 907}, "now": now, "holds": holds}
        job = condor_row("many", Status.VARIOUS, progress_total=1_001, native_id="13", backend_state=state)

        page = text(browser.get(page_of(job)))

        counted, held = rows(page)
        assert counted == "Paused 907 0-899, 901 … Waiting 1 1000 Just ended 93"
        assert held.startswith("0 , 1 , 2 ,")
        assert "19 and 880 more No space left on device (12/28) 901 , 905 no such file (13/2)" in held
        assert "5 more for other reasons." in page
        found = f"{reverse('jobsapi:job-logs', args=[job.pk])}?find=.13.905."
        assert f'href="{found}" aria-label="Logs of part 905"' in page

    @pytest.mark.parametrize("status", [Status.RUNNING, Status.COMPLETE])
    def test_the_logs_of_each_are_found_by_its_number(self, browser, condor_row, status):
        job = condor_row("many", status, progress_total=8, native_id="13")
        assert '<input id="part-logs" name="logs" type="number" min="0" max="7"' in text(browser.get(page_of(job)))
        answer = browser.get(page_of(job), {"logs": "7"})
        assert answer.url == f"{reverse('jobsapi:job-logs', args=[job.pk])}?find=.13.7."
        for nonsense in ("", "8", "-1", "²", "7/", "9" * 5_000):
            assert browser.get(page_of(job), {"logs": nonsense}).status_code == 404

    def test_a_workflow_and_a_job_that_has_no_cluster_have_no_logs_by_number(self, browser, condor_row, workflow_row):
        for job in (workflow_row(A={"status": "RUN"}), condor_row("new", Status.PENDING, progress_total=8)):
            assert browser.get(page_of(job), {"logs": "0"}).status_code == 404

    def test_one_of_them_is_stopped_by_its_number(self, browser, condor_row):
        job = condor_row("many", progress_total=8)

        asked = browser.post(f"{page_of(job)}stop/", {"part": "7"})
        assert f"Stop part 7 of job {job.pk}?" in text(asked)
        assert not PartWish.objects.exists()
        answer = browser.post(f"{page_of(job)}stop/", {"part": "7", "confirmed": "yes"}, follow=True)

        assert "Asked to stop 7." in text(answer)
        assert [(wish.verb, wish.part) for wish in PartWish.objects.all()] == [("cancel", "7")]
        beyond = {"part": "8", "confirmed": "yes"}
        assert "There is no proc 8" in text(browser.post(f"{page_of(job)}stop/", beyond, follow=True))

    @pytest.mark.parametrize("part", ["", "-1", "1.0", "²", "9" * 5_000])
    def test_nothing_is_stopped_for_what_is_no_number(self, browser, condor_row, part):
        job = condor_row("many", progress_total=8)

        assert browser.post(f"{page_of(job)}stop/", {"part": part}).status_code == 404
        job.refresh_from_db()
        assert (job.requested, PartWish.objects.exists()) == ("", False)

    def test_what_is_held_of_it_is_resumed_though_the_job_is_not_paused(self, browser, condor_row):
        job = condor_row("many", Status.VARIOUS, progress_total=8, backend_state=HALF)
        assert "Resume what is held" in text(browser.get(page_of(job)))

        answer = browser.post(f"{page_of(job)}resume/", {"part": "", "all": "yes"}, follow=True)

        assert "Asked to resume the job." in text(answer)
        assert "Resume what is held" not in text(answer)
        job.refresh_from_db()
        assert job.requested == "release"


class TestWhatHTCondorSays:
    def facts(self, browser, job):
        page = browser.get(page_of(job)).content.decode()
        return dict(re.findall(r"<dt>(.*?)</dt><dd>(.*?)</dd>", html.unescape(page)))

    def test_of_many_parts(self, browser, condor_row):
        job = condor_row("many", Status.VARIOUS, progress_total=8, backend_state=HALF, native_id="13")

        assert self.facts(browser, job) == {
            "Cluster id": "13",
            "Where": "node7, node8",
            "Run time": "1 h 2 min of its ended parts together",
            "Memory": "1,500 MB at most in a part",
        }

    def test_of_one_that_is_held(self, browser, condor_row):
        job = condor_row("one", Status.PAUSED, native_id="13", backend_state={"hold": HALF["hold"]})
        assert self.facts(browser, job)["Held"] == "disk quota exceeded (code 12, 122)"

    def test_of_one_that_waits(self, browser, condor_row):
        job = condor_row("one", Status.SUBMITTED, native_id="14", backend_state={"position": 0})

        assert self.facts(browser, job) == {"Cluster id": "14", "Before it in the queue": "0 of this portal’s jobs"}

    def test_of_one_that_failed(self, browser, condor_row):
        state = {"exit_code": 3, "where": ["node7"], "memory": 20, "hold": None, "position": None, "removed": None}
        job = condor_row("one", Status.ERROR, native_id="14", progress_total=1, backend_state=state)

        assert self.facts(browser, job) == {
            "Cluster id": "14",
            "Where": "node7",
            "Memory": "20 MB",
            "Exit code": "3",
        }

    def test_of_one_that_it_never_had_nothing(self, browser, condor_row):
        assert self.facts(browser, condor_row("one", Status.PENDING)) == {}


def test_a_scheduler_that_cannot_be_reached_changes_no_status_and_is_told(browser, workflow_row):
    flow = workflow_row(A={"status": "RUN", "native_id": "14"})
    CondorScheduler.objects.update(unreachable_since=timezone.now(), last_error="It shows another key.")

    for address in (page_of(flow), reverse("jobsapi:job-logs", args=[flow.pk]), reverse("jobsapi:jobs")):
        page = text(browser.get(address))
        assert "Scheduler “pool” unreachable since" in page
        assert "It shows another key." in page
        assert "Running" in page


def test_an_unchanged_page_is_refreshed_without_a_body(browser, workflow_row, change):
    flow = workflow_row(A={"status": "RUN", "native_id": "14"})
    poll = re.search(r'id="parts" hx-get="([^"]+)"', text(browser.get(page_of(flow), {"status": "RUN"})))[1]
    assert "status=RUN" in poll
    asked = {"headers": {"HX-Request": "true"}}

    unchanged = browser.get(page_of(flow) + poll, **asked)
    change(flow, backend_state={"nodes": {"A": {"status": "RUN", "native_id": "15"}}})
    changed = browser.get(page_of(flow) + poll, **asked)

    assert (unchanged.status_code, unchanged.content) == (204, b"")
    assert "cluster 15" in text(changed)


def test_a_page_whose_job_or_session_is_gone_is_loaded_anew(browser, workflow_row):
    flow = workflow_row(A={"status": "RUN"})
    asked = {"headers": {"HX-Request": "true"}}
    flow.delete()
    assert browser.get(page_of(flow), **asked)["HX-Refresh"] == "true"
    assert browser.get(page_of(flow)).status_code == 404
    browser.logout()
    assert browser.get(page_of(flow), **asked)["HX-Refresh"] == "true"
    assert browser.get(page_of(flow)).url == f"{reverse('login')}?next={page_of(flow)}"


def test_an_ended_job_is_not_asked_for_again(browser, condor_row):
    page = text(browser.get(page_of(condor_row("done", Status.COMPLETE))))
    assert 'hx-trigger="every' not in page
    assert "<button" not in page.partition('id="parts"')[2]


def test_the_parts_of_others_are_not_there(browser, condor_row, bob):
    hidden = condor_row("secret", user=bob, progress_total=8)
    assert browser.get(page_of(hidden)).status_code == 404
    for command in parts.VERBS:
        assert browser.post(f"{page_of(hidden)}{command}/", {"part": "1"}).status_code == 404
        assert browser.get(f"{page_of(hidden)}{command}/").status_code == 405
    assert not PartWish.objects.exists()


def test_a_job_of_dask_has_none(browser, row):
    job = row()
    assert browser.get(page_of(job)).status_code == 404
    assert browser.post(f"{page_of(job)}stop/", {"all": "yes"}).status_code == 404
    job.refresh_from_db()
    assert job.requested == ""


def test_commands_need_the_token_of_a_page(condor_row, ada):
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(ada)
    assert strict.post(f"{page_of(condor_row())}stop/", {"all": "yes"}).status_code == 403


def test_what_htcondor_and_users_wrote_is_escaped_and_no_script_is_inline(browser, workflow_row, condor_row):
    evil = "<script>alert(1)</script>"
    hold = {"reason": evil, "code": 1, "parts": 1}
    flow = workflow_row("flow", A={"status": "ERR", "native_id": evil, "message": evil})
    state = {"hold": hold, "where": [evil], "failed": [{"part": evil, "words": evil}], "ended": {"bad": "1"}}
    state["holds"] = [{"parts": 1, "numbers": "2", "words": evil}]
    many = condor_row("many", progress_total=8, backend_state=state, status_message=evil)
    for job in (flow, many):
        page = browser.get(page_of(job)).content.decode()
        assert evil not in page
        assert "&lt;script&gt;alert(1)" in page
        assert not re.findall(r"<script(?![^>]* src=)|<style| style=| on\w+=|javascript:|https?://", page)
