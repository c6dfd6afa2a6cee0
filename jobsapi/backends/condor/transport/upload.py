"""Files on their way to a submit host: packed, many at a time, unless they are large. Reads files of this machine only.

A file that is sent by itself, by SFTP, takes three round trips at least; an archive takes one command.
"""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain

from jobsapi.backends.condor.transport.remote import CHECKSUMS, PLACES
from jobsapi.backends.condor.transport.sources import Source

PACKED_MAX = 512 * 1024
"""Bytes of an archive: it has to arrive within the time-out of one command, over a slow line too."""


def room(file: Source) -> int:
    """Bytes of an archive that a file takes: a header, and whole blocks."""
    return tarfile.BLOCKSIZE * (1 + -(-file.size // tarfile.BLOCKSIZE))


@dataclass(frozen=True, slots=True)
class Upload:
    """Files that have numbers for names at the other end, until all of them are there and whole."""

    files: Sequence[Source]
    folders: Sequence[str]
    """The folders that they need, the outermost first."""
    checksums: dict[str, str] = field(default_factory=dict)
    """Of what was sent so far, by number."""

    @property
    def large(self) -> list[tuple[int, Source]]:
        """Those to be sent one by one, with their numbers."""
        return [(number, file) for number, file in enumerate(self.files) if room(file) > PACKED_MAX]

    def batches(self) -> list[list[int]]:
        """The numbers of all others, by archive. There is one archive at least, be it an empty one."""
        batches: list[list[int]] = [[]]
        left = PACKED_MAX
        for number, file in enumerate(self.files):
            if (needed := room(file)) > PACKED_MAX:
                continue
            if needed > left:
                batches.append([])
                left = PACKED_MAX
            batches[-1].append(number)
            left -= needed
        return batches

    def packed(self, batch: Iterable[int]) -> bytes:
        """An archive of some. Raises ``InvalidJob`` when one cannot be read."""
        return _archive(self._members(batch))

    def packed_last(self, batch: Iterable[int]) -> bytes:
        """The same once all others were sent, with lists of what all must sum up to, and of where they go."""
        return _archive(chain(self._members(batch), self._lists()))

    def _members(self, batch: Iterable[int]) -> Iterator[tuple[tarfile.TarInfo, bytes]]:
        for number in batch:
            file = self.files[number]
            data = b"".join(file.chunks())
            yield self._member(str(number), data, 0o600 if file.private else 0o777 if file.executable else 0o666)

    def _lists(self) -> Iterator[tuple[tarfile.TarInfo, bytes]]:
        places = [f"d:{name}\0" for name in self.folders]
        for number, file in enumerate(self.files):
            places.append(f"{'x' if file.executable else 'f'}:{number}:{file.name}\0")
        yield self._member(PLACES, b"".join(map(os.fsencode, places)), 0o600)
        sums = "".join(f"{checksum} *{name}\n" for name, checksum in self.checksums.items())
        yield self._member(CHECKSUMS, sums.encode(), 0o600)

    def _member(self, name: str, data: bytes, mode: int) -> tuple[tarfile.TarInfo, bytes]:
        self.checksums[name] = hashlib.sha256(data).hexdigest()
        member = tarfile.TarInfo(name)
        member.size, member.mode = len(data), mode
        return member, data


def _archive(members: Iterable[tuple[tarfile.TarInfo, bytes]]) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for member, data in members:
            archive.addfile(member, io.BytesIO(data))
    return packed.getvalue()
