"""Files of a job, sent piece by piece and never as anything that a browser would run."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import AsyncIterator, Iterator
from typing import IO

from asgiref.sync import sync_to_async
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest, StreamingHttpResponse
from django.utils.http import content_disposition_header

PIECE = 256 * 1024


class Download(StreamingHttpResponse):
    """Sends a file as an attachment, and closes it. It is never in memory as a whole.

    An error while it is read cuts the connection, so that what has arrived does not pass for the file.
    """

    def __init__(self, request: HttpRequest, file: IO[bytes], name: str, size: int, sha256: str = "") -> None:
        # An ASGI server would read a plain iterator to its end before it sends anything.
        pieces = _pieces_async if isinstance(request, ASGIRequest) else _pieces
        length = 0 if request.method == "HEAD" else size
        super().__init__(pieces(file, length), content_type="application/octet-stream")
        self._file = file
        self["Content-Length"] = str(size)
        self["Content-Disposition"] = content_disposition_header(True, name) or "attachment"
        self["X-Content-Type-Options"] = "nosniff"
        self["Content-Security-Policy"] = "sandbox; default-src 'none'"
        if sha256:
            self["Repr-Digest"] = f"sha-256=:{b64encode(bytes.fromhex(sha256)).decode()}:"  # RFC 9530

    def close(self) -> None:
        """Close the file, too."""
        super().close()
        self._file.close()


def plain_name(name: str) -> str:
    """A file's name as a header can carry it, and as other systems take it: without control characters and slashes."""
    kept = "".join(letter if letter.isprintable() and letter not in "/\\" else "_" for letter in name)
    return kept.encode("utf-8", "replace").decode() or "file"


def _pieces(file: IO[bytes], length: int) -> Iterator[bytes]:
    """``length`` bytes, also of a file that grows meanwhile."""
    with file:
        while piece := file.read(min(PIECE, length)):
            length -= len(piece)
            yield piece


async def _pieces_async(file: IO[bytes], length: int) -> AsyncIterator[bytes]:
    with file:
        while piece := await sync_to_async(file.read)(min(PIECE, length)):
            length -= len(piece)
            yield piece
