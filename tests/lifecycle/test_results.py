"""Results as they are kept: small ones in the row, larger ones in the storage, whole or not at all."""

from __future__ import annotations

import errno
import io
import json
import os
import pickle
from datetime import timedelta
from pathlib import Path

import numpy
import pandas
import pytest
from django.core.files.storage import FileSystemStorage, InMemoryStorage
from django.utils import timezone

from jobsapi import lifecycle, storage
from jobsapi.exceptions import InvalidJob, SealBroken
from jobsapi.models import Job, JobBlob, JobEvent, Purpose
from jobsapi.models.blobs import INSIDE
from jobsapi.testing import FakeBackend

pytestmark = pytest.mark.django_db(transaction=True)

LARGE = numpy.arange(INSIDE // 8 + 1000.0)
"""More bytes than go into a row."""


@pytest.fixture
def root(settings, tmp_path):
    """Where files of results lie."""
    settings.JOBSAPI = {**settings.JOBSAPI, "RESULT_ROOT": tmp_path / "results"}
    return tmp_path / "results"


def files(root):
    return sorted(path.name.partition("-")[0] for path in root.rglob("*") if path.is_file())


@pytest.fixture
def finished(make_job, fake, root):
    """A job whose result, of this value, has just been fetched."""

    def finish(value, **kwargs):
        job = make_job(**kwargs)
        job.execute("unused")
        FakeBackend.finish(job, value)
        lifecycle.refresh(job.scheduler_id)
        return Job.objects.get(pk=job.pk)

    return finish


class TestWhereItIs:
    def test_a_small_result_is_in_the_row_and_no_file_is_made(self, finished, root):
        job = finished({"depth": 2.5})

        assert job.cached_status == "Complete"
        assert job.result == {"depth": 2.5}
        assert not root.exists()
        assert not JobBlob.objects.filter(in_storage=True).exists()

    def test_a_large_result_is_in_the_storage_sealed_and_comes_back_the_same(self, finished, root):
        job = finished(LARGE)

        assert numpy.array_equal(job.result, LARGE)
        assert files(root) == ["file", "result"]
        blob = JobBlob.of(job, Purpose.RESULT)
        assert (blob.in_storage, bytes(blob.sealed)) == (True, b"")
        assert blob.size > LARGE.nbytes
        path = root / blob.path
        assert path.stat().st_mode & 0o777 == 0o600
        with pytest.raises(pickle.UnpicklingError), path.open("rb") as file:
            pickle.load(file)

    def test_everybody_can_read_it_in_a_format_of_its_own(self, finished):
        file = finished(LARGE).result_file

        assert file.name == "result.npy"
        with file.open() as opened:
            content = opened.read()
        assert numpy.array_equal(numpy.load(io.BytesIO(content), allow_pickle=False), LARGE)
        assert len(content) == file.size
        assert storage.storage().exists(file.path)

    def test_its_checksum_is_that_of_what_is_downloaded(self, finished):
        from hashlib import sha256

        for value in (LARGE, pandas.DataFrame({"a": [1]}), "text"):
            file = finished(value).result_file
            with file.open() as opened:
                assert sha256(opened.read()).hexdigest() == file.sha256

    def test_pages_have_a_preview_of_it(self, finished):
        job = finished(LARGE)

        assert job.result_preview["shape"] == list(LARGE.shape)
        assert job.backend_state["preview"].startswith("ndarray")

    def test_what_no_format_fits_has_a_preview_that_says_so(self, finished):
        job = finished({(1, 2): 3})

        assert job.result == {(1, 2): 3}
        assert job.result_file is None
        assert job.result_preview["no_file"] == "No format that everybody can read fits a dict."

    def test_of_nothing_there_is_no_file(self, finished):
        job = finished(None)

        assert (job.cached_status, job.result, job.result_file) == ("Complete", None, None)

    def test_a_job_that_forgets_its_result_keeps_nothing_of_it(self, finished, root):
        job = finished(LARGE, forget=True)

        assert job.cached_status == "Complete"
        assert [blob.purpose for blob in job.blobs.all()] == ["input"]
        assert not root.exists()

    def test_a_storage_of_the_site_is_used_when_it_has_one(self, finished, settings, root, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        settings.STORAGES = {
            **settings.STORAGES,
            "jobsapi": {"BACKEND": "django.core.files.storage.InMemoryStorage"},
        }

        job = finished(LARGE)

        assert isinstance(storage.storage(), InMemoryStorage)
        assert numpy.array_equal(job.result, LARGE)
        assert not root.exists()
        assert list(tmp_path.iterdir()) == []


class FullDisk(FileSystemStorage):
    """A storage without room."""

    def _save(self, name, content):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


class TakesNoDownloads(FileSystemStorage):
    """A storage that is full when the first of two files is in it."""

    def _save(self, name, content):
        if "/file-" in name:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return super()._save(name, content)


class OddDict(dict):
    """A dict of an app's own."""

    def values(self):
        raise RuntimeError("not now")


class Odd:
    """A class of an app's own, that no format fits and that fails in its own way."""

    def __reduce__(self):
        raise OSError("the file that this stands for is gone")


class Overtaken(numpy.ndarray):
    """While it is written down, its job is stopped."""

    def __reduce_ex__(self, protocol):
        Job.objects.update(_status="ABT", completion_time=timezone.now())
        return super().__reduce_ex__(protocol)


class TestWholeOrNotAtAll:
    def test_a_full_disk_leaves_the_job_as_it_is_with_its_words_until_there_is_room(self, finished, settings, root):
        full = {"BACKEND": f"{__name__}.FullDisk", "OPTIONS": {"location": root}}
        settings.STORAGES = {**settings.STORAGES, "jobsapi": full}
        job = finished(LARGE)

        assert job.cached_status == "Results-Ready"
        assert "No space left on device" in job.status_message
        assert files(root) == []
        assert not JobBlob.objects.filter(in_storage=True).exists()

        del settings.STORAGES["jobsapi"]
        lifecycle.fetch_results(job.pk)
        assert Job.objects.get(pk=job.pk).cached_status == "Results-Ready"  # it rests for a minute, or so

        Job.objects.update(leased_until=timezone.now())
        lifecycle.fetch_results(job.pk)
        assert Job.objects.get(pk=job.pk).cached_status == "Complete"

    def test_when_only_one_of_its_files_can_be_stored_none_is_left(self, finished, settings, root):
        half = {"BACKEND": f"{__name__}.TakesNoDownloads", "OPTIONS": {"location": root}}
        settings.STORAGES = {**settings.STORAGES, "jobsapi": half}

        assert finished(LARGE).cached_status == "Results-Ready"

        assert files(root) == []
        assert not JobBlob.objects.filter(in_storage=True).exists()

    def test_an_error_of_the_values_own_is_not_taken_for_a_full_disk(self, finished):
        job = finished(Odd())

        assert job.cached_status == "Error"
        assert "the file that this stands for is gone" in job.status_message

    def test_a_value_that_fails_when_it_is_looked_at_has_no_file_and_is_kept(self, finished):
        job = finished(OddDict(a=1))

        assert (job.cached_status, job.result, job.result_file) == ("Complete", {"a": 1}, None)

    def test_what_looked_small_and_is_not_is_refused_before_it_is_written_down(self, finished, settings):
        settings.JOBSAPI = {**settings.JOBSAPI, "RESULT_MAX_BYTES": 1024**2}

        for value in (numpy.broadcast_to(1.0, (20_000, 20_000)), ["x" * 10**6] * 4 + [b"y" * 10**7]):
            job = finished(value)
            assert job.cached_status == "Error"
            assert "RESULT_MAX_BYTES" in job.status_message

    def test_what_was_cut_short_by_a_kill_is_nobodys_and_is_found_later(self, finished, root):
        job = finished("small")
        half_done = JobBlob(
            job=job, purpose=Purpose.RESULT, attempt=job.submission_id, in_storage=True, live=False
        )  # as BlobWriter leaves it when its process dies
        half_done.save()

        assert job.result == "small"
        assert not JobBlob.dead(timezone.now()).exists()
        assert JobBlob.dead(timezone.now() + timedelta(hours=2)).get() == half_done

    def test_a_result_of_an_attempt_that_is_over_is_not_kept(self, finished, root, make_job):
        job = make_job()
        job.execute("unused")
        FakeBackend.finish(job, LARGE.view(Overtaken))
        lifecycle.refresh(job.scheduler_id)

        assert Job.objects.get(pk=job.pk).cached_status == "Aborted"
        assert not JobBlob.objects.exclude(purpose=Purpose.INPUT).exists()
        assert files(root) == []

    def test_a_second_attempt_leaves_the_first_ones_files_to_nobody(self, finished):
        job = finished(LARGE)
        first = JobBlob.of(job, Purpose.RESULT)

        job.resubmit()

        assert Job.objects.get(pk=job.pk).result is None
        assert JobBlob.dead(timezone.now() + timedelta(hours=2)).filter(pk=first.pk).exists()


class TestChangedMeanwhile:
    def test_what_is_written_anew_between_finding_and_opening_is_read_as_it_is_now(self, finished):
        job = finished(1)
        JobBlob.store(job, Purpose.LOGS, b"old")
        blob = JobBlob.of(job, Purpose.LOGS)

        JobBlob.store(job, Purpose.LOGS, b"new")

        with blob.open() as file:
            assert file.read() == b"new"

    def test_what_is_gone_between_finding_and_opening_is_said(self, finished):
        small, large = finished("small"), finished(LARGE)
        found = [job.result_file for job in (small, large)]

        for job in (small, large):
            job.resubmit()

        with pytest.raises(InvalidJob, match="not kept any more"):
            found[0].open()
        with found[1].open() as file:  # whoever has found a file may read it for an hour
            assert len(file.read()) == found[1].size
        found[1].delete_file()
        with pytest.raises(InvalidJob, match="not kept any more"):
            found[1].open()
        assert not JobEvent.objects.filter(by="seal").exists()


class TestRefused:
    def test_a_file_that_was_changed_is_refused_and_the_job_says_so(self, finished, root, caplog):
        job = finished(LARGE)
        path = root / JobBlob.of(job, Purpose.RESULT).path
        content = bytearray(path.read_bytes())
        content[-10] ^= 1
        path.write_bytes(content)

        for _ in range(2):
            with pytest.raises(SealBroken, match="stored result is not what this portal sealed"):
                _ = job.result

        job.refresh_from_db()
        assert "not what this portal sealed" in job.status_message
        assert [event.by for event in job.events.all()].count("seal") == 1
        assert f"Job {job.pk}, attempt {job.submission_id}" in caplog.text

    def test_nothing_that_is_read_before_the_change_is_more_than_was_sealed(self, finished, root):
        job = finished(LARGE)
        blob = JobBlob.of(job, Purpose.FILE)
        path = root / blob.path
        content = bytearray(path.read_bytes())
        content[-10] ^= 1
        path.write_bytes(content)

        with blob.open() as file:
            assert file.read(1000)[:6] == b"\x93NUMPY"
            with pytest.raises(SealBroken):
                file.read()

    def test_a_file_that_is_gone_is_said(self, finished, root):
        job = finished(LARGE)
        (root / JobBlob.of(job, Purpose.RESULT).path).unlink()

        with pytest.raises(SealBroken, match="missing"):
            _ = job.result

    def test_a_preview_in_the_database_is_sealed_too(self, finished):
        job = finished(1)
        forged = json.dumps({"type": "int", "text": "2"}).encode()
        job.blobs.filter(purpose=Purpose.PREVIEW).update(sealed=forged)

        with pytest.raises(SealBroken):
            _ = job.result_preview


def test_the_folder_of_results_has_nothing_in_its_names_that_anybody_typed(finished, root):
    finished(LARGE, name="../../etc/passwd")

    names = [path.relative_to(root) for path in Path(root).rglob("*")]
    assert all(set(str(name)) <= set("0123456789abcdefghijklmnopqrstuvwxyz-/") for name in names)
