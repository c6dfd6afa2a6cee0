"""Sealed streams: written and verified frame by frame, so that no size needs more memory than one frame.

A stream is a header (mark, fingerprint of the key, nonce) and frames (last or not, length, MAC, data), which are all of
one length but the last. The MAC of a frame covers the context, the nonce and the frame's number: frames of other
streams, in another order, fewer or more of them are refused, and no byte is handed out before its frame is verified.
"""

import hmac
import io
import os
import secrets
from collections.abc import Callable, Sequence
from typing import Any, BinaryIO

from jobsapi.exceptions import SealBroken
from jobsapi.sealing.keys import DIGEST, derived, fingerprint, keys

FRAME = 1024**2
"""Bytes of data in a frame; the last one may have fewer."""

_MARK = b"jobsapi2"
_NONCE = 16
_HEADER = len(_MARK) + 8 + _NONCE
_MORE, _LAST = b"\x00", b"\x01"
_HEAD = 1 + 4
_MAC = DIGEST().digest_size


def seal(data: bytes, *context: str) -> bytes:
    """``data`` with a seal that is bound to ``context`` (job, attempt, purpose)."""
    out = io.BytesIO()
    writer = SealWriter(out, *context)
    writer.write(data)
    writer.finish()
    return out.getvalue()


def unseal(sealed: bytes, *context: str) -> bytes:
    """What was sealed for this very ``context``. Raises ``SealBroken`` for anything else."""
    return SealReader(io.BytesIO(sealed), *context).readall()


class SealWriter:
    """Writes a sealed stream to ``out``. Without ``finish()`` it stays one that was cut short, and is refused."""

    def __init__(self, out: BinaryIO, *context: str) -> None:
        self.out = out
        """May be replaced between two calls by another file that has all that was written so far."""
        key, nonce = keys()[0], secrets.token_bytes(_NONCE)
        self._macs = _Macs(key, nonce, context)
        self._number = 0
        self._pending = bytearray()
        out.write(_MARK + fingerprint(key) + nonce)

    def write(self, data: bytes | bytearray | memoryview) -> int:
        """Take ``data`` in. Large data is not copied."""
        view = memoryview(data)
        if len(self._pending) + len(view) < FRAME:
            self._pending += view
            return len(view)
        missing = FRAME - len(self._pending)
        self._pending += view[:missing]
        self._frame(_MORE, self._pending)
        self._pending.clear()
        whole = missing + (len(view) - missing) // FRAME * FRAME
        for start in range(missing, whole, FRAME):
            self._frame(_MORE, view[start : start + FRAME])
        self._pending += view[whole:]
        return len(view)

    def finish(self) -> None:
        """Write the last frame. The stream is whole then."""
        self._frame(_LAST, self._pending)

    def _frame(self, flag: bytes, data: bytearray | memoryview) -> None:
        head = flag + len(data).to_bytes(4, "big")
        self.out.write(head + self._macs.of(self._number, head, data))
        self.out.write(data)
        self._number += 1


class SealReader(io.RawIOBase):
    """Reads what was sealed for ``context`` from ``source``, from any place that is sought, and closes it.

    Every call raises ``SealBroken`` for anything else, after telling ``on_broken`` why.
    """

    def __init__(self, source: BinaryIO, *context: str, on_broken: Callable[[SealBroken], Any] | None = None) -> None:
        self._source = source
        self._context = context
        self._on_broken = on_broken
        self._macs: _Macs | None = None
        self._position = 0
        self._number = -1
        """Of the frame whose data is at hand; the source stands behind it."""
        self._data = memoryview(b"")
        self._size: int | None = None
        """Known once the last frame was seen."""

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return self._source.seekable()

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to another place. The last frame is verified first, so that nothing can have been cut off."""
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._end()}[whence]
        if start + offset < 0:
            raise ValueError(f"There is no place {start + offset}.")
        self._position = start + offset
        return self._position

    def readinto(self, buffer: Any) -> int:
        """As many verified bytes as there are in the current frame; 0 at the end."""
        if self._size is not None and self._position >= self._size:
            return 0
        number, start = divmod(self._position, FRAME)
        if number != self._number:
            self._load(number)
        found = self._data[start : start + len(buffer)]
        buffer[: len(found)] = found
        self._position += len(found)
        return len(found)

    def close(self) -> None:
        """Close the source, too."""
        if not self.closed:
            self._source.close()
        super().close()

    def _end(self) -> int:
        if self._size is None:
            frames = self._source.seek(0, os.SEEK_END) - _HEADER
            self._load(max(frames - 1, 0) // (_HEAD + _MAC + FRAME))
            if self._size is None:
                raise self._broken()
        return self._size

    def _load(self, number: int) -> None:
        """Read a frame, and verify it."""
        if self._macs is None:
            self._macs = self._open()
        if number != self._number + 1:
            self._source.seek(_HEADER + number * (_HEAD + _MAC + FRAME))
        head, mac = self._source.read(_HEAD), self._source.read(_MAC)
        last, length = head[:1] == _LAST, int.from_bytes(head[1:], "big")
        if length > FRAME or (length < FRAME and not last):
            raise self._broken()
        data = self._source.read(length)
        if len(data) != length or not hmac.compare_digest(mac, self._macs.of(number, head, data)):
            raise self._broken()
        if last:
            if self._source.read(1):
                raise self._broken()
            self._size = number * FRAME + length
        self._number, self._data = number, memoryview(data)

    def _open(self) -> "_Macs":
        self._number = -1
        if self._source.seekable():
            self._source.seek(0)
        head = self._source.read(_HEADER)
        mark, name, nonce = head[: len(_MARK)], head[len(_MARK) : -_NONCE], head[-_NONCE:]
        for key in keys():
            if mark == _MARK and name == fingerprint(key):
                return _Macs(key, nonce, self._context)
        raise self._broken()

    def _broken(self) -> SealBroken:
        error = SealBroken(
            f"The stored {self._context[2] if len(self._context) > 2 else self._context[-1]} is not what this portal "
            "sealed for this job and attempt: it was changed, moved or cut short, or its key is gone from "
            "SEALING_KEYS. It was not opened."
        )
        if self._on_broken:
            self._on_broken(error)
        return error


class _Macs:
    """The MACs of the frames of one stream."""

    def __init__(self, key: str, nonce: bytes, context: Sequence[str]) -> None:
        self._base = hmac.new(derived(key, "seal"), nonce + len(context).to_bytes(4, "big"), DIGEST)
        for part in context:
            self._base.update(len(part.encode()).to_bytes(4, "big") + part.encode())

    def of(self, number: int, head: bytes, data: bytes | bytearray | memoryview) -> bytes:
        """The MAC of a frame."""
        mac = self._base.copy()
        mac.update(number.to_bytes(8, "big") + head)
        mac.update(data)
        return mac.digest()
