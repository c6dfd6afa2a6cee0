"""A result as it is kept: as the app gets it, as everybody can read it, and as pages show it."""

from __future__ import annotations

import json
import logging
from typing import Any

from jobsapi import conf
from jobsapi.backends.base import Backend
from jobsapi.exceptions import InvalidJob, ResultTooLarge
from jobsapi.formats import Format, formats, is_array
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
    _require_room(value)
    written: list[BlobWriter] = []
    try:
        shown = preview(value)
        written += raw(job, backend, value)
        written += _neutral(job, value)
        if len(written) == 1:
            shown["no_file"] = f"No format that everybody can read fits a {type(value).__name__}."
        with JobBlob.writing(job, Purpose.PREVIEW) as out:
            out.write(json.dumps(shown).encode())
    except BaseException:
        for each in written:
            each.abandon()
        raise
    return [*written, out]


def _require_room(value: Any) -> None:
    """Raise ``ResultTooLarge`` for an array that is larger than it looked: one that repeats itself has few bytes."""
    size, limit = value.nbytes if is_array(value) else 0, 2 * conf.get("RESULT_MAX_BYTES")
    if size > limit:
        raise ResultTooLarge(
            f"Written down, the result is {size:,} bytes; at most {limit:,} are stored. Make it smaller where it is "
            'computed or processed, or raise JOBSAPI["RESULT_MAX_BYTES"].'
        )


def _neutral(job: Job, value: Any) -> list[BlobWriter]:
    """The first of the formats that takes ``value``; none if none does, or if there is nothing to write."""
    if value is None:
        return []
    for each in _candidates(job, value):
        try:
            with JobBlob.writing(job, Purpose.FILE, f"result{each.suffix}") as out:
                _write(each, out)
        except Unfit as error:
            logger.info("Job %s: the result does not fit %s: %s", job.pk, each.suffix, error)
        else:
            return [out]
    return []


def _candidates(job: Job, value: Any) -> list[Format]:
    try:
        return list(formats(value))
    except Exception as error:  # noqa: BLE001  (a class of the app's own may raise anything)
        logger.info("Job %s: no format fits the result: %s: %s", job.pk, type(error).__name__, error)
        return []


class Unfit(Exception):
    """Raised when a value turns out not to fit a format."""


def _write(each: Format, out: BlobWriter) -> None:
    try:
        each.write(out)
    except Exception as error:  # libraries and classes of the app's own may raise anything
        out.raise_own_failure()
        raise Unfit(f"{type(error).__name__}: {error}") from error
