"""The one writer of status: guarded, recorded, and cheap however many jobs there are."""

import uuid
from datetime import timedelta

import pytest
from django.db import connection
from django.db.models import F, Q
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from jobsapi.backends.base import Observation
from jobsapi.exceptions import TransitionNotAllowed
from jobsapi.models import Job, JobEvent
from jobsapi.signals import job_status_changed
from jobsapi.status import REVIVES, SENTENCES, TERMINAL, Status
from tests.flood.job_types import FloodJob

pytestmark = pytest.mark.django_db


@pytest.fixture
def at(manager, user, scheduler):
    """Make jobs that their scheduler has, in the given status, and read them as a refresh does."""

    def make(status=Status.SUBMITTED, count=1, job_type="DASK", **columns):
        cls = type(manager.create_job("job", user, job_type=job_type))
        if status in TERMINAL:
            columns.setdefault("completion_time", timezone.now())
        common = {"user": user, "label": "tests", "scheduler": scheduler, "_status": status, "attempts": 1}
        made = cls.objects.bulk_create(
            cls(name=f"job {n}", native_id=f"key-{n}", submission_id=uuid.uuid4(), **{**common, **columns})
            for n in range(count)
        )
        rows = list(Job.objects.filter(pk__in=[job.pk for job in made]))
        return rows if count > 1 else rows[0]

    return make


def verbs(queries):
    """The statements that were run, but for those that open and close a transaction."""
    words = [query["sql"].split()[0] for query in queries]
    return [word for word in words if word in ("SELECT", "INSERT", "UPDATE", "DELETE")]


class TestTransition:
    def test_it_is_one_guarded_update_and_one_event(self, at):
        job = at(Status.SUBMITTED)

        with CaptureQueriesContext(connection) as queries:
            job.transition(Status.RUNNING, by="scheduler", message="on node 3", progress_total=4)

        assert verbs(queries) == ["UPDATE", "INSERT"]
        update = next(query["sql"] for query in queries if query["sql"].startswith("UPDATE"))
        assert '"_status" IN' in update.partition("WHERE")[2]
        row, event = Job.objects.get(), JobEvent.objects.get()
        assert (row.cached_status, row.status_message, row.progress_total) == ("Running", "on node 3", 4)
        assert row.start_time is not None
        assert (event.by, event.status, event.message, event.attempt) == ("scheduler", "RUN", "on node 3", 1)
        assert (job.cached_status, job.status_message, job.start_time) == ("Running", "on node 3", row.start_time)

    def test_without_words_of_its_own_the_history_has_the_edges_sentence(self, at):
        at(Status.SUBMITTED).transition(Status.RUNNING, by="scheduler")

        assert JobEvent.objects.get().message == SENTENCES["scheduler", Status.RUNNING]
        assert Job.objects.get().status_message == ""

    @pytest.mark.parametrize("to", sorted(TERMINAL))
    def test_an_end_has_a_completion_time(self, at, to):
        job = at(Status.RESULTS_READY)

        job.transition(to, by="app")

        assert Job.objects.get().completion_time == job.completion_time is not None

    @pytest.mark.parametrize(
        ("now", "to", "by", "words"),
        [
            (Status.COMPLETE, Status.RUNNING, "app", r"is Complete and cannot become Running now.*resubmit\(\)"),
            (Status.RUNNING, Status.SUBMITTED, "resubmit", r"is Running and cannot become Submitted now.*stop\(\)"),
            (Status.RUNNING, Status.SUBMITTED, "execute", r"is Running.*Only a job that is Pending can be executed"),
            (Status.COMPLETE, Status.ABORTED, "stop", "is Complete.*It has ended already"),
            (Status.COMPLETE, Status.RUNNING, "scheduler", "is Complete and cannot become Running now.$"),
            (Status.RUNNING, Status.PENDING, "app", "is Running and cannot become Pending"),
            (Status.RUNNING, Status.COMPLETE, "nobody", "is Running and cannot become Complete now.$"),
        ],
    )
    def test_what_the_table_does_not_allow_is_refused_and_nothing_is_written(self, at, now, to, by, words):
        job = at(now)
        before = Job.objects.values().get()

        with pytest.raises(TransitionNotAllowed, match=rf"^Job {job.pk} {words}"):
            job.transition(to, by=by, message="no")

        assert Job.objects.values().get() == before
        assert JobEvent.objects.count() == 0
        assert (job._status, job.status_message) == (now, "")

    @pytest.mark.parametrize("by", ["scheduler", "worker"])
    def test_what_is_said_of_an_attempt_that_is_over_is_refused(self, at, by):
        job = at(Status.SUBMITTED)
        Job._base_manager.update(submission_id=uuid.uuid4())

        with pytest.raises(TransitionNotAllowed):
            job.transition(Status.ERROR, by=by)

        assert Job.objects.get().cached_status == "Submitted"

    @pytest.mark.parametrize("status", sorted(TERMINAL))
    def test_no_cause_but_those_that_revive_changes_an_ended_job(self, at, status):
        job = at(status)

        for by, to in SENTENCES:
            if by not in REVIVES:
                with pytest.raises(TransitionNotAllowed):
                    job.transition(to, by=by)

    def test_a_further_guard_narrows_it(self, at):
        job = at(Status.SUBMITTED)

        with pytest.raises(TransitionNotAllowed):
            job.transition(Status.RUNNING, by="scheduler", only=Q(native_id=""))
        job.transition(Status.RUNNING, by="scheduler", only=Q(native_id=job.native_id))

    def test_text_that_databases_refuse_is_mended(self, at):
        job = at(Status.SUBMITTED)

        job.transition(Status.ERROR, by="scheduler", message="a\x00b\ud800c", detail="x" * 200_000)

        event = JobEvent.objects.get()
        assert Job.objects.get().status_message == event.message == "a�b?c"
        assert len(event.detail) == 100_000
        assert event.detail.endswith("…")

    def test_a_custom_label_does_not_survive_another_status(self, at):
        job = at(Status.OTHER, custom_status="Calibrating")

        job.transition(Status.RUNNING, by="app")

        assert Job.objects.get().custom_status == ""


class TestObserving:
    def test_what_did_not_change_costs_nothing(self, at, django_assert_num_queries):
        jobs = at(Status.RUNNING, 50, progress_total=9, backend_state={"where": "here"}, status_message="as before")
        seen = Observation(Status.RUNNING, "as before", progress_total=9, state={"where": "here"})

        with django_assert_num_queries(0):
            assert Job.observe_many(dict.fromkeys(jobs, seen)) == []

    def test_nothing_observed_costs_nothing(self, db, django_assert_num_queries):
        with django_assert_num_queries(0):
            assert Job.observe_many({}) == []

    def test_a_change_writes_the_row_and_one_event(self, at):
        job, start = at(Status.SUBMITTED), timezone.now() - timedelta(minutes=3)
        seen = Observation(
            Status.RUNNING, "on node 3", progress_done=1, progress_total=4, start_time=start, state={"where": "node 3"}
        )

        (changed,) = Job.observe_many({job: seen})

        row, event = Job.objects.get(), JobEvent.objects.get()
        assert (row.cached_status, row.status_message, row.start_time) == ("Running", "on node 3", start)
        assert (row.progress_done, row.progress_total, row.backend_state) == (1, 4, {"where": "node 3"})
        assert (event.by, event.status, event.message) == ("scheduler", "RUN", "on node 3")
        assert (changed, changed.cached_status) == (row, "Running")

    def test_progress_alone_makes_no_event(self, at):
        job = at(Status.RUNNING)

        assert Job.observe_many({job: Observation(Status.RUNNING, progress_done=3, state={"a": 1})}) == []

        row = Job.objects.get()
        assert (row.progress_done, row.backend_state) == (3, {"a": 1})
        assert JobEvent.objects.count() == 0

    def test_what_is_not_known_changes_nothing(self, at):
        job = at(Status.RUNNING, progress_done=3, progress_total=4, status_message="still", backend_state={"a": 1})

        Job.observe_many({job: Observation(Status.PAUSED, state={"b": 2})})

        row = Job.objects.get()
        assert (row.progress_done, row.progress_total, row.backend_state) == (3, 4, {"a": 1, "b": 2})

    def test_the_scheduler_may_take_a_job_off_the_machine_again(self, at):
        job = at(Status.RUNNING)

        Job.observe_many({job: Observation(Status.SUBMITTED, "evicted")})

        assert Job.objects.get().cached_status == "Submitted"
        assert JobEvent.objects.get().message == "evicted"

    @pytest.mark.parametrize("status", sorted(TERMINAL))
    @pytest.mark.parametrize("seen", [Status.RUNNING, Status.RESULTS_READY, Status.ERROR])
    def test_a_late_observation_never_revives(self, at, status, seen):
        job = at(Status.RUNNING)
        Job._base_manager.update(_status=status, completion_time=timezone.now())
        before = Job.objects.values().get()

        assert Job.observe_many({job: Observation(seen, "late", progress_done=8, state={"late": 1})}) == []

        assert Job.objects.values().get() == before
        assert JobEvent.objects.count() == 0

    def test_an_observation_of_an_attempt_that_is_over_is_dropped(self, at):
        job = at(Status.RUNNING)
        Job._base_manager.update(submission_id=uuid.uuid4(), _status="SUB")
        before = Job.objects.values().get()

        assert Job.observe_many({job: Observation(Status.ERROR, "of the old one", lost=True)}) == []

        assert Job.objects.values().get() == before

    def test_an_observation_that_comes_out_of_order_is_dropped(self, at):
        job = at(Status.RESULTS_READY)

        assert Job.observe_many({job: Observation(Status.RUNNING, "late", progress_done=1)}) == []

        assert Job.objects.get().cached_status == "Results-Ready"

    def test_a_job_that_was_deleted_meanwhile_is_left_out(self, at):
        one, two = at(Status.SUBMITTED, 2)
        Job._base_manager.filter(pk=one.pk)._raw_delete("default")

        changed = Job.observe_many({one: Observation(Status.RUNNING), two: Observation(Status.RUNNING)})

        assert changed == [two]

    def test_a_custom_label_survives_running_but_not_the_end(self, at):
        job = at(Status.OTHER, custom_status="Calibrating")

        Job.observe_many({job: Observation(Status.RUNNING, progress_done=1)})
        row = Job.objects.get()
        assert (row.cached_status, row.progress_done) == ("Calibrating", 1)
        Job.observe_many({row: Observation(Status.RESULTS_READY)})

        row = Job.objects.get()
        assert (row.cached_status, row.custom_status) == ("Results-Ready", "")

    @pytest.mark.parametrize(
        ("wish", "seen"),
        [("hold", Status.PAUSED), ("release", Status.RUNNING), ("release", Status.SUBMITTED)],
    )
    @pytest.mark.parametrize("now", [Status.RUNNING, Status.PAUSED, Status.OTHER])
    def test_a_wish_is_fulfilled_when_the_scheduler_says_so(self, at, wish, seen, now):
        job = at(now, requested=wish)

        Job.observe_many({job: Observation(seen)})

        assert Job.objects.get().requested == ""

    def test_a_wish_stays_until_then(self, at):
        job = at(Status.RUNNING, requested="hold")

        Job.observe_many({job: Observation(Status.RUNNING, progress_done=1)})

        assert Job.objects.get().requested == "hold"


class TestManyJobs:
    def statements(self, jobs, observe):
        with CaptureQueriesContext(connection) as queries:
            changed = Job.observe_many({job: observe(job) for job in jobs})
        return len(queries), changed

    def test_a_thousand_changes_cost_a_bounded_number_of_statements(self, at):
        jobs = at(Status.SUBMITTED, 1000)

        count, changed = self.statements(
            jobs, lambda job: Observation(Status.RUNNING, f"on node {job.pk}", progress_done=1, state={"n": job.pk})
        )

        assert len(changed) == 1000
        assert Job.objects.filter(_status="RUN", progress_done=1, status_message=F("status_message")).count() == 1000
        assert JobEvent.objects.count() == 1000
        assert count <= 40

    def test_more_types_and_more_kinds_of_change_cost_little_more(self, at):
        plain = at(Status.SUBMITTED, 500)
        one, _ = self.statements(plain, lambda job: Observation(Status.RUNNING))
        mixed = [*at(Status.SUBMITTED, 250), *at(Status.SUBMITTED, 250, job_type="FLOOD")]

        four, changed = self.statements(
            mixed,
            lambda job: Observation((Status.RUNNING, Status.RESULTS_READY)[job.pk % 2], progress_done=job.pk % 4 // 2),
        )

        assert len(changed) == 500
        assert {type(job) for job in changed} == {type(plain[0]), FloodJob}
        assert four <= one + 10

    def test_one_row_that_the_database_refuses_spoils_no_other(self, at):
        jobs = at(Status.SUBMITTED, 20)
        bad = jobs[7]
        seen = dict.fromkeys(jobs, Observation(Status.RUNNING))
        seen[bad] = Observation(Status.RUNNING, progress_done=-1)

        changed = Job.observe_many(seen)

        assert len(changed) == 19
        assert Job.objects.filter(_status="RUN").count() == JobEvent.objects.count() == 19
        row = Job.objects.get(pk=bad.pk)
        assert row.cached_status == "Submitted"
        assert "cannot be stored" in row.status_message

    @pytest.mark.parametrize(
        "nonsense",
        [
            pytest.param(Observation(Status.RUNNING, state={"when": timezone}), id="no JSON"),
            pytest.param(Observation(Status.RUNNING, progress_total=2**70), id="too large a number"),
            pytest.param(Observation(Status.RUNNING, progress_total="many"), id="no number"),
            pytest.param(Observation(Status.RUNNING, state={"ratio": float("nan")}), id="NaN"),
        ],
    )
    def test_one_observation_that_makes_no_sense_spoils_no_other(self, at, nonsense):
        jobs = at(Status.SUBMITTED, 5)
        seen = dict.fromkeys(jobs, Observation(Status.RUNNING))
        seen[jobs[2]] = nonsense

        changed = Job.observe_many(seen)

        assert set(jobs) - {jobs[2]} <= set(changed)
        bad = Job.objects.get(pk=jobs[2].pk)
        assert bad.cached_status == "Running" or "cannot be stored" in bad.status_message


class TestLostJobs:
    LOST = Observation(Status.ERROR, "cluster does not know the job any more.", lost=True)

    @pytest.fixture
    def max_two(self, settings):
        settings.JOBSAPI = {**settings.JOBSAPI, "MAX_ATTEMPTS": 2}

    def test_a_lost_job_becomes_another_attempt_and_the_history_says_so(self, at, max_two):
        job = at(
            Status.RUNNING,
            progress_done=5,
            start_time=timezone.now(),
            missing_since=timezone.now(),
            submit_started_at=timezone.now(),
            backend_state={"old": 1},
        )

        (changed,) = Job.observe_many({job: self.LOST})

        row, event = Job.objects.get(), JobEvent.objects.get()
        assert (row.cached_status, row.native_id, row.attempts, row.progress_done) == ("Submitted", "", 2, 0)
        assert row.submission_id not in (None, job.submission_id)
        assert row.missing_since is row.submit_started_at is row.start_time is None
        assert row.backend_state == {}
        assert (event.by, event.attempt) == ("lost", 2)
        assert "Submitted again, as attempt 2 of at most 2" in event.message == row.status_message
        assert changed.submission_id == row.submission_id

    def test_a_lost_job_that_was_only_submitted_is_another_attempt_too(self, at, max_two):
        assert Job.observe_many({at(Status.SUBMITTED): self.LOST})

        assert Job.objects.get().attempts == 2

    def test_at_the_limit_it_is_an_error_that_says_so(self, at, max_two):
        job = at(Status.RUNNING, attempts=2)

        Job.observe_many({job: self.LOST})

        row = Job.objects.get()
        assert row.cached_status == "Error"
        assert "does not know the job any more" in row.status_message
        assert "submitted 2 times, which is the limit" in row.status_message

    def test_what_cannot_run_again_is_an_error_that_says_why(self, at, max_two):
        job = at(Status.RUNNING, backend_state={"from_future": True})

        Job.observe_many({job: self.LOST})

        row = Job.objects.get()
        assert (row.cached_status, row.attempts) == ("Error", 1)
        assert "made from a Future" in row.status_message

    def test_a_lost_job_that_was_to_be_stopped_is_aborted(self, at, max_two):
        Job.observe_many({at(Status.RUNNING, requested="cancel"): self.LOST})

        assert Job.objects.get().cached_status == "Aborted"

    def test_a_lost_job_that_was_to_be_paused_is_another_attempt_that_is_still_to_be_paused(self, at, max_two):
        Job.observe_many({at(Status.RUNNING, requested="hold"): self.LOST})

        row = Job.objects.get()
        assert (row.cached_status, row.attempts, row.requested) == ("Submitted", 2, "hold")

    def test_a_job_that_is_seen_again_is_not_missing(self, at):
        job = at(Status.RUNNING, missing_since=timezone.now())

        assert Job.observe_many({job: Observation(Status.RUNNING)}) == []

        assert Job.objects.get().missing_since is None


class TestSignal:
    @pytest.fixture
    def heard(self):
        heard = []

        def listen(sender, job, event, **kwargs):
            heard.append((sender, job.pk, job.cached_status, event.message, event.pk is not None))

        job_status_changed.connect(listen)
        yield heard
        job_status_changed.disconnect(listen)

    def test_it_is_sent_after_the_commit_with_the_job_as_written(self, at, heard, django_capture_on_commit_callbacks):
        job = at(Status.SUBMITTED, job_type="FLOOD")

        with django_capture_on_commit_callbacks(execute=True):
            job.transition(Status.RUNNING, by="scheduler", message="on node 3")
            assert heard == []

        assert heard == [(FloodJob, job.pk, "Running", "on node 3", True)]

    def test_it_is_sent_for_every_job_of_a_batch(self, at, heard, django_capture_on_commit_callbacks):
        jobs = at(Status.SUBMITTED, 3)

        with django_capture_on_commit_callbacks(execute=True):
            Job.observe_many(dict.fromkeys(jobs, Observation(Status.RUNNING)))

        assert [(pk, status) for _, pk, status, _, _ in heard] == [(job.pk, "Running") for job in jobs]

    def test_it_is_not_sent_for_what_was_refused_or_rolled_back(self, at, heard, django_capture_on_commit_callbacks):
        job = at(Status.COMPLETE)

        with django_capture_on_commit_callbacks(execute=True), pytest.raises(TransitionNotAllowed):
            job.transition(Status.RUNNING, by="app")

        assert heard == []

    def test_a_receiver_that_fails_stops_nothing(self, at, heard, django_capture_on_commit_callbacks, caplog):
        def fail(**kwargs):
            raise RuntimeError("no")

        job_status_changed.connect(fail)
        try:
            job = at(Status.SUBMITTED)
            with django_capture_on_commit_callbacks(execute=True):
                job.transition(Status.RUNNING, by="scheduler")
        finally:
            job_status_changed.disconnect(fail)

        assert len(heard) == 1
        assert Job.objects.get().cached_status == "Running"
        assert "RuntimeError: no" in caplog.text
