"""A result as it is kept: as the app gets it, as everybody can read it, and as pages show it."""

from __future__ import annotations

import json
import logging
from typing import Any

from jobsapi.backends.base import Backend
from jobsapi.exceptions import InvalidJob
from jobsapi.formats import Format, formats
from jobsapi.models import Job, JobBlob, Purpose
from jobsapi.models.blobs import BlobWriter
from jobsapi.previews import preview

logger = logging.getLogger(__name__)


def raw(job: Job, backend: Backend, value: Any) -> list[BlobWriter]:
    """``value`` written down for ``job.result`` alone. Raises ``InvalidJob`` if it cannot be."""
    with JobBlob.writing(job, Purpose.RESULT) as out:
        try:
            backend.write_result(value, out)
        except InvalidJob:
            out.raise_own_failure()
            raise
    return [out]


def whole(job: Job, backend: Backend, value: Any) -> list[BlobWriter]:
    """``value`` written down in all ways. Raises ``InvalidJob`` if it cannot be kept for ``job.result``."""
    shown = preview(value)
    written = [*raw(job, backend, value), *_neutral(job, value)]
    if len(written) == 1:
        shown["no_file"] = f"No format that everybody can read fits a {type(value).__name__}."
    with JobBlob.writing(job, Purpose.PREVIEW) as out:
        out.write(json.dumps(shown).encode())
    return [*written, out]


def _neutral(job: Job, value: Any) -> list[BlobWriter]:
    """The first of the formats that takes ``value``; none if none does, or if there is nothing to write."""
    if value is None:
        return []
    for each in formats(value):
        try:
            with JobBlob.writing(job, Purpose.FILE, f"result{each.suffix}") as out:
                _write(each, out)
        except Unfit as error:
            logger.info("Job %s: the result does not fit %s: %s", job.pk, each.suffix, error)
        else:
            return [out]
    return []


class Unfit(Exception):
    """Raised when a value turns out not to fit a format."""


def _write(each: Format, out: BlobWriter) -> None:
    try:
        each.write(out)
    except Exception as error:  # libraries and classes of the app's own may raise anything
        out.raise_own_failure()
        raise Unfit(f"{type(error).__name__}: {error}") from error
