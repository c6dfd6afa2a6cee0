"""What is removed of jobs that have ended, and when. What nobody asked to be removed stays."""

from __future__ import annotations

import io
import shutil
import uuid
from datetime import timedelta
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command
from django.utils import timezone

from jobsapi import clock, lifecycle, retention
from jobsapi.models import Job, JobBlob, JobEvent, Purpose
from jobsapi.models.blobs import INSIDE
from jobsapi.retention import Removed
from jobsapi.status import Status
from worker import tasks

pytestmark = pytest.mark.django_db(transaction=True)

NOW = timezone.now()
LARGE = b"r" * (INSIDE + 1)


@pytest.fixture
def root(settings, tmp_path):
    """Where files of results lie."""
    settings.JOBSAPI = {**settings.JOBSAPI, "RESULT_ROOT": tmp_path / "results"}
    return tmp_path / "results"


@pytest.fixture
def policy(settings, silent):
    def write(**apps):
        rules = {name.replace("any", "*"): rule for name, rule in apps.items()}
        settings.JOBSAPI = {**settings.JOBSAPI, "RETENTION": rules}

    return write


@pytest.fixture
def ended(make_job, root):
    """Write a job that ended so many days ago, with all that one has."""

    def write(days, status=Status.COMPLETE, app="tests", result=b"small", **columns):
        job = make_job(f"ended {days} days ago")
        job.label = app
        job.save()
        state = {"preview": "what a list shows of it", "outcome": 1}
        columns = {"backend_state": state, **columns}
        columns = {"_status": status, "completion_time": NOW - timedelta(days=days), **columns}
        Job._base_manager.filter(pk=job.pk).update(submission_id=uuid.uuid4(), attempts=1, **columns)
        job = Job._base_manager.get(pk=job.pk)
        JobBlob.store(job, Purpose.INPUT, b"what execute() was given")
        JobBlob.store(job, Purpose.LOGS, b"the logs")
        with JobBlob.writing(job, Purpose.RESULT) as out:
            out.write(result)
        out.keep()
        JobBlob.store(job, Purpose.PREVIEW, b"{}")
        job.event("worker", "It has ended.").save()
        return job

    return write


def kept(job):
    """What there is of a job that somebody would find."""
    if not Job.objects.filter(pk=job.pk).exists():
        return set()
    purposes = JobBlob.objects.filter(job=job, live=True).values_list("purpose", flat=True)
    events = {"events"} if JobEvent.objects.filter(job=job, by="worker").exists() else set()
    return {*purposes, *events}


ALL = {"input", "logs", "result", "preview", "events"}


def files(root: Path):
    return [path for path in root.rglob("*") if path.is_file()]


def block(path: Path):
    """Make a file something that the storage cannot delete."""
    path.unlink()
    path.mkdir()
    (path / "something").touch()


class TestWhatIsDue:
    def test_without_a_policy_everything_is_kept(self, silent, ended):
        job = ended(10_000)

        assert retention.rules() == []
        assert retention.apply(NOW) == []
        assert kept(job) == ALL

    @pytest.mark.parametrize(
        ("kind", "gone"),
        [
            ("inputs", {"input"}),
            ("results", {"result", "preview"}),
            ("logs", {"logs"}),
            ("events", {"events"}),
            ("rows", ALL),
        ],
    )
    def test_each_kind_goes_by_itself_so_many_days_after_the_end(self, policy, ended, kind, gone):
        policy(any={"*": {kind: 30}})
        old, young = ended(31), ended(29)

        retention.apply(NOW)

        assert kept(old) == ALL - gone
        assert kept(young) == ALL

    @pytest.mark.parametrize(
        ("app", "status", "days"),
        [
            ("flood", Status.COMPLETE, 1),
            ("flood", Status.ERROR, 2),
            ("tests", Status.COMPLETE, 3),
            ("tests", Status.ERROR, 4),
        ],
    )
    def test_the_narrowest_rule_wins_and_an_app_is_narrower_than_a_state(self, policy, ended, app, status, days):
        policy(
            any={"*": {"results": 4}, "Complete": {"results": 3}},
            flood={"*": {"results": 2}, "Complete": {"results": 1}},
        )
        old, young = ended(days + 0.5, status, app), ended(days - 0.5, status, app)

        retention.apply(NOW)

        assert "result" not in kept(old)
        assert "result" in kept(young)

    def test_none_keeps_what_a_wider_rule_would_remove(self, policy, ended):
        policy(any={"*": {"results": 0, "logs": 0}}, flood={"Error": {"results": None}})
        failed, complete = ended(1, Status.ERROR, "flood"), ended(1, Status.COMPLETE, "flood")

        retention.apply(NOW)

        assert kept(failed) == ALL - {"logs"}
        assert kept(complete) == ALL - {"logs", "result", "preview"}

    def test_another_kind_has_rules_of_its_own(self, policy, ended):
        policy(any={"*": {"logs": 0}}, flood={"*": {"results": 0}})
        job = ended(1, app="flood")

        retention.apply(NOW)

        assert kept(job) == ALL - {"logs", "result", "preview"}

    def test_a_custom_status_that_counts_as_ended_is_other(self, policy, ended):
        policy(any={"Other": {"results": 0}})
        custom, complete = ended(1, Status.OTHER, custom_status="Archived"), ended(1)

        retention.apply(NOW)

        assert "result" not in kept(custom)
        assert "result" in kept(complete)

    def test_a_job_under_way_run_again_or_in_use_is_never_touched(self, policy, ended):
        policy(any={"*": dict.fromkeys(retention.KINDS, 0)})
        again = ended(1, Status.RUNNING, completion_time=None)
        custom = ended(1, Status.OTHER, completion_time=None, custom_status="Preparing")
        in_use = ended(1, leased_until=timezone.now() + timedelta(seconds=30))

        retention.apply(NOW)

        assert [kept(job) for job in (again, custom, in_use)] == [ALL, ALL, ALL]

    def test_a_lease_that_ran_out_protects_nothing(self, policy, ended):
        policy(any={"*": {"results": 0}})
        job = ended(1, leased_until=NOW - timedelta(seconds=1))

        retention.apply(NOW)

        assert "result" not in kept(job)

    @pytest.mark.parametrize(
        ("wrong", "words"),
        [
            ([], "must be a dict of apps"),
            ({"flood": 30}, "with a dict of states"),
            ({"*": {"Running": {"rows": 1}}}, "no job ends as 'Running'. Choose of Complete, Error"),
            (
                {"*": {"*": {"row": 1}}},
                "'row' is nothing that can be removed. Choose of rows, inputs, results, logs, events",
            ),
            ({"*": {"*": {"rows": -1}}}, "must be days from 0 to 36,500, or None to keep"),
            ({"*": {"*": {"rows": "30"}}}, "is '30', and must be days"),
            ({"*": {"*": {"rows": True}}}, "is True, and must be days"),
            ({"*": {"*": {"rows": float("nan")}}}, "must be days"),
            ({"*": {"*": 30}}, "must be a dict of kinds with days"),
        ],
    )
    def test_a_policy_that_is_not_understood_removes_nothing(self, settings, ended, silent, wrong, words):
        settings.JOBSAPI = {**settings.JOBSAPI, "RETENTION": wrong}
        job = ended(1)

        assert words in " ".join(retention.problems(wrong))
        if isinstance(wrong, dict):
            with pytest.raises(ImproperlyConfigured):
                retention.apply(NOW)
        assert kept(job) == ALL


class TestWhatIsDone:
    def test_a_line_in_the_history_says_what_was_removed(self, policy, ended):
        policy(any={"*": {"results": 90, "inputs": 7.5, "logs": 1}})
        job = ended(91)

        retention.apply(NOW)
        retention.apply(NOW)

        lines = JobEvent.objects.filter(job=job, by="retention").order_by("message").values_list("message", "status")
        assert list(lines) == [
            ("Its inputs were removed 7.5 days after it ended (RETENTION).", "COM"),
            ("Its results were removed 90 days after it ended (RETENTION).", "COM"),
        ]
        job = Job.objects.get(pk=job.pk)
        assert job.result is None
        assert job.cached_status == "Complete"
        assert job.backend_state == {"outcome": 1}

    def test_what_went_is_told_by_app_status_and_kind_with_bytes(self, policy, ended):
        policy(any={"*": {"results": 0, "events": 0}}, flood={"Error": {"rows": 0}})
        ended(1, result=b"x" * 8)
        ended(1, result=b"x" * 98)
        ended(1, Status.ERROR, "flood", result=b"")

        expected = [
            Removed("flood", "Error", "rows", 1, len(b"what execute() was giventhe logs{}")),
            Removed("tests", "Complete", "events", 2, 0),
            Removed("tests", "Complete", "results", 2, 110),
        ]
        assert retention.preview(NOW) == expected
        assert retention.apply(NOW) == expected
        assert retention.preview(NOW) == retention.apply(NOW) == []

    def test_a_preview_removes_nothing(self, policy, ended):
        policy(any={"*": dict.fromkeys(retention.KINDS, 0)})
        job = ended(1)

        retention.preview(NOW)

        assert kept(job) == ALL
        assert not JobEvent.objects.filter(by="retention").exists()

    def test_a_whole_job_goes_as_if_it_were_deleted(self, policy, ended, settings, root):
        policy(any={"*": {"rows": 0}})
        job = ended(1, result=LARGE, cleanup_pending=True)

        retention.apply(NOW)
        hidden = Job._base_manager.get()
        assert (hidden.deleted_at is not None, Job.objects.exists()) == (True, False)
        assert retention.apply(NOW) == []
        assert files(root)
        lifecycle.remove(job.pk)

        assert not Job._base_manager.exists()
        assert not files(root)

    def test_files_go_with_their_rows_an_hour_later(self, policy, ended, root):
        policy(any={"*": {"results": 0}})
        job = ended(1, result=LARGE)
        (path,) = files(root)

        retention.apply(NOW)
        assert JobBlob.of(job, Purpose.RESULT) is None
        assert retention.sweep(NOW) == (0, 0)
        assert path.exists()
        later = timezone.now() + timedelta(hours=1, seconds=1)

        assert retention.sweep(later) == (1, len(LARGE))
        assert not path.exists()
        assert not JobBlob.objects.filter(live=False).exists()

    def test_workspaces_are_left_alone(self, policy, ended, settings, tmp_path):
        settings.JOBSAPI = {**settings.JOBSAPI, "WORKSPACE_ROOT": tmp_path / "workspaces"}
        policy(any={"*": {"rows": 0}})
        job = ended(1)
        Job.objects.update(workspace=str(tmp_path / "workspaces" / "tests"))
        (tmp_path / "workspaces" / "tests").mkdir(parents=True)
        (tmp_path / "workspaces" / "tests" / "mine.txt").write_text("mine")

        retention.apply(NOW)
        lifecycle.remove(job.pk)

        assert not Job._base_manager.exists()
        assert (tmp_path / "workspaces" / "tests" / "mine.txt").read_text() == "mine"

    def test_without_its_input_a_job_cannot_be_run_again(self, policy, ended):
        from jobsapi.exceptions import TransitionNotAllowed

        policy(any={"*": {"inputs": 0}})
        job = ended(1)

        retention.apply(NOW)

        with pytest.raises(TransitionNotAllowed, match="only while its input is kept"):
            Job.objects.get(pk=job.pk).resubmit()

    def test_a_job_that_is_run_again_between_looking_and_removing_keeps_all(self, policy, ended):
        policy(any={"*": dict.fromkeys(retention.KINDS, 0)})
        job = ended(1)
        for rule in retention.rules():
            for batch in retention._batches(rule, NOW):
                Job.objects.filter(pk=job.pk).update(_status=Status.SUBMITTED, completion_time=None)
                assert retention._remove(rule, batch, NOW) == {}

        assert kept(job) == ALL


class TestMany:
    @pytest.fixture
    def crowd(self, make_job):
        """Write so many rows of ended jobs with a result each."""

        def write(count):
            jobs = [make_job("job") for _ in range(count)]
            for job in jobs:
                job._status, job.completion_time, job.submission_id = (
                    Status.COMPLETE,
                    NOW - timedelta(days=9),
                    uuid.uuid4(),
                )
            jobs = Job.objects.bulk_create(jobs)
            JobBlob.objects.bulk_create(
                [JobBlob(job=job, purpose="result", attempt=job.submission_id, size=3, sealed=b"xyz") for job in jobs]
            )

        return write

    def test_a_few_statements_take_care_of_five_hundred_jobs(self, policy, crowd, django_assert_max_num_queries):
        policy(any={"*": {"results": 1}})
        crowd(1201)

        with django_assert_max_num_queries(3 * 10 + 2):
            removed = retention.apply(NOW)

        assert removed == [Removed("tests", "Complete", "results", 1201, 3 * 1201)]
        assert JobEvent.objects.count() == 1201

    def test_what_lies_in_rows_is_deleted_a_few_mib_at_a_time(self, policy, crowd, monkeypatch):
        monkeypatch.setattr(retention, "WEIGHT", 7)
        policy(any={"*": {"results": 1}})
        crowd(8)

        (rule,) = retention.rules()
        assert [len(batch) for batch in retention._batches(rule, NOW)] == [3, 3, 2]
        assert retention.apply(NOW) == [Removed("tests", "Complete", "results", 8, 24)]

    def test_whole_jobs_too(self, policy, crowd, django_assert_max_num_queries):
        policy(any={"*": {"rows": 1}})
        crowd(1201)

        with django_assert_max_num_queries(3 * 10 + 2):
            retention.apply(NOW)
        assert Job._base_manager.filter(deleted_at__isnull=False).count() == 1201
        lifecycle.remove(Job._base_manager.first().pk)

        assert not Job._base_manager.exists()

    def test_when_nothing_is_due_one_statement_per_rule_says_so(self, policy, crowd, django_assert_num_queries):
        policy(any={"*": dict.fromkeys(retention.KINDS, 10)})
        crowd(3)

        with django_assert_num_queries(5):
            assert retention.apply(NOW) == []


class TestNobodysFiles:
    def test_those_of_a_job_in_use_are_left_alone(self, silent, ended, root):
        job = ended(1, result=LARGE, leased_until=timezone.now() + timedelta(hours=9))
        JobBlob.discard(JobBlob.objects.filter(job=job))
        later = timezone.now() + timedelta(hours=2)

        assert retention.sweep(later) == (0, 0)
        Job.objects.update(leased_until=None)
        assert retention.sweep(later) == (1, len(LARGE))
        assert not files(root)

    def test_a_worker_whose_machine_is_ahead_takes_away_no_result_that_is_being_stored(
        self, ended, silent, monkeypatch
    ):
        job = ended(1, leased_until=timezone.now() + timedelta(seconds=30))

        with clock.CLOCK.asked_once(), JobBlob.writing(job, Purpose.RESULT) as out:
            out.write(LARGE)
            monkeypatch.setattr(timezone, "now", lambda now=timezone.now: now() + timedelta(hours=2))
            tasks.clean_up()
        out.keep()

        assert JobBlob.find(job, Purpose.RESULT) == LARGE

    def test_how_old_they_are_goes_by_the_databases_clock(self, ended, silent, root, monkeypatch):
        with clock.CLOCK.asked_once(), monkeypatch.context() as behind:
            behind.setattr(timezone, "now", lambda now=timezone.now: now() - timedelta(hours=2))
            job = ended(1, result=LARGE)
            assert JobBlob.fresh(job, Purpose.LOGS, seconds=60)
            JobBlob.discard(JobBlob.objects.filter(job=job))

        assert retention.sweep(timezone.now()) == (0, 0)

    def test_when_the_clock_was_just_set_a_lease_that_looks_over_is_believed(self, silent, ended, root, monkeypatch):
        job = ended(1, result=LARGE, leased_until=NOW - timedelta(hours=1))
        JobBlob.discard(JobBlob.objects.filter(job=job))
        later = timezone.now() + timedelta(hours=2)
        with monkeypatch.context() as set_just_now:
            set_just_now.setattr(clock, "CLOCK", clock.Clock(timezone.now))
            clock.CLOCK.ask()
            assert retention.sweep(later) == (0, 0)

        assert retention.sweep(later) == (1, len(LARGE))

    def test_what_was_cut_short_goes_too(self, silent, ended, root):
        job = ended(1)
        blob = JobBlob(job=job, purpose=Purpose.RESULT, attempt=uuid.uuid4(), in_storage=True, live=False)
        blob.save()
        part = root / f"{blob.path}.part"
        part.parent.mkdir(parents=True)
        part.write_bytes(b"half of it")

        retention.sweep(timezone.now() + timedelta(hours=2))

        assert not part.exists()
        assert not JobBlob.objects.filter(live=False).exists()

    def test_a_file_that_cannot_be_deleted_now_keeps_its_row_and_holds_up_no_other(self, silent, ended, root, caplog):
        stuck, other = ended(1, result=LARGE), ended(1, result=LARGE)
        path = root / JobBlob.of(stuck, Purpose.RESULT).path
        JobBlob.discard(JobBlob.objects.filter(in_storage=True))
        block(path)
        later = timezone.now() + timedelta(hours=2)

        assert retention.sweep(later) == (1, len(LARGE))
        assert [blob.job for blob in JobBlob.objects.filter(live=False)] == [stuck]
        assert "cannot be deleted now" in caplog.text
        shutil.rmtree(path)
        retention.sweep(later)

        assert not JobBlob.objects.filter(live=False).exists()
        assert other.pk


class TestRemovingJobs:
    def test_files_go_before_the_row_whatever_they_are(self, silent, ended, root):
        job = ended(1, result=LARGE)
        with JobBlob.writing(job, Purpose.RESULT) as out:
            out.write(LARGE)
        out.keep()  # and so there is one that lives and one that does not
        (root / str(job.uid) / "left over").write_text("by something older")
        assert len(files(root)) == 3

        job.delete()
        lifecycle.remove(job.pk)

        assert not root.exists() or not list(root.iterdir())
        assert not Job._base_manager.exists()

    def test_a_row_stays_as_long_as_its_files(self, silent, ended, root):
        stuck, other = ended(1, result=LARGE), ended(1, result=LARGE)
        path = root / JobBlob.of(stuck, Purpose.RESULT).path
        block(path)
        Job.objects.all().delete()

        lifecycle.remove(stuck.pk)
        assert list(Job._base_manager.all()) == [stuck]
        assert not (root / str(other.uid)).exists()
        shutil.rmtree(path)
        lifecycle.remove(stuck.pk)

        assert not Job._base_manager.exists()

    def test_one_message_is_enough_for_all_jobs_of_a_scheduler(self, silent, ended, django_assert_max_num_queries):
        for _ in range(20):
            ended(1)
        first = Job.objects.first()
        Job.objects.all().delete()

        with django_assert_max_num_queries(30):
            lifecycle.remove(first.pk)

        assert not Job._base_manager.exists()


class TestCommandAndBeat:
    @staticmethod
    def run(*arguments):
        said = io.StringIO()
        call_command("apply_retention", *arguments, stdout=said)
        return said.getvalue()

    def test_the_command_says_what_it_would_remove_then_removes_it(self, policy, ended):
        policy(any={"*": {"results": 30}}, flood={"*": {"rows": 1}})
        large, small = ended(31, result=LARGE), ended(2, app="flood")

        table = self.run("--dry-run")
        assert kept(large) == kept(small) == ALL
        lines = [line.split() for line in table.splitlines()]
        assert lines[0] == ["app", "status", "kind", "jobs", "size"]
        assert lines[1] == ["flood", "Complete", "rows", "1", "39", "bytes"]
        assert lines[2] == ["tests", "Complete", "results", "1", "1.0", "MB"]
        assert "Files that are nobody's: 0 would be deleted" in table

        assert self.run().splitlines()[:3] == table.splitlines()[:3]
        assert (kept(large), kept(small)) == (ALL - {"result", "preview"}, set())
        assert self.run().splitlines()[0] == "Nothing is due for removal."

    def test_the_command_goes_by_the_databases_clock(self, policy, ended, monkeypatch):
        policy(any={"*": {"results": 30}})
        job = ended(29.99, result=LARGE)
        monkeypatch.setattr(clock, "CLOCK", clock.Clock(timezone.now))
        monkeypatch.setattr(timezone, "now", lambda now=timezone.now: now() + timedelta(hours=2))

        assert "Nothing is due" in self.run("--dry-run")
        self.run()

        assert kept(job) == ALL

    def test_beat_has_it_done_with_all_else_that_is_old(self, policy, ended, root):
        from jobsapi.models import Heartbeat

        policy(any={"*": {"results": 30}})
        job = ended(31, result=LARGE)
        Heartbeat.objects.create(name="gone@host", seen_at=NOW - timedelta(days=8))

        tasks.clean_up()
        JobBlob.objects.filter(live=False).update(stored_at=NOW - timedelta(hours=2))
        tasks.clean_up()

        assert kept(job) == ALL - {"result", "preview"}
        assert not files(root)
        assert not Heartbeat.objects.exists()
