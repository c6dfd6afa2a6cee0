"""A change of keys: what the old one sealed is sealed anew, and then the old one can go."""

from __future__ import annotations

import io
import uuid
from datetime import timedelta

import pytest
from django.core.files.storage import FileSystemStorage
from django.core.management import CommandError, call_command
from django.db.models.signals import post_init

from jobsapi import resealing, retention
from jobsapi.compute import create_condor_scheduler
from jobsapi.exceptions import SealBroken
from jobsapi.models import CondorScheduler, Job, JobBlob, Purpose, Scheduler
from jobsapi.models.blobs import INSIDE
from jobsapi.sealing import current_key
from tests.test_retention import files

pytestmark = pytest.mark.django_db(transaction=True)

LARGE = bytes(range(256)) * (INSIDE // 128)
OLD, NEW = "the old key, long enough to be one", "the new key, long enough to be one"


@pytest.fixture
def root(settings, tmp_path):
    settings.JOBSAPI = {**settings.JOBSAPI, "RESULT_ROOT": tmp_path, "SEALING_KEYS": [OLD]}
    return tmp_path


@pytest.fixture
def keys(settings, root):
    """Use these keys from now on, newest first."""

    def use(*words):
        settings.JOBSAPI = {**settings.JOBSAPI, "SEALING_KEYS": words}

    return use


@pytest.fixture
def job(make_job, root):
    """A job with an input and logs in rows, of an earlier attempt too, and a result in a file; by the old key."""
    job = make_job()
    job.save()
    for _ in range(2):
        job.absorb({"submission_id": uuid.uuid4()})
        Job.objects.filter(pk=job.pk).update(submission_id=job.submission_id)
        JobBlob.store(job, Purpose.LOGS, b"logs of " + job.submission_id.bytes)
    JobBlob.store(job, Purpose.INPUT, b"what execute() was given")
    with JobBlob.writing(job, Purpose.RESULT, "result.npy") as out:
        out.write(LARGE)
    out.keep()
    return job


@pytest.fixture
def pool(root):
    row = create_condor_scheduler("pool", "host", username="ada", password="open sesame", private_key_pass="a phrase")
    row.save()
    return row


def reseal(*arguments):
    said = io.StringIO()
    call_command("reseal", *arguments, stdout=said, stderr=said)
    return said.getvalue()


def test_after_the_steps_of_a_rotation_the_old_key_is_not_needed_any_more(keys, job, pool):
    keys(OLD, NEW)
    keys(NEW, OLD)

    assert "Sealed anew: 3 in the database and 1 files (2.0 MB), 2 credentials." in reseal()
    keys(NEW)

    assert JobBlob.find(job, Purpose.INPUT) == b"what execute() was given"
    assert JobBlob.find(job, Purpose.LOGS) == b"logs of " + job.submission_id.bytes
    assert JobBlob.find(job, Purpose.RESULT) == LARGE
    row = Scheduler.objects.get(pk=pool.pk)
    assert (row.password, row.private_key_pass) == ("open sesame", "a phrase")
    assert {blob.key for blob in JobBlob.objects.filter(live=True)} == {current_key()}


def test_what_belongs_to_an_earlier_attempt_stays_its_own(keys, job):
    before = {blob.attempt for blob in JobBlob.objects.filter(purpose=Purpose.LOGS)}
    keys(NEW, OLD)

    reseal()
    keys(NEW)

    blobs = JobBlob.objects.filter(purpose=Purpose.LOGS).select_related("job")
    assert {blob.attempt for blob in blobs} == before
    for blob in blobs:
        with blob.open() as file:
            assert file.read() == b"logs of " + blob.attempt.bytes


def test_a_second_run_finds_nothing_left_to_do(keys, job, pool):
    keys(NEW, OLD)
    reseal()
    rows = list(JobBlob.objects.order_by("pk").values_list("pk", "token"))
    secret = Scheduler.objects.get(pk=pool.pk)._password

    assert "Sealed anew: 0 in the database and 0 files (0 bytes), 0 credentials." in reseal()

    assert list(JobBlob.objects.order_by("pk").values_list("pk", "token")) == rows
    assert Scheduler.objects.get(pk=pool.pk)._password == secret


def test_a_dry_run_counts_and_changes_nothing(keys, job, pool):
    keys(NEW, OLD)
    rows = list(JobBlob.objects.values_list("pk", "token", "key"))

    assert "To be sealed anew: 3 in the database and 1 files (2.0 MB), 2 credentials." in reseal("--dry-run")

    assert list(JobBlob.objects.values_list("pk", "token", "key")) == rows


def test_a_file_keeps_its_name_size_and_checksum_and_the_old_one_goes(keys, job, root):
    old = JobBlob.of(job, Purpose.RESULT)
    keys(NEW, OLD)
    reseal()
    new = JobBlob.of(job, Purpose.RESULT)

    assert (new.name, new.size, new.sha256, new.attempt) == (old.name, old.size, old.sha256, old.attempt)
    assert new.path != old.path
    JobBlob.objects.filter(live=False).update(stored_at=job.creation_time - timedelta(hours=2))
    retention.sweep(job.creation_time)
    assert [path.relative_to(root).as_posix() for path in files(root)] == [new.path]


class TestBroken:
    def test_what_no_key_opens_is_told_and_left_alone(self, keys, job, pool):
        keys(NEW)
        before = list(JobBlob.objects.values_list("pk", "token", "key"))

        report = resealing.reseal()

        assert len(report.broken) == 6
        assert (report.rows, report.files, report.credentials) == (0, 0, 0)
        assert any(line.startswith(f"result of job {job.pk}: The stored result is not what") for line in report.broken)
        assert any(line.startswith("password of the scheduler “pool”: A stored cred") for line in report.broken)
        assert list(JobBlob.objects.values_list("pk", "token", "key")) == before
        assert Job.objects.get().status_message.startswith("The stored")

    def test_one_that_was_tampered_with_holds_up_no_other(self, keys, job, root):
        (path,) = files(root)
        path.write_bytes(path.read_bytes()[:-1])
        keys(NEW, OLD)

        with pytest.raises(CommandError, match=r"1 could not be opened\. They were left as they are"):
            reseal()

        assert JobBlob.objects.filter(key=current_key()).count() == 3
        assert files(root) == [path]
        assert not JobBlob.objects.filter(live=False).exists()

    def test_a_dry_run_knows_a_lost_key_without_opening_anything(self, keys, job, pool):
        keys(NEW)

        report = resealing.preview()

        assert f"input of job {job.pk}: the key that sealed it is gone from SEALING_KEYS." in report.broken
        assert len(report.broken) == 6
        assert not job.events.filter(by="seal").exists()

    def test_a_missing_file_is_told(self, keys, job, root):
        (path,) = files(root)
        path.unlink()
        keys(NEW, OLD)

        report = resealing.reseal()

        assert report.broken == [
            f"result of job {job.pk}: The file of the stored result is missing from the storage of results."
        ]


class Watched(FileSystemStorage):
    """Lets a test do something at the moment that a file is opened."""

    meanwhile = staticmethod(lambda: None)

    def _open(self, name, mode="rb"):
        file = super()._open(name, mode)
        if mode == "rb":
            call, Watched.meanwhile = Watched.meanwhile, staticmethod(lambda: None)
            call()
        return file


class TestMeanwhile:
    """Somebody else replaces or removes something between its opening and the swap."""

    @pytest.fixture
    def meanwhile(self, settings, root):
        """Do this when the next file is opened."""
        settings.STORAGES = {
            **settings.STORAGES,
            "jobsapi": {"BACKEND": f"{__name__}.Watched", "OPTIONS": {"location": str(root)}},
        }

        def hook(call):
            Watched.meanwhile = staticmethod(call)

        yield hook
        Watched.meanwhile = staticmethod(lambda: None)

    def test_a_new_result_stays_and_nothing_of_the_older_one_is_left(self, keys, job, root, meanwhile):
        JobBlob.objects.exclude(purpose=Purpose.RESULT).delete()
        keys(NEW, OLD)

        def new_result():
            with JobBlob.writing(job, Purpose.RESULT) as out:
                out.write(b"new" * INSIDE)
            out.keep()

        meanwhile(new_result)
        report = resealing.reseal()

        assert (report.files, report.changed) == (0, 1)
        assert JobBlob.find(job, Purpose.RESULT) == b"new" * INSIDE
        assert len(files(root)) == JobBlob.objects.filter(in_storage=True).count() == 2
        assert JobBlob.objects.filter(live=False).count() == 1

    def test_a_result_that_goes_stays_gone(self, keys, job, root, meanwhile):
        JobBlob.objects.exclude(purpose=Purpose.RESULT).delete()
        keys(NEW, OLD)
        meanwhile(lambda: JobBlob.discard(JobBlob.objects.filter(job=job)))

        assert resealing.reseal().changed == 1

        assert JobBlob.of(job, Purpose.RESULT) is None
        assert len(files(root)) == 1

    def test_a_job_that_goes_leaves_no_file(self, keys, job, root, meanwhile):
        JobBlob.objects.exclude(purpose=Purpose.RESULT).delete()
        keys(NEW, OLD)
        meanwhile(lambda: Job._base_manager.filter(pk=job.pk).delete())

        assert resealing.reseal().changed == 1

        assert len(files(root)) == 1  # its first one, which whoever deleted the row deletes before
        assert not JobBlob.objects.exists()

    def test_what_was_replaced_before_its_turn_is_not_mistaken_for_broken(self, keys, job, meanwhile):
        JobBlob.objects.exclude(purpose=Purpose.RESULT).delete()
        JobBlob.store(job, Purpose.LOGS, b"older")
        keys(NEW, OLD)
        meanwhile(lambda: JobBlob.store(job, Purpose.LOGS, b"newer"))

        report = resealing.reseal()

        assert (report.broken, report.changed) == ([], 1)
        assert JobBlob.find(job, Purpose.LOGS) == b"newer"
        assert not job.events.filter(by="seal").exists()

    def test_newer_logs_stay(self, keys, job):
        keys(NEW, OLD)
        opened = JobBlob.objects.get(purpose=Purpose.LOGS, attempt=job.submission_id)
        JobBlob.store(job, Purpose.LOGS, b"newer")

        assert not resealing._row_again(opened)

        assert JobBlob.find(job, Purpose.LOGS) == b"newer"

    def test_a_password_that_is_entered_anew_stays(self, keys, pool):
        keys(NEW, OLD)

        def enter(sender, instance, **kwargs):
            post_init.disconnect(enter, sender=CondorScheduler)
            changed = Scheduler.objects.get(pk=pool.pk)
            changed.password = "entered anew"
            changed.save()

        post_init.connect(enter, sender=CondorScheduler)
        report = resealing.reseal()

        assert report.changed == 2
        assert Scheduler.objects.get(pk=pool.pk).password == "entered anew"


def test_bytes_that_were_swapped_for_others_do_not_become_sealed(keys, make_job, job):
    """Who can write to the database gets nothing sealed with the new key that the old one had not sealed."""
    other = make_job("other")
    other.save()
    other.submission_id = job.submission_id
    JobBlob.objects.filter(purpose=Purpose.INPUT).update(job=other, attempt=other.uid)
    keys(NEW, OLD)

    assert len(resealing.reseal().broken) == 1
    with pytest.raises(SealBroken):
        other.open_input()


def test_many_are_read_in_batches(keys, make_job, django_assert_max_num_queries, monkeypatch):
    jobs = [make_job(f"job {number}") for number in range(5)]
    for job in jobs:
        job.save()
        JobBlob.store(job, Purpose.INPUT, b"data")
    keys(NEW, OLD)
    monkeypatch.setattr(resealing, "BATCH", 2)

    with django_assert_max_num_queries(4 + 5 * 2 + 1):  # batches, a read and a write for each, schedulers
        assert resealing.reseal().rows == 5
