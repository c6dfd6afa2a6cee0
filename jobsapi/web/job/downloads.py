"""Files of a job, sent piece by piece and never as anything that a browser would run."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import AsyncIterator, Generator
from contextlib import suppress
from typing import IO

from asgiref.sync import sync_to_async
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest, StreamingHttpResponse
from django.utils.http import content_disposition_header
from django.utils.text import slugify

from jobsapi.models import Job

PIECE = 256 * 1024


class Attachment(StreamingHttpResponse):
    """Sends what comes in pieces as a file to be stored. It is never in memory as a whole.

    An error while it is made cuts the connection, so that what has arrived does not pass for the file.
    """

    def __init__(
        self,
        request: HttpRequest,
        pieces: Generator[bytes],
        name: str,
        content_type: str = "application/octet-stream",
    ) -> None:
        self._pieces = pieces
        # An ASGI server would read a plain iterator to its end before it sends anything.
        sent = _one_by_one(pieces) if isinstance(request, ASGIRequest) else pieces
        super().__init__(sent, content_type=content_type)
        self["Content-Disposition"] = content_disposition_header(True, name) or "attachment"
        self["X-Content-Type-Options"] = "nosniff"
        self["Content-Security-Policy"] = "sandbox; default-src 'none'"

    def close(self) -> None:
        """Close what the pieces come from, too."""
        super().close()
        with suppress(ValueError):  # a thread makes one just now: it ends with it
            self._pieces.close()


class Download(Attachment):
    """Sends a file as an attachment, and closes it."""

    def __init__(self, request: HttpRequest, file: IO[bytes], name: str, size: int, sha256: str = "") -> None:
        super().__init__(request, _pieces(file, 0 if request.method == "HEAD" else size), name)
        self._file = file
        self["Content-Length"] = str(size)
        if sha256:
            self["Repr-Digest"] = f"sha-256=:{b64encode(bytes.fromhex(sha256)).decode()}:"  # RFC 9530

    def close(self) -> None:
        """Close the file, also if not a piece of it was asked for."""
        super().close()
        self._file.close()


def stem(job: Job) -> str:
    """The beginning of a file's name, from which a user knows the job again."""
    return f"{slugify(job.name)[:60] or 'job'}-{job.pk}"


def plain_name(name: str) -> str:
    """A file's name as a header can carry it, and as other systems take it: without control characters and slashes."""
    kept = "".join(letter if letter.isprintable() and letter not in "/\\" else "_" for letter in name)
    return kept.encode("utf-8", "replace").decode() or "file"


def _pieces(file: IO[bytes], length: int) -> Generator[bytes]:
    """``length`` bytes, also of a file that grows meanwhile."""
    with file:
        while piece := file.read(min(PIECE, length)):
            length -= len(piece)
            yield piece


async def _one_by_one(pieces: Generator[bytes]) -> AsyncIterator[bytes]:
    """Each is made in a thread, where it may wait for a disk."""
    while (piece := await sync_to_async(_next)(pieces)) is not None:
        yield piece


def _next(pieces: Generator[bytes]) -> bytes | None:
    return next(pieces, None)
