"""What jobs call themselves: nobody is believed a state, nobody learns which jobs there are, nobody can flood."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from urllib.parse import quote
from uuid import uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from jobsapi import lifecycle, sealing
from jobsapi.backends.base import Observation
from jobsapi.checks import check_settings
from jobsapi.exceptions import InvalidJob, InvalidReport
from jobsapi.models import DaskJob, Job, JobEvent, RefreshWish, Scheduler
from jobsapi.models.progress import PART_MESSAGE, PART_NAME, PARTS_KEPT, PARTS_ROOM, PAUSE, Ignored, Report, merged
from jobsapi.status import Status

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


class Recorder:
    """A dispatcher that remembers what was sent."""

    sent: list[tuple[str, int]] = []

    def send(self, verb, pk, label):
        self.sent.append((verb, pk))


@pytest.fixture
def sent(settings, db):
    """The messages that workers have been sent so far, as if each request had committed."""
    settings.JOBSAPI = {**settings.JOBSAPI, "DISPATCHER": f"{__name__}.Recorder"}
    Recorder.sent.clear()

    def committed():
        while connection.run_on_commit:
            connection.run_on_commit.pop(0)[1]()
        return Recorder.sent

    return committed


@pytest.fixture
def stale(cluster_row):
    """The scheduler has not been asked for a minute."""
    polled(cluster_row, timezone.now() - timedelta(minutes=1))
    return cluster_row


def polled(scheduler, at):
    Scheduler.objects.filter(pk=scheduler.pk).update(polled_at=at)


def queries(call):
    """How many statements a call takes, and what it returns."""
    with CaptureQueriesContext(connection) as seen:
        answer = call()
    return len(seen), answer


class TestUpdate:
    @pytest.mark.parametrize("method", ["get", "post"])
    def test_the_answer_and_its_cost_are_the_same_for_every_number(self, client, row, method):
        gone = row()
        gone.delete()
        jobs = [row(status=status).pk for status in (Status.RUNNING, Status.COMPLETE, Status.PENDING)]
        told = set()
        for number in (*jobs, gone.pk, 999_999):
            cost, answer = queries(lambda number=number: getattr(client, method)(f"/update-job-status/{number}/"))
            told.add((cost, answer.status_code, answer.content))
        assert told == {(1, 200, b'{"success": true}')}
        assert client.get(f"/update-job-status/{10**30}/").json() == {"success": True}

    def test_no_site_with_a_form_of_its_own_is_needed_and_no_state_is_believed(self, row):
        from django.test import Client

        job = row(status=Status.RUNNING)
        answer = Client(enforce_csrf_checks=True).post(f"/update-job-status/{job.pk}/", {"status": "Complete"})
        assert answer.json() == {"success": True}
        assert Job.objects.get(pk=job.pk)._status == Status.RUNNING

    def test_a_flood_costs_a_query_each_and_one_message_for_the_scheduler(self, client, row, stale, sent):
        jobs = [row().pk for _ in range(5)]
        with CaptureQueriesContext(connection) as seen:
            for number in [*jobs, *range(10**6, 10**6 + 20)] * 2:
                client.get(f"/update-job-status/{number}/")
                sent()
        assert sent() == [("refresh", stale.pk)]
        assert len(seen) == 50 + 1  # the one who was first wrote that the scheduler is asked

    @pytest.mark.parametrize("delay", ["-1", "86401", "soon", "nan", "inf", "1" * 50, "1e3x", "٣٣٣٣٣٣٣"])
    def test_a_delay_that_is_none_is_told_before_anything_is_looked_up(self, client, row, delay):
        job = row()
        told = {
            (cost, answer.status_code, answer.content)
            for number in (job.pk, 999_999)
            for cost, answer in [queries(lambda n=number: client.get(f"/update-job-status/{n}/", {"delay": delay}))]
        }
        assert len(told) == 1
        assert told.pop()[:2] == (0, 400)

    def test_a_delayed_request_is_a_row_that_no_earlier_poll_fulfils(self, client, row, cluster_row, sent):
        # Given a job, and a scheduler that is polled all the time.
        job = row()
        for _ in range(3):
            assert client.get(f"/update-job-status/{job.pk}/?delay=300").json() == {"success": True}
            client.get("/update-job-status/999999/?delay=300")
        [wish] = RefreshWish.objects.all()
        assert wish.at >= timezone.now() + timedelta(seconds=290)

        # When beat looks before its time, nothing comes of it.
        lifecycle.refresh_due()
        assert sent() == []

        # When its time has come, the scheduler is asked until it has answered, and then not again.
        now = timezone.now()
        RefreshWish.objects.update(at=now - timedelta(seconds=1))
        polled(cluster_row, now - timedelta(seconds=2))
        lifecycle.refresh_due()
        lifecycle.refresh_due()
        polled(cluster_row, now)
        lifecycle.refresh_due()
        assert not RefreshWish.objects.exists()
        lifecycle.refresh_due()
        assert sent() == [("refresh", cluster_row.pk)] * 2

    def test_delays_of_all_lengths_fill_no_table(self, client, row):
        job = row()
        costs = [queries(lambda n=n: client.get(f"/update-job-status/{job.pk}/?delay={n}"))[0] for n in range(50, 90)]
        assert RefreshWish.objects.count() <= 5
        assert sum(costs) <= 40 + 5

    @pytest.mark.django_db(transaction=True)
    def test_a_delayed_request_for_a_job_under_way_takes_one_statement_more_once(self, client, row):
        job = row()
        steps = [queries(lambda: client.get(f"/update-job-status/{job.pk}/?delay=86400"))[0] for _ in range(3)]
        assert steps[0] == 2
        assert 1 in steps  # the same step again, unless a step began meanwhile
        assert queries(lambda: client.get("/update-job-status/999999/?delay=86400"))[0] == 1

    def test_a_delayed_request_for_a_job_that_is_not_there_is_nothing(self, client, row):
        done = row(status=Status.COMPLETE)
        for number in (done.pk, 999_999):
            assert client.get(f"/update-job-status/{number}/?delay=60").json() == {"success": True}
        assert not RefreshWish.objects.exists()


class TestUpdateDask:
    @pytest.mark.parametrize("key", ["simulate-0a1b", "portal/3f/7", "('sum-ab', 0)", "größe %/?#", "a//b", "../x"])
    def test_a_key_finds_its_job_and_its_status_is_not_believed(self, client, row, stale, sent, key):
        job = row(native_id=key)
        answer = client.get(f"/update-dask-job-status/{quote(key)}/", {"status": "Error"})
        assert answer.json() == {"success": True}
        assert sent() == [("refresh", stale.pk)]
        assert Job.objects.get(pk=job.pk)._status == Status.RUNNING

    def test_the_key_of_an_earlier_attempt_will_do(self, client, row, stale, sent):
        job = row()
        client.get(f"/update-dask-job-status/portal/{job.uid.hex}/{uuid4().hex}/?status=complete")
        assert sent() == [("refresh", stale.pk)]

    def test_a_key_that_is_not_there_costs_the_same_and_tells_the_same(self, client, row, sent):
        row(native_id="here")
        told = set()
        for key in ("here", "there", "x" * 3_000, "nul%00", "%ED%A0%80"):
            cost, answer = queries(lambda key=key: client.get(f"/update-dask-job-status/{key}/?status=finished"))
            told.add((cost, answer.status_code, answer.content))
        assert told == {(1, 200, b'{"success": true}')}
        assert sent() == []

    def test_a_job_of_htcondor_is_not_found_by_its_cluster(self, client, condor_row, pool_row, sent):
        polled(pool_row, None)
        job = condor_row()
        client.get(f"/update-dask-job-status/{job.native_id}/")
        assert sent() == []


@pytest.fixture
def report(client):
    """Report as a job does; the answer. ``token``: another one than the job's own."""

    def send(job, fields=None, *, token=None, number=None, content_type="application/json", **more):
        headers = {"Authorization": f"Bearer {token or job.report_token}"}
        body = fields if isinstance(fields, str | bytes) else json.dumps(fields or {"progress": 40})
        address = f"/report-job-status/{number or job.pk}/"
        return client.post(address, body, content_type=content_type, headers=headers, **more)

    return send


def kept(job):
    """What the row has of the job's own reports, as a whole."""
    return Job.objects.values("reported", "_status", "status_message", "progress_done", "native_id").get(pk=job.pk)


class TestReport:
    def test_it_is_shown_on_the_table_and_the_page_and_a_poll_leaves_it(self, client, ada, row, report):
        job = row("flood", progress_total=1)
        answer = report(job, {"progress_done": 3, "progress_total": 8, "message": "Routing <b>the</b>\n Rhine\x00"})
        assert (answer.status_code, answer.json()) == (200, {"success": True})

        seen = Observation(Status.RUNNING, progress_done=0, progress_total=1, state={"position": None})
        DaskJob.observe_many({DaskJob.objects.get(pk=job.pk): seen})
        client.force_login(ada)
        for address in ("/jobs/", f"/jobs/{job.pk}/"):
            page = client.get(address).content.decode()
            assert "3 of 8" in page
            assert "Routing &lt;b&gt;the&lt;/b&gt; Rhine�" in page

    def test_a_job_of_many_parts_keeps_its_counts_and_shows_its_words(self, client, ada, row, report):
        job = row(progress_done=2, progress_total=7)
        report(job, "progress=40&message=Half+of+it", content_type="application/x-www-form-urlencoded")
        client.force_login(ada)
        page = client.get("/jobs/").content.decode()
        assert "2 of 7 tasks" in page
        assert "Half of it" in page
        assert "40 %" not in page

    def test_a_table_that_is_open_is_told_of_a_report_and_only_of_that(self, client, ada, row, report):
        from jobsapi.manager import follow
        from jobsapi.web.rows import readable
        from jobsapi.web.table.versions import version_of

        job = row()
        read = lambda: version_of(readable(follow({})).get(pk=job.pk), with_heavy=False)  # noqa: E731
        before = read()
        report(job, {"part": "east", "progress": 5})
        assert read() == before
        Job.objects.filter(pk=job.pk).update(reported_at=timezone.now() - 2 * PAUSE)
        report(job, {"progress": 5})
        assert read() != before

    def test_whatever_is_wrong_with_a_token_is_answered_alike(self, row, report, settings):
        # Given tokens of another job, of an earlier attempt, of a job that was deleted, and some that are none.
        job, other, gone = row(), row(), row()
        old = sealing.report_token(job.uid, uuid4())
        theirs, lost = other.report_token, gone.report_token
        gone.delete()
        before = kept(job)
        answers = [
            *(
                report(job, token=token)
                for token in (theirs, old, "x", "a.b.c", job.report_token[:-1] + "!", "é", "x" * 9_000)
            ),
            report(job, token=job.report_token, number=999_999),
            report(job, token=job.report_token, number=other.pk),
            report(gone, token=lost),
        ]
        settings.JOBSAPI = {**settings.JOBSAPI, "REPORT_TOKEN_DAYS": 1e-9}
        answers.append(report(job))

        assert {(answer.status_code, answer.content) for answer in answers} == {(403, answers[0].content)}
        assert kept(job) == before

    def test_a_forged_token_costs_no_query(self, row, report):
        job = row()
        assert queries(lambda: report(job, token=f"{job.uid.hex}{job.submission_id.hex}.1.x"))[0] == 0

    def test_a_token_outlives_a_change_of_keys(self, row, report, settings):
        job = row()
        settings.JOBSAPI = {**settings.JOBSAPI, "SEALING_KEYS": ("old" * 20,)}
        token = job.report_token
        settings.JOBSAPI = {**settings.JOBSAPI, "SEALING_KEYS": ("new" * 20, "old" * 20)}
        assert report(job, token=token).status_code == 200
        settings.JOBSAPI = {**settings.JOBSAPI, "SEALING_KEYS": ("new" * 20,)}
        assert report(job, token=token).status_code == 403

    @pytest.mark.parametrize("authorization", [None, "", "Basic eDp5", "Bearer", "Bearer  "])
    def test_without_a_token_it_says_where_it_belongs(self, client, row, authorization):
        headers = {"Authorization": authorization} if authorization is not None else {}
        answer = client.post(f"/report-job-status/{row().pk}/", {"progress": 4}, headers=headers)
        assert answer.status_code == 401
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")

    def test_a_token_in_the_address_is_refused_even_if_it_is_good(self, client, row):
        job = row()
        answer = client.post(f"/report-job-status/{job.pk}/?token={job.report_token}", {"progress": 4})
        assert answer.status_code == 400
        assert "header" in answer.json()["error"]
        assert not kept(job)["reported"]

    @pytest.mark.parametrize(
        ("fields", "words"),
        [
            ("{", "cannot be read"),
            ("[" * 9_000, "cannot be read"),
            (b"\xff", "cannot be read"),
            ("[1]", "object"),
            ({"progres": 4}, "progres"),
            ('{"progress": NaN}', "number"),
            ('{"progress": 1e999}', "number"),
            ({"progress": 101}, "0 to 100"),
            ({"progress": True}, "number"),
            ({"progress": 4, "progress_done": 4}, "either"),
            ({"progress_done": 9, "progress_total": 8}, "more than"),
            ({"progress_done": -1}, "whole number"),
            ({"progress_total": 10**12}, "whole number"),
            ({"progress_done": 1.5}, "whole number"),
            ({"message": 4}, "text"),
            ({"status": "Finished-ish"}, "running, done or failed"),
            ({"part": "x" * 101}, "100"),
        ],
    )
    def test_what_is_wrong_with_a_report_is_said_in_words(self, row, report, fields, words):
        job = row()
        answer = report(job, fields)
        assert answer.status_code == 400
        assert words in answer.json()["error"]
        assert not kept(job)["reported"]

    def test_a_report_of_another_type_or_size_is_refused(self, row, report):
        job = row()
        assert report(job, "progress: 4", content_type="text/yaml").status_code == 400
        assert report(job, {"message": "x" * 17_000}).status_code == 413
        assert report(job, {"message": "x" * 15_000}).status_code == 200
        assert len(kept(job)["reported"]["job"]["message"]) == 500

    @pytest.mark.parametrize("status", [Status.COMPLETE, Status.ERROR, Status.ABORTED])
    def test_a_job_that_has_ended_stays_as_it_is(self, row, report, status):
        job = row(status=status)
        before = kept(job)
        answer = report(job, {"progress": 10, "status": "running"})
        assert answer.status_code == 409
        assert job.cached_status in answer.json()["error"]
        assert kept(job) == before

    def test_an_end_that_comes_between_reading_and_writing_wins(self, row):
        job = row()
        reader = Job.objects.get(pk=job.pk)
        job.transition(Status.ABORTED, by="scheduler")
        with pytest.raises(Exception, match="over"):
            reader.take_report(Report(done=1, total=2))
        assert not kept(job)["reported"]

    def test_an_end_that_a_job_claims_makes_its_scheduler_be_asked_and_nothing_else(
        self, client, ada, row, report, stale, sent
    ):
        job = row()
        for _ in range(5):
            assert report(job, {"status": "done"}).status_code == 200
        assert report(job, {"status": "failed"}).status_code == 200
        assert sent() == [("refresh", stale.pk)]
        assert kept(job)["_status"] == Status.RUNNING
        assert JobEvent.objects.filter(job=job.pk, by="job").count() == 1
        client.force_login(ada)
        assert "The job says that it is done" in client.get(f"/jobs/{job.pk}/").content.decode()

    def test_an_end_that_is_claimed_again_and_again_makes_nobody_ask(self, row, report, stale, sent):
        # Given a job that has said that it is done, and a scheduler that was asked then.
        job = row()
        report(job, {"status": "done", "time": 1})
        assert sent() == [("refresh", stale.pk)]

        # When it says so again, kept or ignored, a while after.
        for again in ({"status": "done"}, {"status": "failed", "time": 9}, {"status": "done", "time": 0}):
            ago = timezone.now() - timedelta(hours=1)
            Scheduler.objects.filter(pk=stale.pk).update(refresh_requested_at=ago)
            Job.objects.filter(pk=job.pk).update(reported_at=ago)
            assert report(job, again).status_code == 200
            assert sent() == [("refresh", stale.pk)]

    def test_parts_that_end_make_a_scheduler_be_asked_once_an_interval(self, row, report, stale, sent):
        job = row()
        asked = timezone.now() - timedelta(seconds=2)  # more than what a job waits, and less than an interval
        Scheduler.objects.filter(pk=stale.pk).update(refresh_requested_at=asked)
        assert report(job, {"status": "done", "part": "east"}).json() == {"success": True}
        assert sent() == []
        report(job, {"status": "done"})
        assert sent() == [("refresh", stale.pk)]

    def test_reports_that_overtake_each_other_are_told_by_their_sequence(self, row, report):
        job = row()
        assert report(job, {"progress": 60, "time": 20, "status": "done"}).json() == {"success": True}
        late = report(job, {"progress": 30, "time": 10, "message": "late"})
        again = report(job, {"progress": 90, "time": 20})
        assert [each.json() for each in (late, again)] == [{"success": True, "ignored": "older"}] * 2
        assert kept(job)["reported"]["job"]["done"] == 60

    def test_a_flood_of_reports_writes_a_few(self, row, report):
        job = row()
        with CaptureQueriesContext(connection) as seen:
            for number in range(1, 40):
                assert report(job, {"progress": number}).json()["success"] is True
        writes = [each for each in seen if each["sql"].startswith("UPDATE")]
        assert len(seen) - len(writes) <= 39 * 3  # the read, and a savepoint of a write
        assert len(writes) <= 1 + kept(job)["reported"]["job"]["done"]

    def test_two_who_report_at_once_are_both_kept(self, row):
        job = row()
        one, other = (Job.objects.get(pk=job.pk) for _ in range(2))
        assert one.take_report(Report(done=1, total=2, part="east")) is None
        assert other.take_report(Report(done=2, total=2, part="west")) is None
        assert set(kept(job)["reported"]["parts"]) == {"east", "west"}

    def test_another_attempt_begins_with_nothing_said(self, row, report):
        job = row(status=Status.RUNNING)
        token = job.report_token
        report(job, {"progress": 70})
        lost = Observation(Status.ERROR, "Gone.", lost=True)
        DaskJob.observe_many({DaskJob.objects.get(pk=job.pk): lost})
        assert (kept(job)["_status"], kept(job)["reported"]) == (Status.SUBMITTED, {})
        assert report(job, token=token).status_code == 403

    def test_nobody_can_ask_for_a_token_of_what_is_not_there_yet(self, make_job, settings):
        job = make_job()
        with pytest.raises(InvalidJob, match="not executed"):
            _ = job.report_token
        job.save()
        with pytest.raises(InvalidJob, match=r'JOBSAPI\["PUBLIC_URL"\] \(of the portal: JOBSAPI_PUBLIC_URL\)'):
            _ = job.report_url
        settings.JOBSAPI = {**settings.JOBSAPI, "PUBLIC_URL": "https://jobs.example.org/"}
        assert job.report_url == f"https://jobs.example.org/report-job-status/{job.pk}/"


class TestMerging:
    """What is kept, without a database."""

    def after(self, *reports, at=NOON, step=PAUSE):
        kept, last = {}, None
        for number, report in enumerate(reports):
            found = merged(kept, last, report, now := at + number * step)
            if not isinstance(found, Ignored):
                kept, last = found, now
        return kept

    def test_without_a_sequence_progress_never_goes_back_and_words_do_not_wait_for_it(self):
        found = self.after(Report(done=50, total=100), Report(done=4, total=10, message="again"), Report(done=3))
        assert found["job"] == {"done": 50, "total": 100, "message": "again"}

    def test_with_a_sequence_a_job_may_begin_anew(self):
        found = self.after(Report(done=50, total=100, sequence=1), Report(done=4, total=10, sequence=2))
        assert found["job"] == {"done": 4, "total": 10, "sequence": 2}

    def test_of_reports_without_a_pause_the_first_of_all_and_the_ends_are_kept(self):
        none = timedelta()
        reports = [Report(done=n, total=9, part=part) for n in range(10) for part in "ab"]
        assert [part["done"] for part in self.after(*reports, step=none)["parts"].values()] == [9, 9]
        reports = [Report(done=n, total=9, part=part) for n in range(9) for part in ("", "a", "b")]
        assert self.after(*reports, step=none) == {"job": {"done": 0, "total": 9}}

    def test_a_clock_that_was_set_back_silences_nobody(self):
        kept = merged({}, None, Report(done=1, total=9), NOON)
        assert not isinstance(merged(kept, NOON, Report(done=2), NOON - timedelta(hours=1)), Ignored)

    def test_there_is_an_end_to_the_parts_that_are_kept(self):
        found = self.after(*(Report(done=1, total=2, part=str(n)) for n in range(PARTS_KEPT + 5)))
        assert len(found["parts"]) == PARTS_KEPT

    def test_parts_with_long_names_and_words_share_a_room_and_go_on_counting_when_it_is_full(self):
        # Given parts that say as much as they may, in letters that take the most room.
        names = [f"{n:03}".ljust(PART_NAME, "\U0001f600") for n in range(PARTS_KEPT)]
        full = self.after(*(Report(done=1, total=9, message="\U0001f600" * PART_MESSAGE, part=name) for name in names))
        known = names[0]
        assert full["parts"][known]["message"]
        assert len(json.dumps(full)) <= PARTS_ROOM

        # Then no other part and no longer words are kept, and what a known part has done is.
        later = NOON + timedelta(hours=1)
        assert merged(full, NOON, Report(done=1, part=names[-1], message="x" * PART_MESSAGE), later) is Ignored.NO_ROOM
        small = self.after(*(Report(done=1, total=9, part=str(n)) for n in range(PARTS_KEPT)))
        kept = small
        for n in range(PARTS_KEPT):
            report = Report(done=2, message="\U0001f600" * PART_MESSAGE, part=str(n), sequence=1)
            kept = merged(kept, NOON, report, later)
        assert {part["done"] for part in kept["parts"].values()} == {2}
        assert len(json.dumps(kept)) <= PARTS_ROOM + PARTS_KEPT * 100
        more = Report(message="\U0001f600" * PART_MESSAGE, part=str(PARTS_KEPT - 1), sequence=2)
        assert merged(kept, NOON, more, later) is Ignored.NO_ROOM

    @pytest.mark.parametrize("fields", [{}, {"progress": None, "x": 1}, {"message": None, "status": 4}])
    def test_a_report_that_says_nothing_is_none(self, fields):
        with pytest.raises(InvalidReport):
            Report.of(fields)


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("https://jobs.example.org", []),
        ("http://127.0.0.1:8000/", []),
        ("http://jobs.example.org", ["jobsapi.W009"]),
        ("jobs.example.org", ["jobsapi.E005"]),
        ("https://jobs.example.org/?x=1", ["jobsapi.E005"]),
        ("http://[", ["jobsapi.E005"]),
        (5, ["jobsapi.E005"]),
    ],
)
def test_an_address_that_jobs_could_not_or_should_not_report_to_is_told_when_the_site_starts(settings, address, said):
    settings.JOBSAPI = {**settings.JOBSAPI, "PUBLIC_URL": address}
    assert [message.id for message in check_settings()] == said
