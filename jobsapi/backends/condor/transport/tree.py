"""A folder of this machine and what lies below it, reached without ever following a link: jobs may plant some."""

from __future__ import annotations

import errno
import fnmatch
import hashlib
import os
import re
import secrets
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from io import BufferedReader
from pathlib import Path

from jobsapi.backends.condor.transport.base import INCOMING, trouble
from jobsapi.exceptions import BackendUnavailable, TransferFailed
from jobsapi.folders import discard

HERE = "on this machine"
TO_FOLDER = os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
TO_FILE = os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
"""Not to wait for the writer of a fifo either."""
IN_THE_WAY = (errno.ELOOP, errno.ENOTDIR)
"""What opening a folder says when a link, or a file, is there instead."""


class Tree:
    """An open folder. Names are relative paths, checked by the caller to lead nowhere but down."""

    def __init__(self, path: Path, top: int) -> None:
        self.path = path
        self._top = top

    @contextmanager
    def folder(self, name: str, *, create: bool = False) -> Iterator[int]:
        """A descriptor of a folder. Raises ``OSError``, with one of ``IN_THE_WAY`` when a link is on the way."""
        with ExitStack() as stack:
            here = self._top
            for part in filter(None, name.split("/")):
                if create:
                    with suppress(FileExistsError):
                        os.mkdir(part, dir_fd=here)
                here = os.open(part, TO_FOLDER, dir_fd=here)
                stack.callback(os.close, here)
            yield here

    def make(self, name: str) -> None:
        """Make a folder, and those above it."""
        with self.folder(name, create=True):
            pass

    @contextmanager
    def open(self, name: str) -> Iterator[BufferedReader]:
        """A plain file, for reading. Raises ``OSError`` if there is none, or a link, or a device."""
        above, _, last = name.rpartition("/")
        with self.folder(above) as folder, _opened(last, folder) as file:
            yield file

    def has(self, name: str, size: int, checksum: Callable[[], str], *, executable: bool) -> bool:
        """Whether a plain file is there with this content, and can be run if it shall."""
        try:
            with self.open(name) as file:
                found = os.fstat(file.fileno())
                if found.st_size != size or (executable and not found.st_mode & stat.S_IXUSR):
                    return False
                return hashlib.file_digest(file, "sha256").hexdigest() == checksum()
        except OSError:
            return False

    def write(
        self,
        name: str,
        chunks: Iterable[bytes],
        *,
        executable: bool,
        checksum: str | None = None,
        private: bool = False,
    ) -> None:
        """Write a file, under its name only when it is whole and sums up to ``checksum``.

        Raises ``OSError``, ``TransferFailed`` when the sum is another, and what ``chunks`` raises.
        """
        above, _, last = name.rpartition("/")
        part, summed = secrets.token_hex(8), hashlib.sha256()
        mode = 0o600 if private else 0o777 if executable else 0o666
        with self.folder(INCOMING, create=True) as incoming, self.folder(above, create=True) as folder:
            descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | TO_FILE, mode, dir_fd=incoming)
            try:
                with open(descriptor, "wb", buffering=0) as file:
                    for chunk in chunks:
                        summed.update(chunk)
                        rest = memoryview(chunk)
                        while rest:
                            rest = rest[file.write(rest) :]
                    if checksum:
                        os.fsync(descriptor)  # the other copy is about to be removed
                if checksum and summed.hexdigest() != checksum:
                    raise TransferFailed(f"{name} did not arrive as it was. It may have been changed meanwhile.")
                os.rename(part, last, src_dir_fd=incoming, dst_dir_fd=folder)
            except BaseException:
                with suppress(OSError):
                    os.unlink(part, dir_fd=incoming)
                raise

    def unlink(self, name: str) -> None:
        """Remove a file. Raises ``OSError`` if there is none."""
        above, _, last = name.rpartition("/")
        with self.folder(above) as folder:
            os.unlink(last, dir_fd=folder)

    def discard_incoming(self) -> None:
        """Remove what an earlier transfer left half done, and the place for it."""
        with suppress(FileNotFoundError):
            discard(INCOMING, dir_fd=self._top)

    def glob(self, pattern: str) -> Iterator[str]:
        """Plain files that match, as a shell would find them, in order."""
        yield from self._glob("", pattern.split("/"))

    def _glob(self, above: str, parts: list[str]) -> Iterator[str]:
        part, rest = parts[0], parts[1:]
        try:
            with self.folder(above) as folder:
                names = [part] if not re.search(r"[*?[]", part) else _matching(folder, part)
                kinds = {name: _kind(name, folder) for name in names}
        except OSError:
            return
        for name, kind in kinds.items():
            path = f"{above}/{name}" if above else name
            if rest and stat.S_ISDIR(kind):
                yield from self._glob(path, rest)
            elif not rest and stat.S_ISREG(kind):
                yield path


@contextmanager
def tree(path: str | Path, *, create: bool = False) -> Iterator[Tree]:
    """Open a folder, made if ``create``. Links may lead to where it lies, but it is none itself. Raises ``OSError``."""
    path = Path(path)
    if create:
        path.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileExistsError):
            path.mkdir()
    descriptor = os.open(path, TO_FOLDER)
    try:
        yield Tree(path, descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def in_words(what: str) -> Iterator[None]:
    """What the system says of files here, as ``BackendUnavailable`` (no room) or ``TransferFailed``."""
    try:
        yield
    except OSError as error:
        raise failure(error, what) from error


def failure(error: OSError, what: str) -> BackendUnavailable | TransferFailed:
    """What an error of the system means."""
    if error.errno in IN_THE_WAY:
        place = f" ({error.filename})" if error.filename else ""
        return TransferFailed(f"{what} failed {HERE}: a link or a file is where a folder must be{place}. Remove it.")
    said = f"{error.strerror or error}" + (f": {error.filename}" if error.filename else "")
    return trouble(said, what, HERE)


def _opened(name: str, folder: int | None) -> BufferedReader:
    descriptor = os.open(name, os.O_RDONLY | TO_FILE, dir_fd=folder)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "Not a plain file", name)
    return open(descriptor, "rb")


def read_file(path: str, limit: int) -> bytes | None:
    """A whole plain file, no link on the way to it; None if there is none, or it is longer than ``limit`` bytes."""
    parts = Path(path).parts
    with suppress(OSError), ExitStack() as stack:
        here = os.open(parts[0], TO_FOLDER | os.O_PATH)
        stack.callback(os.close, here)
        for part in parts[1:-1]:
            here = os.open(part, TO_FOLDER | os.O_PATH, dir_fd=here)
            stack.callback(os.close, here)
        with _opened(parts[-1], here) as file:
            data = file.read(limit + 1)
            return data if len(data) <= limit else None
    return None


def _matching(folder: int, pattern: str) -> list[str]:
    names = [name for name in os.listdir(folder) if fnmatch.fnmatchcase(name, pattern)]
    return sorted(name for name in names if pattern.startswith(".") or not name.startswith("."))


def _kind(name: str, folder: int) -> int:
    try:
        return os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode
    except OSError:
        return 0
