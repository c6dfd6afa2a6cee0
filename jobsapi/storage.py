"""Where large results lie: the Django storage named ``jobsapi``, or a folder of files that only we can read."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from django.conf import settings
from django.core.files import File
from django.core.files.storage import FileSystemStorage, Storage, storages

from jobsapi import conf

ALIAS = "jobsapi"
PART = ".part"
"""Ends the name of a file that is still being written."""


def storage() -> Storage:
    """``STORAGES["jobsapi"]`` if the site has one, else files in ``JOBSAPI["RESULT_ROOT"]``."""
    if ALIAS in settings.STORAGES:
        return storages[ALIAS]
    root = Path(getattr(settings, "BASE_DIR", "."), conf.get("RESULT_ROOT")).resolve()
    return FileSystemStorage(location=root, file_permissions_mode=0o600, directory_permissions_mode=0o700)


def make_place() -> None:
    """Make the folder of files before there is a first one, so that a backup finds it. Other storages need none.

    Raises ``OSError``.
    """
    if place := _on_disk(""):
        place.mkdir(mode=0o700, parents=True, exist_ok=True)


class Incoming(File):  # type: ignore[type-arg]
    """A local file on its way into the storage; a storage of files takes it over by renaming it."""

    def __init__(self, file: IO[bytes], path: str | None) -> None:
        super().__init__(file)
        if path:
            self.temporary_file_path = lambda: path


@contextmanager
def incoming(name: str) -> Iterator[Incoming]:
    """A local file to be written, then given to ``take``. Beside its place if the storage keeps files."""
    path = _on_disk(name + PART)
    if path is None:
        with tempfile.TemporaryFile(dir=settings.FILE_UPLOAD_TEMP_DIR) as file:
            yield Incoming(file, None)
        return
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with open(path, "w+b", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
        try:
            yield Incoming(file, str(path))
        finally:
            path.unlink(missing_ok=True)


def take(name: str, file: Incoming) -> None:
    """Keep a file under ``name``. On return it is as safe as the storage makes it."""
    file.flush()
    os.fsync(file.fileno())
    file.seek(0)
    kept = storage().save(name, file)
    if kept != name:
        storage().delete(kept)
        raise FileExistsError(f"The storage of results has a file {name} already.")


def delete(name: str) -> None:
    """Delete a file, and what was written of it if that was cut short. Nothing to delete is no error."""
    storage().delete(name)
    if part := _on_disk(name + PART):
        part.unlink(missing_ok=True)


def delete_folder(name: str) -> None:
    """Delete a folder and all in it, where the storage has folders."""
    if folder := _on_disk(name):
        shutil.rmtree(folder, ignore_errors=True)


def open_file(name: str) -> Any:
    """A file, to be read. Raises ``FileNotFoundError``."""
    return storage().open(name, "rb")


def _on_disk(name: str) -> Path | None:
    """The path of a file in a storage of files; None in any other, also in Django's own that has paths to no files."""
    where = storage()
    return Path(where.path(name)) if isinstance(where, FileSystemStorage) else None
