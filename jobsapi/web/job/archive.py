"""A folder of a job's as one zip: looked through first, so that it can be said what is in it; made while it is sent.

What would make it less than the folder (a file that vanishes, or is written anew while it is read) ends it where it is:
the list of its files stands at a zip's end, so what has arrived opens nowhere as a whole one.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import IO
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from jobsapi.exceptions import OutputNotAllowed
from jobsapi.models.outputs import Listed, list_folder, open_file
from jobsapi.web.job.downloads import PIECE, plain_name

MOST_FILES = 20_000
"""Files and folders of an archive."""
DEEPEST = 100
"""Folders in each other."""
LEFT_OUT = "left_out.txt"
"""The file of an archive that says what of the folder is not in it. It lies beside the folder."""
TOLD = 1_000
"""Lines of it."""

EARLIEST, LATEST = (1980, 1, 1, 0, 0, 0), (2107, 12, 31, 23, 59, 58)
"""The times that a zip can tell: APPNOTE.TXT, 4.4.6."""

LINK, NO_FILE, UNREADABLE = "a link, which is not followed", "no plain file", "it cannot be read"


class TooMany(Exception):
    """Raised for a folder with more in it than one archive takes."""


class Torn(Exception):
    """Raised when a file is not any more what it was when the archive was begun. A later try may succeed."""


@dataclass(frozen=True)
class Contents:
    """What of a folder goes into an archive."""

    files: tuple[tuple[str, ...], ...]
    """The way to each from the folder."""
    folders: tuple[tuple[str, ...], ...]
    """Those with nothing in them."""
    left_out: tuple[str, ...]
    """What does not, in a line each."""
    size: int
    """Bytes of the files together, as they are now."""


def contents_of(workspace: str, parts: Sequence[str], is_ours: Callable[[tuple[str, ...]], bool]) -> Contents:
    """Look through a folder of a workspace and all that are in it, without following a link.

    ``is_ours`` says of the way from the folder to something whether it is a file of the portal's own, which nobody is
    shown. Raises ``TooMany``, ``FileNotFoundError``, and ``OutputNotAllowed`` for what is no folder.
    """
    files: list[tuple[str, ...]] = []
    empty: list[tuple[str, ...]] = []
    left_out: list[str] = []
    size, seen = 0, 0
    waiting: list[tuple[str, ...]] = [()]
    while waiting:
        way = waiting.pop()
        try:
            listing = list_folder(workspace, (*parts, *way), limit=MOST_FILES - seen)
        except (PermissionError, OutputNotAllowed):
            if not way:
                raise
            left_out.append(f"{_told(way)}/: {UNREADABLE}")
            continue
        except FileNotFoundError:
            if not way:
                raise
            continue  # gone this very moment
        if listing.more_after or listing.is_cut:
            raise TooMany
        seen += len(listing.entries)
        if listing.unnamed:
            left_out.append(f"{_told(way) or '.'}/: {listing.unnamed} with names that are no text (UTF-8)")
        within: list[tuple[str, ...]] = []
        for entry in listing.entries:
            there = (*way, entry.name)
            if is_ours(there):
                continue
            if why := _why_not(entry, there):
                left_out.append(f"{_told(there)}: {why}")
            elif entry.kind == "folder":
                within.append(there)
            else:
                files.append(there)
                size += entry.size or 0
        waiting += reversed(within)
        if way and not listing.entries:
            empty.append(way)
    return Contents(tuple(files), tuple(empty), tuple(left_out), size)


def _why_not(entry: Listed, way: tuple[str, ...]) -> str:
    if entry.kind == "folder":
        return "too many folders in each other" if len(way) >= DEEPEST else ""
    return {"file": "", "link": LINK}.get(entry.kind, NO_FILE)


def zipped(
    workspace: str, parts: Sequence[str], contents: Contents, top: str, run: Callable[[], object]
) -> Generator[bytes]:
    """The bytes of an archive in which all lies in a folder named ``top``. Of it a piece at a time is in memory.

    A file that only grows meanwhile is there as it was when its turn came; ``LEFT_OUT`` names it. ``run`` tells of
    which run of the job the files are: of two nothing is mixed. Raises ``Torn``, and ``OSError`` for a disk that fails.
    """
    sink, names, begun = Sink(), Names(top), run()
    left_out = list(contents.left_out)
    with ZipFile(sink, "w") as archive:
        for way in contents.folders:
            archive.writestr(_folder(names.of(way)), b"")
        for way in contents.files:
            try:
                file = open_file(workspace, (*parts, *way))
            except FileNotFoundError as error:
                raise Torn(f"{_told(way)} is not there any more.") from error
            except PermissionError:
                left_out.append(f"{_told(way)}: {UNREADABLE}")
                continue
            except OutputNotAllowed:
                left_out.append(f"{_told(way)}: {NO_FILE}")
                continue
            with file:
                before = os.fstat(file.fileno())
                yield from _copied(file, before.st_size, archive, _entry(names.of(way), before), sink, way)
                after = os.fstat(file.fileno())
            if after.st_size > before.st_size:
                left_out.append(f"{_told(way)}: written to meanwhile; its first {before.st_size:,} bytes are here")
            elif (after.st_size, after.st_mtime_ns) != (before.st_size, before.st_mtime_ns):
                raise Torn(f"{_told(way)} was written to meanwhile.")
        if run() != begun:
            raise Torn("The job was run again meanwhile.")
        if left_out:
            archive.writestr(LEFT_OUT, _lines(left_out))
    yield sink.taken()


def _copied(
    file: IO[bytes], length: int, archive: ZipFile, entry: ZipInfo, sink: Sink, way: tuple[str, ...]
) -> Generator[bytes]:
    with archive.open(entry, "w") as inside:
        while length:
            piece = file.read(min(PIECE, length))
            if not piece:
                raise Torn(f"{_told(way)} has become shorter.")
            length -= len(piece)
            inside.write(piece)
            if sink.size >= PIECE:
                yield sink.taken()


def _entry(name: str, status: os.stat_result) -> ZipInfo:
    try:
        modified = time.localtime(status.st_mtime)[:6]
    except (OverflowError, ValueError, OSError):  # a time that no calendar has
        modified = EARLIEST
    entry = ZipInfo(name, max(EARLIEST, min(modified, LATEST)))
    # Many programs unpack no stored file whose size stands behind it; the first level costs hardly more than storing.
    entry.compress_type, entry._compresslevel = ZIP_DEFLATED, 1  # type: ignore[attr-defined]
    entry.file_size = status.st_size  # so that one that needs it gets 64 bits for its size
    is_program = status.st_mode & stat.S_IXUSR
    entry.external_attr = (stat.S_IFREG | (0o755 if is_program else 0o644)) << 16
    return entry


def _folder(name: str) -> ZipInfo:
    entry = ZipInfo(f"{name}/")
    entry.external_attr = (stat.S_IFDIR | 0o755) << 16 | 0x10
    return entry


def _told(way: Sequence[str]) -> str:
    return "/".join(map(plain_name, way))


def _lines(left_out: Sequence[str]) -> str:
    more = [f"and {len(left_out) - TOLD:,} more"] if len(left_out) > TOLD else []
    return "\n".join(["Not in this archive, or not as a whole:", *left_out[:TOLD], *more, ""])


class Names:
    """The names in an archive: such that no program, on whichever system, unpacks them to another place."""

    def __init__(self, top: str) -> None:
        self._given: dict[tuple[str, ...], str] = {(): top}
        self._taken = {top}

    def of(self, way: tuple[str, ...]) -> str:
        """The name of what lies there, and of nothing else."""
        if way not in self._given:
            wanted = f"{self.of(way[:-1])}/{_unpackable(way[-1])}"
            name, count = wanted, 1
            while name in self._taken:
                count += 1
                name = f"{wanted}-{count}"
            self._taken.add(name)
            self._given[way] = name
        return self._given[way]


def _unpackable(name: str) -> str:
    """Without what leads elsewhere on Windows: there a colon parts off a drive, or a stream of a file."""
    return plain_name(name).replace(":", "_")


class Sink:
    """Where an archive is written to that is sent on at once."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self.size = 0

    def write(self, piece: bytes) -> int:
        """Keep a piece until it is taken."""
        self._pieces.append(bytes(piece))
        self.size += len(piece)
        return len(piece)

    def flush(self) -> None:
        """Nothing waits elsewhere."""

    def close(self) -> None:
        """Nothing to close."""

    def taken(self) -> bytes:
        """All that has come since the last time."""
        pieces, self._pieces, self.size = self._pieces, [], 0
        return b"".join(pieces)
