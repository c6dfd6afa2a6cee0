"""What opens below a row: the graph of a workflow, the tasks of a Dask job by name, the parts of a job of many."""

from __future__ import annotations

import html
import re

import pytest
from django.contrib.auth.models import Group, Permission
from django.urls import reverse

from jobsapi.models import (
    CondorWorkflow,
    CondorWorkflowFinalNode,
    CondorWorkflowJobNode,
    CondorWorkflowNode,
    CondorWorkflowSpliceNode,
    CondorWorkflowSubdagNode,
    Job,
    Scheduler,
)
from jobsapi.status import Status
from jobsapi.web.inside import pictures
from jobsapi.web.inside.nodes import vertices
from jobsapi.web.inside.pictures import picture

pytestmark = pytest.mark.django_db

HTMX = {"headers": {"HX-Request": "true"}}
PROGRAM = {"attributes": {"executable": "/bin/true"}}


@pytest.fixture
def browser(client, ada):
    client.force_login(ada)
    return client


def inside_of(job) -> str:
    return reverse("jobsapi:job-inside", args=[job.pk])


def text(response) -> str:
    return re.sub(r"\s+", " ", html.unescape(response.content.decode()))


def words(response) -> str:
    """What is read, without the markup; of a graph the labels of its links."""
    page = re.sub(
        r'<a [^>]*class="box[^>]* aria-label="([^"]*)">.*?</a>', r" [\1] ", response.content.decode(), flags=re.S
    )
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", page)).split())


def links(response) -> dict[str, str]:
    """Where each box leads, by the first word of what is known of it."""
    found = re.findall(r'<a id="[^"]*" href="([^"]*)" class="box[^>]* aria-label="([^":]*):', response.content.decode())
    return {html.unescape(label): html.unescape(address) for address, label in found}


def poll_of(response) -> str:
    return html.unescape(re.search(r'-poll"[^>]* hx-get="([^"]+)"', response.content.decode())[1])


@pytest.mark.parametrize("reported", [{}, {"job": {"done": 1, "total": 4, "message": "River 1 is routed"}}])
def test_what_is_inside_a_job_is_called_the_same_whether_it_reports_or_not(browser, row, reported):
    job = row("routing", reported=reported)
    page = text(browser.get("/jobs/"))
    assert ("1 of 4" in page) == bool(reported)
    assert re.search(rf'<summary id="job-{job.pk}-inside-summary">([^<]*)<', page)[1] == "Tasks"


@pytest.fixture
def large_flow(condor_row):
    """Write a workflow of ``width`` chains of two nodes between one that is first and one that is last."""

    def write(width, **states):
        flow = condor_row("large", Status.RUNNING, nodes=())
        chains = [f"{step}_{n:03}" for step in ("run", "check") for n in range(width)]
        made = [CondorWorkflowJobNode(name=name, workflow=flow) for name in ("first", *chains, "last")]
        CondorWorkflowNode.objects.bulk_create(made)
        pks = dict(CondorWorkflowNode.objects.filter(workflow=flow.pk).values_list("name", "pk"))
        pairs = [(f"run_{n:03}", "first") for n in range(width)]
        pairs += [(f"check_{n:03}", f"run_{n:03}") for n in range(width)]
        pairs += [("last", f"check_{n:03}") for n in range(width)]
        link = CondorWorkflowNode.parent_nodes.through
        rows = [
            link(from_condorworkflownode_id=pks[child], to_condorworkflownode_id=pks[parent]) for child, parent in pairs
        ]
        link.objects.bulk_create(rows)
        Job._base_manager.filter(pk=flow.pk).update(backend_state={"nodes": states})
        return CondorWorkflow.objects.get(pk=flow.pk)

    return write


class TestWorkflow:
    def test_each_node_is_a_link_that_says_all_that_is_known_of_it(self, browser, workflow_row):
        flow = workflow_row(
            A={"status": "COM", "native_id": "14", "where": "node7", "run_time": 75},
            B={"status": "ERR", "native_id": "17", "retries": 2, "message": "Exit code 3."},
            C={"status": "PEN"},
        )
        page = browser.get(inside_of(flow), **HTMX)

        assert "[A: Complete, on node7, 1 min 15 s]" in words(page)
        assert "[B: Error, 2 retries, Exit code 3.]" in words(page)
        assert "3 nodes 1 Pending 1 Complete 1 Error" in words(page)
        assert 'class="box bad"' in text(page)

    def test_a_node_leads_to_its_logs_and_one_without_to_the_nodes(self, browser, workflow_row):
        flow = workflow_row(A={"status": "RUN", "native_id": "14"}, B={"status": "PEN"})

        found = links(browser.get(inside_of(flow), **HTMX))

        assert found == {
            "A": f"{reverse('jobsapi:job-logs', args=[flow.pk])}?find=%2FA%2F",
            "B": f"{reverse('jobsapi:job-parts', args=[flow.pk])}?status=PEN",
        }

    def test_what_waits_for_what_is_drawn_and_said(self, browser, condor_row):
        flow = condor_row("flow", Status.PENDING, nodes=("A", "B", "C"))
        flow.get_job("C").add_parent(flow.get_job("A"))
        flow.get_job("C").add_parent(flow.get_job("B"))

        page = browser.get(inside_of(flow), **HTMX)

        assert "[C: Pending, after A, B]" in words(page)
        assert text(page).count("marker-end") == 2

    def test_types_are_told_in_words_and_a_splice_is_one_box(self, condor_row):
        flow = condor_row("flow", Status.PENDING, nodes=("A",))
        inner = {"dag_file": "s.dag", "remote_input_files": ["s.dag"]}
        CondorWorkflowSubdagNode(name="sub", workflow=flow, **inner).save()
        CondorWorkflowSpliceNode(name="S", workflow=flow, **inner).save()
        CondorWorkflowFinalNode(name="end", workflow=flow, **PROGRAM).save()
        flow.get_job("S").add_parent(flow.get_job("A"))
        states = {"A": {"status": "COM"}, "S+x": {"status": "COM"}, "S+y": {"status": "RUN"}}
        Job._base_manager.filter(pk=flow.pk).update(_status=Status.RUNNING, backend_state={"nodes": states})

        drawn = picture(vertices(CondorWorkflow.objects.get(pk=flow.pk)))

        boxes = {box.name: box for box in drawn.boxes}
        assert {name: box.type for name, box in boxes.items()} == {
            "A": "JOB",
            "sub": "SUBDAG",
            "S": "SPLICE",
            "end": "FINAL",
        }
        assert (boxes["S"].words, boxes["S"].is_several) == ("1 of 2 done", True)
        assert boxes["S"].title == "S: 1 Running, 1 Complete (S+x, S+y)"
        assert float(boxes["end"].y) > max(float(boxes[name].y) for name in ("A", "S", "sub"))
        assert len(drawn.paths) == 1

    def test_a_node_that_is_said_to_wait_for_the_final_one_is_drawn_all_the_same(self, browser, workflow_row):
        flow = workflow_row(status=Status.COMPLETE, A={"status": "COM"})
        end = CondorWorkflowFinalNode(name="end", workflow=flow, **PROGRAM)
        end.save()
        flow.nodes.get(name="A").parent_nodes.add(end)

        assert browser.get(reverse("jobsapi:job-parts", args=[flow.pk])).status_code == 200
        assert links(browser.get(inside_of(flow), **HTMX)).keys() == {"A", "end"}

    def test_many_nodes_that_are_alike_are_one_box_which_says_how_they_are(self, browser, large_flow):
        states = {f"run_{n:03}": {"status": "COM" if n < 200 else "RUN"} for n in range(300)}
        states |= {f"check_{n:03}": {"status": "ERR" if n == 7 else "COM" if n < 60 else "PEN"} for n in range(300)}
        flow = large_flow(300, **states)

        page = browser.get(inside_of(flow), **HTMX)

        assert "[300 × run…: 100 Running, 200 Complete (run_000, run_001, run_002, run_003, run_004 …)]" in words(page)
        assert "1 failed, 59 done" in text(page)
        assert "602 nodes" in words(page)
        assert "drawn as one box" in words(page)
        assert links(page)["300 × check…"].endswith("/parts/?status=ERR")
        assert text(page).count('class="box') == 4

    def test_of_too_many_boxes_those_of_a_layer_are_one(self, browser, large_flow, monkeypatch):
        monkeypatch.setattr(pictures, "MOST_ALONE", 3)
        monkeypatch.setattr(pictures, "MOST", 3)
        flow = large_flow(2)
        assert pictures.TOO_MANY in words(browser.get(inside_of(flow), **HTMX))
        monkeypatch.setattr(pictures, "MOST", 4)
        assert text(browser.get(inside_of(flow), **HTMX)).count('class="box') == 4

    def test_the_graph_costs_as_many_queries_as_it_has_tables(self, browser, large_flow, django_assert_max_num_queries):
        flow = large_flow(100)
        with django_assert_max_num_queries(6):  # session, account, job, wishes, nodes, links
            browser.get(inside_of(flow), **HTMX)

    def test_a_workflow_without_nodes_says_so(self, browser, condor_row):
        assert "has no nodes" in words(browser.get(inside_of(condor_row("empty", nodes=())), **HTMX))

    def test_the_page_of_nodes_shows_the_graph_above_them(self, browser, workflow_row):
        flow = workflow_row(A={"status": "RUN", "native_id": "14"})
        page = text(browser.get(reverse("jobsapi:job-parts", args=[flow.pk])))
        assert page.index('<svg class="graph"') < page.index('id="parts"')


class TestTasks:
    STATE = {"tasks": [["load", 40, 0, 0, 0, 0], ["count_hits", 12, 4, 1_022, 2, 3], ["", 1, 0, 0, 0, 0]]}

    def test_they_are_counted_by_name(self, browser, row):
        page = words(browser.get(inside_of(row(backend_state=self.STATE)), **HTMX))
        assert "load 40 of 40 done" in page
        assert "count_hits 12 of 1,043 done, 4 at workers, 2 failed, 3 not run, 1,022 waiting" in page
        assert "other tasks 1 of 1 done" in page

    def test_of_a_complete_job_all_are_done_however_they_were_counted_last(self, browser, row):
        page = words(browser.get(inside_of(row("done", Status.COMPLETE, backend_state=self.STATE)), **HTMX))
        assert "count_hits 1,043 of 1,043 done other" in page

    def test_of_a_stopped_job_nothing_waits_any_more(self, browser, row):
        page = words(browser.get(inside_of(row("off", Status.ABORTED, backend_state=self.STATE)), **HTMX))
        assert "count_hits 12 of 1,043 done, 2 failed, 1,029 not run" in page

    def test_what_was_not_counted_says_why(self, browser, row):
        assert "has not been run" in words(browser.get(inside_of(row("new", Status.PENDING)), **HTMX))
        assert "have not been counted" in words(browser.get(inside_of(row("large")), **HTMX))


class TestParts:
    def test_they_are_counted_by_status(self, browser, condor_row):
        state = {"ended": {"ok": "0-1,4", "bad": "3"}, "hold": {"parts": 1}}
        job = condor_row("many", Status.VARIOUS, progress_total=8, backend_state=state)
        page = browser.get(inside_of(job), **HTMX)
        assert "8 parts 3 Complete 1 Error 1 Paused 3 Running or waiting" in words(page)
        assert '<svg class="segments"' in text(page)

    def test_what_runs_is_told_from_what_waits(self, browser, condor_row):
        now = {"running": {"parts": 2, "numbers": "1-2"}, "waiting": {"parts": 5, "numbers": "3-7"}}
        job = condor_row("many", Status.VARIOUS, progress_total=8, backend_state={"ended": {"ok": "0"}, "now": now})
        page = browser.get(inside_of(job), **HTMX)
        assert "8 parts 1 Complete 2 Running 5 Waiting" in words(page)

    def test_those_of_an_ended_job_do_not_run(self, browser, condor_row):
        job = condor_row("off", Status.ABORTED, progress_total=8, backend_state={"ended": {"ok": "0-1"}})
        assert "2 Complete 6 Never run" in words(browser.get(inside_of(job), **HTMX))


class TestUpdates:
    def test_nothing_is_sent_until_something_has_changed(self, browser, workflow_row, row, change):
        flow, job = workflow_row(A={"status": "RUN", "native_id": "14"}), row(backend_state=TestTasks.STATE)
        for one, state in ((flow, {"nodes": {"A": {"status": "COM"}}}), (job, {"tasks": [["load", 41, 0, 0, 0, 0]]})):
            poll = poll_of(browser.get(inside_of(one), **HTMX))
            unchanged = browser.get(poll, **HTMX)
            assert (unchanged.status_code, unchanged.content) == (204, b"")
            change(one, backend_state=state)
            changed = browser.get(poll, **HTMX)
            assert "hx-swap-oob" in text(changed)
            assert poll_of(changed) != poll

    def test_an_ended_job_is_not_asked_for_again(self, browser, row, change):
        job = row(backend_state=TestTasks.STATE)
        poll = poll_of(browser.get(inside_of(job), **HTMX))
        change(job, _status=Status.COMPLETE, completion_time=job.start_time)
        last = text(browser.get(poll, **HTMX))
        assert "every 2s" not in last
        assert "1,043 of 1,043 done" in last

    def test_one_that_is_run_again_on_the_same_page_is_followed_again(self, browser, row, change):
        job = row(status=Status.COMPLETE)
        first = browser.get(inside_of(job), **HTMX)
        assert 'hx-trigger="jobs-changed from:body"' in text(first)
        change(job, _status=Status.SUBMITTED, completion_time=None)
        assert "every 2s" in text(browser.get(poll_of(first), **HTMX))

    def test_the_poll_of_a_job_that_is_gone_ends(self, browser, row):
        job = row(status=Status.COMPLETE)
        job.delete()
        assert browser.get(inside_of(job), **HTMX).status_code == 286
        assert browser.get(inside_of(job)).status_code == 404

    def test_without_a_session_the_page_is_loaded_anew(self, browser, row):
        job = row()
        browser.logout()
        assert browser.get(inside_of(job), **HTMX)["HX-Refresh"] == "true"
        assert browser.get(inside_of(job)).url == f"{reverse('login')}?next={inside_of(job)}"

    def test_it_is_a_page_of_its_own_without_a_script(self, browser, row):
        page = text(browser.get(inside_of(row("mine", backend_state=TestTasks.STATE))))
        assert "<h1>mine</h1>" in page
        assert "count_hits" in page


class TestDashboard:
    @pytest.fixture
    def dask_at(self, row, cluster_row):
        def write(address):
            Scheduler.objects.filter(pk=cluster_row.pk).update(dashboard=address)
            return row(backend_state=TestTasks.STATE)

        return write

    @pytest.fixture
    def admin(self, browser, ada):
        ada.is_staff = True
        ada.save()
        return browser

    def test_everybody_gets_a_link_and_administrators_a_page(self, browser, ada, dask_at):
        job = dask_at("http://dask.example:8787/status")
        embedded = reverse("jobsapi:job-dashboard", args=[job.pk])
        page = text(browser.get(inside_of(job), **HTMX))
        assert 'href="http://dask.example:8787/status" rel="noopener noreferrer"' in page
        assert embedded not in page
        assert browser.get(embedded).status_code == 404

        ada.user_permissions.add(Permission.objects.get(codename="jobs_table_actions"))
        assert embedded in text(browser.get(inside_of(job), **HTMX))
        assert browser.get(embedded).status_code == 200

    def test_the_page_lets_that_one_frame_in_and_nothing_else(self, admin, dask_at):
        job = dask_at("https://dask.example:8787/status")
        answer = admin.get(reverse("jobsapi:job-dashboard", args=[job.pk]))
        policy = answer["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert policy.endswith("frame-src https://dask.example:8787")
        assert 'sandbox="allow-scripts allow-same-origin"' in text(answer)

    def test_a_dashboard_of_this_very_site_stays_in_its_sandbox(self, admin, dask_at):
        answer = admin.get(reverse("jobsapi:job-dashboard", args=[dask_at("http://testserver/dask/status").pk]))
        assert 'sandbox="allow-scripts"' in text(answer)

    def test_one_over_http_is_not_framed_by_a_site_over_https(self, admin, dask_at):
        job = dask_at("http://dask.example:8787")
        answer = admin.get(reverse("jobsapi:job-dashboard", args=[job.pk]), secure=True)
        assert "<iframe" not in text(answer)
        assert "Open it in a new tab" in text(answer)

    def test_an_address_without_a_scheme_is_one_over_http(self, admin, dask_at):
        page = text(admin.get(inside_of(dask_at("dask.example:8787/status")), **HTMX))
        assert 'href="http://dask.example:8787/status"' in page

    @pytest.mark.parametrize(
        "address",
        [
            "",
            "javascript:alert(1)",
            "ftp://dask.example",
            "http://dask.example; script-src *",
            "http://a b:1",
            "http://user@dask.example",
            "http://[::1",
            "//dask.example",
            "http://",
        ],
    )
    def test_what_is_no_address_of_a_web_page_is_no_dashboard(self, admin, dask_at, address):
        job = dask_at(address)
        assert admin.get(reverse("jobsapi:job-dashboard", args=[job.pk])).status_code == 404
        assert "ashboard" not in text(admin.get(inside_of(job), **HTMX))

    def test_a_job_of_htcondor_has_none(self, admin, condor_row):
        assert admin.get(reverse("jobsapi:job-dashboard", args=[condor_row().pk])).status_code == 404


def test_what_is_inside_the_jobs_of_others_is_not_there(browser, workflow_row, row, bob, ada):
    flow, job = workflow_row(A={"status": "RUN"}), row(user=bob)
    Job._base_manager.filter(pk=flow.pk).update(user=bob)
    for hidden in (flow, job):
        assert browser.get(inside_of(hidden)).status_code == 404
        assert browser.get(reverse("jobsapi:job-dashboard", args=[hidden.pk])).status_code == 404

    group = Group.objects.create(name="lab")
    ada.groups.add(group)
    Job.objects.get(pk=flow.pk).share(group)
    page = browser.get(reverse("jobsapi:job-parts", args=[flow.pk]))
    assert browser.get(inside_of(flow)).status_code == 200
    assert "Stop A" not in text(page)


def test_names_are_escaped_and_neither_script_nor_style_is_inline(browser, workflow_row, row, change):
    evil = "<script>alert(1)</script>"
    known = {"status": "ERR", "native_id": "1", "message": evil, "where": evil}
    flow = workflow_row(A={})
    change(flow, backend_state={"nodes": {"A": known, evil: {"status": "RUN"}}})
    job = row(backend_state={"tasks": [[evil, 1, 0, 0, 0, 0]]})
    for one in (flow, job):
        page = browser.get(inside_of(one)).content.decode()
        assert evil not in page
        assert "&lt;script&gt;alert(1)" in page
        assert not re.findall(r"<script(?![^>]* src=)|<style| style=| on\w+=|javascript:|https?://", page)
