"""Files of results: whoever can write to the storage can destroy a result, and never have another one opened."""

from __future__ import annotations

import pickle
import shutil
import uuid
from pathlib import Path

import pytest

from jobsapi.exceptions import SealBroken
from jobsapi.models import Job, JobBlob, JobEvent, Purpose
from jobsapi.models.blobs import INSIDE
from jobsapi.sealing.streams import FRAME

pytestmark = pytest.mark.django_db

OPENED = []


def record(word):
    OPENED.append(word)


class Trap:
    """Records that it was unpickled, and is large enough for a file."""

    def __init__(self, size=3 * INSIDE):
        self.size = size

    def __reduce__(self):
        return record, ("opened" * (self.size // 6),)


@pytest.fixture
def root(settings, tmp_path):
    settings.JOBSAPI = {**settings.JOBSAPI, "RESULT_ROOT": tmp_path}
    return tmp_path


@pytest.fixture
def job_with_file(make_job, root):
    """A job with a large sealed result, and the path of its file."""
    OPENED.clear()

    def make(name="job"):
        job = make_job(name)
        job.save()
        job.submission_id = uuid.uuid4()
        Job.objects.filter(pk=job.pk).update(submission_id=job.submission_id)
        return job, write(job)

    def write(job):
        with JobBlob.writing(job, Purpose.RESULT) as out:
            pickle.dump(Trap(), out)
        out.keep()
        return root / out.blob.path

    make.write = write
    return make


def refused(job) -> list[str]:
    """Its result is not opened; what its history says."""
    job = Job.objects.get(pk=job.pk)
    with pytest.raises(SealBroken) as caught:
        _ = job.result
    assert OPENED == []
    job.refresh_from_db()
    assert job.status_message == str(caught.value)
    return list(JobEvent.objects.filter(job=job, by="seal").values_list("message", flat=True))


def flip(path: Path, position: int) -> None:
    """Change one bit."""
    data = bytearray(path.read_bytes())
    data[position] ^= 1
    path.write_bytes(data)


def test_an_untouched_file_is_opened(job_with_file):
    job, path = job_with_file()

    _ = Job.objects.get(pk=job.pk).result

    assert len(OPENED) == 1
    assert path.stat().st_size > 3 * INSIDE
    assert not JobEvent.objects.filter(by="seal").exists()


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda path: flip(path, 0), id="the first byte"),
        pytest.param(lambda path: flip(path, 20), id="a byte of the nonce"),
        pytest.param(lambda path: flip(path, 1000), id="a byte of the data"),
        pytest.param(lambda path: flip(path, FRAME + 500), id="a byte of the second frame"),
        pytest.param(lambda path: flip(path, -1), id="the last byte"),
        pytest.param(lambda path: path.write_bytes(path.read_bytes()[:-1]), id="cut short by a byte"),
        pytest.param(lambda path: path.write_bytes(path.read_bytes()[: 2 * FRAME]), id="cut short by a frame"),
        pytest.param(lambda path: path.write_bytes(path.read_bytes()[:10]), id="cut short within its head"),
        pytest.param(lambda path: path.write_bytes(b""), id="empty"),
        pytest.param(lambda path: path.write_bytes(path.read_bytes() + b"\x00"), id="extended"),
        pytest.param(lambda path: path.write_bytes(path.read_bytes() * 2), id="doubled"),
        pytest.param(lambda path: path.write_bytes(pickle.dumps(Trap())), id="replaced by a pickle"),
    ],
)
def test_a_changed_file_is_refused_and_its_jobs_history_says_so_once(job_with_file, spoil, caplog):
    job, path = job_with_file()
    spoil(path)

    (told,) = refused(job)
    assert told.startswith("The stored result is not what this portal sealed for this job and attempt: it was changed")
    assert refused(job) == [told]
    assert f"Job {job.pk}, attempt {job.submission_id}: {told}" in caplog.text


def test_frames_in_another_order_are_refused(job_with_file):
    job, path = job_with_file()
    data, head, frame = path.read_bytes(), 32, FRAME + 37
    first, second, rest = data[head : head + frame], data[head + frame : head + 2 * frame], data[head + 2 * frame :]
    path.write_bytes(data[:head] + second + first + rest)

    assert refused(job)


def test_a_file_that_somebody_deleted_is_said_to_be_missing(job_with_file, caplog):
    job, path = job_with_file()
    path.unlink()

    with pytest.raises(SealBroken, match="missing from the storage"):
        _ = job.result

    assert OPENED == []
    assert "missing from the storage" in job.events.get(by="seal").message
    assert "missing from the storage" in caplog.text
    job.refresh_from_db()
    assert job.status_message == ""  # the storage may be back in a minute


def test_files_of_two_jobs_that_were_swapped_are_both_refused(job_with_file, root):
    (one, first), (two, second) = job_with_file("one"), job_with_file("two")
    first.rename(root / "between")
    second.rename(first)
    (root / "between").rename(second)

    assert refused(one)
    assert refused(two)


def test_a_file_of_an_earlier_attempt_does_not_pass_for_that_of_a_later_one(job_with_file):
    job, first = job_with_file()
    job.submission_id = uuid.uuid4()
    Job.objects.filter(pk=job.pk).update(submission_id=job.submission_id)
    second = job_with_file.write(job)
    shutil.copyfile(first, second)

    assert refused(job)


def test_an_older_file_of_the_same_attempt_does_not_pass_for_the_new_one(job_with_file):
    job, first = job_with_file()
    second = job_with_file.write(job)
    assert JobBlob.objects.filter(live=False).count() == 1
    shutil.copyfile(first, second)

    assert refused(job)


def test_a_file_moved_to_where_a_changed_row_looks_for_it_is_refused(job_with_file, root):
    (one, _), (two, other) = job_with_file("one"), job_with_file("two")
    token = JobBlob.of(two, Purpose.RESULT).token
    JobBlob.objects.filter(job=one).update(token=token)
    shutil.copyfile(other, root / JobBlob.of(one, Purpose.RESULT).path)

    assert refused(one)


def test_a_file_of_another_purpose_is_refused(job_with_file, root):
    job, path = job_with_file()
    with JobBlob.writing(job, Purpose.FILE, "result.npy") as out:
        pickle.dump(Trap(), out)
    out.keep()
    shutil.copyfile(root / out.blob.path, path)

    assert refused(job)


def test_one_key_taken_away_takes_away_its_results(job_with_file, settings):
    settings.JOBSAPI = {**settings.JOBSAPI, "SEALING_KEYS": ["the first key"]}
    job, _ = job_with_file()
    settings.JOBSAPI = {**settings.JOBSAPI, "SEALING_KEYS": ["the second key"]}

    (told,) = refused(job)
    assert "or its key is gone from SEALING_KEYS" in told
