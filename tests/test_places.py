"""The place of large results is there when a worker has started, before there is any result: backups read it."""

from __future__ import annotations

import stat

from celery.signals import worker_init
from django.core.files.storage import InMemoryStorage

from jobsapi import storage
from worker.celery import app
from worker.places import make_place_of_results


def test_a_worker_makes_the_place_of_results_for_its_own_account_alone(settings, tmp_path):
    root = tmp_path / "var" / "results"
    settings.JOBSAPI = {**settings.JOBSAPI, "RESULT_ROOT": root}
    assert "worker.places" in app.conf.include
    assert make_place_of_results in worker_init._live_receivers(None)

    make_place_of_results()
    assert stat.S_IMODE(root.stat().st_mode) == 0o700

    (root / "kept").touch()
    make_place_of_results()
    assert (root / "kept").exists()


def test_a_storage_without_folders_needs_no_place(settings):
    settings.STORAGES = {**settings.STORAGES, "jobsapi": {"BACKEND": "tests.test_places.Bucket"}}
    storage.make_place()
    assert storage.storage().listdir("") == ([], [])


def test_a_worker_that_may_not_make_it_starts_and_says_so(settings, tmp_path, caplog):
    (tmp_path / "file").touch()
    settings.JOBSAPI = {**settings.JOBSAPI, "RESULT_ROOT": tmp_path / "file" / "results"}
    make_place_of_results()
    assert "The place of large results cannot be made" in caplog.text


class Bucket(InMemoryStorage):
    """A storage that has no paths."""
