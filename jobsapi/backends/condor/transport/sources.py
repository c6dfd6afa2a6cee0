"""The files that are to be staged: texts of ours, and files and whole folders of this machine."""

from __future__ import annotations

import hashlib
import os
import stat
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from jobsapi.backends.condor.transport.base import inside, parents
from jobsapi.exceptions import InvalidJob

CHUNK = 256 * 1024


@dataclass(frozen=True, slots=True)
class Source:
    """One file, not opened yet."""

    name: str
    """Its path in the own folder."""
    size: int
    executable: bool
    origin: Path | bytes
    private: bool = False
    """Whether nobody but the account may read it."""

    def chunks(self) -> Iterator[bytes]:
        """The content, in pieces that suit a network. Raises ``InvalidJob`` when it cannot be read."""
        if isinstance(self.origin, bytes):
            yield self.origin
            return
        try:
            with open(self.origin, "rb", buffering=0, opener=_without_waiting) as file:
                while chunk := file.read(CHUNK):
                    yield chunk
        except OSError as error:
            raise unreadable(self.origin, error) from error

    def checksum(self) -> str:
        """SHA-256, in hex."""
        summed = hashlib.sha256()
        for chunk in self.chunks():
            summed.update(chunk)
        return summed.hexdigest()


def sources(
    texts: Mapping[str, str], inputs: Mapping[str, Path], private: Mapping[str, str] | None = None
) -> tuple[list[Source], list[str]]:
    """All files, and all folders of the input folders, the empty ones too. Raises ``InvalidJob``."""
    files, folders = [], []
    for name, text in texts.items():
        data = text.encode()
        files.append(Source(inside(name), len(data), False, data))
    for name, text in (private or {}).items():
        data = text.encode()
        files.append(Source(inside(name), len(data), False, data, private=True))
    for name, path in inputs.items():
        inside(name)
        try:
            found = path.stat()
        except OSError as error:
            raise unreadable(path, error) from error
        if stat.S_ISDIR(found.st_mode):
            folders.append(name)
            for below, inner in _walk(path):
                if stat.S_ISDIR(inner.st_mode):
                    folders.append(f"{name}/{below}")
                else:
                    files.append(_source(f"{name}/{below}", path / below, inner))
        else:
            files.append(_source(name, path, found))
    counted = Counter(file.name for file in files)
    for name, count in counted.items():
        if count > 1:
            raise InvalidJob(f"Two files of the job are called {name!r}. Rename one.")
    return files, folders


def _walk(top: Path) -> Iterator[tuple[str, os.stat_result]]:
    def refuse(error: OSError) -> None:
        raise unreadable(Path(error.filename or top), error)

    inner = top.resolve()
    for folder, names, files in os.walk(inner, onerror=refuse):
        for name in sorted(names + files):
            path = Path(folder, name)
            try:
                found = path.stat()
                leaves = path.is_symlink() and (stat.S_ISDIR(found.st_mode) or not path.resolve().is_relative_to(inner))
            except OSError as error:
                raise unreadable(path, error) from error
            if leaves:
                raise InvalidJob(f"{path} is a link to a folder, or out of {top}. Name what it links to instead.")
            yield path.relative_to(inner).as_posix(), found


def _source(name: str, path: Path, found: os.stat_result) -> Source:
    if not stat.S_ISREG(found.st_mode):
        raise InvalidJob(f"{path} is neither a file nor a folder. Name a file that can be copied.")
    return Source(name, found.st_size, bool(found.st_mode & stat.S_IXUSR), path)


def _without_waiting(path: str, flags: int) -> int:
    # A file that became a fifo meanwhile would wait for a writer.
    return os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC)


def unreadable(path: Path, error: OSError) -> InvalidJob:
    """What to say of an input that cannot be read."""
    return InvalidJob(f"The input {path} cannot be read: {error.strerror or error}. Check that it is there.")


def folders_for(folders: list[str], files: list[Source]) -> list[str]:
    """All folders that must be there for ``files``, outermost first, each once."""
    needed = {inside(name): None for name in folders}
    every = {parent: None for name in [*needed, *(file.name for file in files)] for parent in parents(name)}
    return sorted({**every, **needed}, key=lambda name: (name.count("/"), name))
