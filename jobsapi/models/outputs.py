"""Files of a job's workspace: its named outputs, and what else lies there. No path leaves it, whatever a job does."""

from __future__ import annotations

import errno
import heapq
import os
import re
import secrets
import stat
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import IO, Any

from django.utils import timezone

from jobsapi.exceptions import InvalidJob, OutputNotAllowed
from jobsapi.folders import discard
from jobsapi.models.text import storable
from jobsapi.models.workspace import root
from jobsapi.shown import shown

MOST = 100
NAME_LENGTH, PATH_LENGTH = 100, 1024
MOST_ENTRIES = 100_000
"""Entries of a folder that are looked at."""


@dataclass(frozen=True, slots=True)
class Output:
    """A named output, and how its file is now."""

    name: str
    path: str
    """Relative to the workspace."""
    size: int | None = None
    """Bytes; None when there is no such file, or one that is not served."""
    modified: datetime | None = None
    problem: str = ""
    """Why it is not served."""


def check_outputs(outputs: Any) -> None:
    """Raises ``InvalidJob`` unless ``outputs`` is a dict of names and relative paths that stay where they start."""
    if not isinstance(outputs, Mapping) or len(outputs) > MOST:
        raise InvalidJob(f'outputs must be a dict of at most {MOST} names and paths: {{"report": "out/report.pdf"}}.')
    for name, path in outputs.items():
        if not isinstance(name, str) or not name.strip() or len(name) > NAME_LENGTH or "/" in name or "\\" in name:
            allowed = f"at most {NAME_LENGTH} characters and no slash"
            raise InvalidJob(f"{shown(name)} is no name for an output: use {allowed}.")
        if not isinstance(path, str) or not path or len(path) > PATH_LENGTH or not path.isprintable():
            raise InvalidJob(f"The path of the output “{name}” must be text; it is {shown(path)}.")
        if path.startswith("/") or ".." in PurePosixPath(path).parts or not PurePosixPath(path).parts:
            raise InvalidJob(f"The path of the output “{name}” must stay in the workspace; it is {shown(path)}.")


def look_for(workspace: str, outputs: Mapping[str, str]) -> list[Output]:
    """The outputs in their order, as they are now."""
    found = []
    for name, path in outputs.items():
        try:
            with open_output(workspace, path) as file:
                status = os.fstat(file.fileno())
        except FileNotFoundError:
            found.append(Output(name, path))
        except (OSError, InvalidJob) as error:
            found.append(Output(name, path, problem=str(error)))
        else:
            found.append(Output(name, path, status.st_size, _modified(status)))
    return found


def open_output(workspace: str, path: str) -> IO[bytes]:
    """A file of a workspace, opened without following any symbolic link.

    Raises ``FileNotFoundError``, and ``OutputNotAllowed`` for a link, a folder or whatever else is no plain file.
    """
    check_outputs({"output": path})
    below = _below_root(workspace) / path
    return _open_plain(below.parts[:-1], below.name, path)


def _open_plain(folders: tuple[str, ...], name: str, path: str = "") -> IO[bytes]:
    with _folder(folders) as folder:
        # Not to be held up by a named pipe that nobody writes to.
        found = _open(name, os.O_RDONLY | os.O_NONBLOCK, folder, path or name)
    if not stat.S_ISREG(os.fstat(found).st_mode):
        os.close(found)
        raise OutputNotAllowed(f"{path or name} is no plain file, so it is not served.")
    return os.fdopen(found, "rb")


@dataclass(frozen=True, slots=True)
class Listed:
    """Something in a folder of a workspace."""

    name: str
    kind: str
    """``folder``, ``file``, ``link`` (which is not followed) or ``other``."""
    size: int | None = None
    """Bytes of a file."""
    modified: datetime | None = None

    @property
    def key(self) -> str:
        """Its place in the list: folders first, then by name."""
        return _key(self.name, self.kind == "folder")


@dataclass(frozen=True, slots=True)
class Listing:
    """A page of what is in a folder."""

    entries: tuple[Listed, ...]
    more_after: str
    """The ``key`` behind which there is more; empty if there is not."""
    unnamed: int
    """How many things were left out because their names are no text."""
    is_cut: bool
    """Whether there is more in the folder than is ever looked at, so that some of it is in no page."""


def list_folder(workspace: str, parts: Sequence[str], *, after: str = "", limit: int = 1_000) -> Listing:
    """What is in a folder of a workspace, which ``parts`` lead to: at most ``limit`` entries behind the key ``after``.

    No symbolic link is followed, and nothing below is looked at. Raises ``FileNotFoundError``, and ``OutputNotAllowed``
    for what is no folder or is reached by a link.
    """
    check_parts(parts)
    unnamed, seen = 0, 0
    names: list[tuple[str, str]] = []
    with _folder((*_below_root(workspace).parts, *parts)) as folder:
        with os.scandir(folder) as found:
            for entry in islice(found, MOST_ENTRIES + 1):
                seen += 1
                if not storable(entry.name):
                    unnamed += 1
                elif (key := _key(entry.name, entry.is_dir(follow_symlinks=False))) > after:
                    names.append((key, entry.name))
        chosen = heapq.nsmallest(limit + 1, names)
        entries = [_listed(name, folder) for _, name in chosen[:limit]]
    more_after = chosen[limit - 1][0] if len(chosen) > limit else ""
    return Listing(tuple(filter(None, entries)), more_after, unnamed, seen > MOST_ENTRIES)


def open_file(workspace: str, parts: Sequence[str]) -> IO[bytes]:
    """A file of a workspace, which ``parts`` lead to, opened without following any symbolic link.

    Raises ``FileNotFoundError``, and ``OutputNotAllowed`` for a link, a folder or whatever else is no plain file.
    """
    check_parts(parts)
    return _open_plain((*_below_root(workspace).parts, *parts[:-1]), parts[-1] if parts else "")


def is_plain_folder(workspace: str, parts: Sequence[str]) -> bool:
    """Whether ``parts`` lead to a folder of a workspace without any symbolic link on the way."""
    try:
        with _folder((*_below_root(workspace).parts, *parts)):
            return True
    except (OSError, InvalidJob):
        return False


def check_parts(parts: Sequence[str]) -> None:
    """Raises ``OutputNotAllowed`` unless each part names something in the folder that the one before it names."""
    for part in parts:
        if part in ("", ".", "..") or "/" in part or not storable(part) or len(part) > 255:
            raise OutputNotAllowed(f"{shown(part)} names nothing in a folder.")


def _key(name: str, is_folder: bool) -> str:
    return f"{'0' if is_folder else '1'}{name}"


def _listed(name: str, folder: int) -> Listed | None:
    try:
        status = os.stat(name, dir_fd=folder, follow_symlinks=False)
    except OSError:  # gone this very moment
        return None
    modified = _modified(status)
    if stat.S_ISDIR(status.st_mode):
        return Listed(name, "folder", modified=modified)
    if stat.S_ISREG(status.st_mode):
        return Listed(name, "file", status.st_size, modified)
    return Listed(name, "link" if stat.S_ISLNK(status.st_mode) else "other", modified=modified)


def _modified(status: os.stat_result) -> datetime | None:
    """When a file was changed, as its owner has it; None for a time that no calendar has."""
    try:
        return datetime.fromtimestamp(status.st_mtime, timezone.get_current_timezone())
    except (OverflowError, ValueError, OSError):  # as datetime.fromtimestamp() documents
        return None


def remove_folder(workspace: str, name: str) -> None:
    """Remove a folder of a workspace with all that is in it, without following any symbolic link. Absent is fine.

    Nothing is left under its name, even when it cannot be removed as a whole: then ``OSError`` is raised, and the next
    call for the same name removes what was left. Raises ``OutputNotAllowed`` for a link, or when it is reached by one.
    """
    with suppress(FileNotFoundError), _folder(_below_root(workspace).parts) as folder:
        with suppress(FileNotFoundError):
            os.close(_open(name, os.O_PATH | os.O_DIRECTORY, folder, name))
            os.rename(name, f".{name}-{secrets.token_hex(16)}", src_dir_fd=folder, dst_dir_fd=folder)
        _remove_left_overs(folder, name)


def _remove_left_overs(folder: int, name: str) -> None:
    """Remove what was renamed to be removed. One that cannot be does not keep the others."""
    failure: OSError | None = None
    for left in os.listdir(folder):
        if re.fullmatch(rf"\.{re.escape(name)}-[0-9a-f]{{32}}", left):
            try:
                discard(left, dir_fd=folder)
            except FileNotFoundError:  # somebody else removes it, too
                continue
            except OSError as error:
                failure = error
    if failure is not None:
        raise failure


def _below_root(workspace: str) -> PurePosixPath:
    """A workspace as it is written: a link that was put in its place is refused like any other. Relative to the root.

    Raises ``OutputNotAllowed``.
    """
    try:
        below = PurePosixPath(Path(root(), workspace).relative_to(root()))
    except ValueError as error:
        raise OutputNotAllowed(f"The workspace {workspace} does not lie below {root()}.") from error
    if ".." in below.parts or not below.parts:
        raise OutputNotAllowed(f"The workspace {workspace} leaves its folder.")
    return below


@contextmanager
def _folder(parts: tuple[str, ...]) -> Iterator[int]:
    """The folder below the root of workspaces, reached step by step, so that nobody can put a link in between."""
    folder = os.open(root(), os.O_RDONLY | os.O_DIRECTORY)
    try:
        for part in parts:
            inner = _open(part, os.O_RDONLY | os.O_DIRECTORY, folder, part)
            os.close(folder)
            folder = inner
        yield folder
    finally:
        os.close(folder)


def _open(name: str, flags: int, folder: int, path: str) -> int:
    try:
        return os.open(name, flags | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENOTDIR, errno.ENXIO):  # open(2)
            raise OutputNotAllowed(f"{path} is a symbolic link or no plain file, so it is not served.") from error
        raise
