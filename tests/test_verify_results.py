"""After a restore a command says what is missing, before a worker acts on it."""

from __future__ import annotations

import io
import uuid

import pytest
from django.core.management import CommandError, call_command

from jobsapi.compute import create_condor_scheduler
from jobsapi.models import Job, JobBlob, Purpose
from jobsapi.models.blobs import INSIDE
from tests.test_retention import files

pytestmark = pytest.mark.django_db(transaction=True)

LARGE = bytes(range(256)) * (INSIDE // 128)
KEY, ANOTHER = "the key, long enough to be one for tests", "another key, long enough to be one"


@pytest.fixture
def root(settings, tmp_path):
    settings.JOBSAPI = {**settings.JOBSAPI, "RESULT_ROOT": tmp_path, "SEALING_KEYS": [KEY]}
    return tmp_path


@pytest.fixture
def job(make_job, root):
    """A job with an input in its row and a result in a file."""
    job = make_job()
    job.save()
    job.absorb({"submission_id": uuid.uuid4()})
    Job.objects.filter(pk=job.pk).update(submission_id=job.submission_id)
    JobBlob.store(job, Purpose.INPUT, b"what execute() was given")
    with JobBlob.writing(job, Purpose.RESULT, "result.npy") as out:
        out.write(LARGE)
    out.keep()
    return job


def verify(*arguments):
    """What the command says, and whether it was content."""
    said = io.StringIO()
    try:
        call_command("verify_results", *arguments, stdout=said, stderr=said)
    except CommandError:
        return said.getvalue(), False
    return said.getvalue(), True


def test_when_all_is_there_it_says_how_much(job):
    assert verify() == ("Kept: 1 in the database and 1 files (2.0 MB).\nAll of it is there.\n", True)
    assert verify("--read")[0].endswith("All of it is there, and every byte is verified.\n")


@pytest.mark.parametrize("arguments", [(), ("--read",)])
def test_a_row_without_its_file_is_named(job, root, arguments):
    (path,) = files(root)
    path.unlink()

    said, content = verify(*arguments)

    assert not content
    assert f"result of job {job.pk}: its file is missing from the storage of results." in said


def test_a_damaged_file_is_found_when_every_byte_is_read(job, root):
    (path,) = files(root)
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    assert verify()[1]

    said, content = verify("--read")

    assert not content
    assert f"result of job {job.pk}: " in said


def test_a_damaged_row_is_found_when_every_byte_is_read(job):
    JobBlob.objects.filter(in_storage=False).update(sealed=b"nonsense")
    assert verify()[1]

    said, content = verify("--read")

    assert not content
    assert f"input of job {job.pk}: " in said


def test_a_key_that_was_not_restored_is_missed_once_for_all_and_with_what_would_happen(job, settings, root):
    pool = create_condor_scheduler("pool", "host", username="ada", password="open sesame")
    pool.save()
    settings.JOBSAPI = {**settings.JOBSAPI, "SEALING_KEYS": [ANOTHER]}

    for arguments in ((), ("--read",)):
        said, content = verify(*arguments)
        assert not content
        assert "2 were sealed with a key that is not there. Start no worker before it is back in SEALING_KEYS" in said
        assert "of the scheduler “pool”: " in said
        assert "of job" not in said


def test_nothing_is_written_into_the_history_of_a_job(job, root):
    (path,) = files(root)
    path.unlink()
    before = job.events.count(), Job.objects.values_list("status_message", flat=True).get(pk=job.pk)

    verify("--read")

    assert (job.events.count(), Job.objects.values_list("status_message", flat=True).get(pk=job.pk)) == before


def test_what_is_deleted_meanwhile_is_no_problem(job, root, settings):
    """Its file goes before its row: somebody may look between the two."""
    (path,) = files(root)
    path.unlink()
    JobBlob.objects.filter(in_storage=True).update(live=False)

    assert verify()[1]
