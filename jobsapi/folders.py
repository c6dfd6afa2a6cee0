"""Folders that jobs have written to are removed with whatever jobs have made of them. No link is ever followed."""

from __future__ import annotations

import os
import shutil
import stat
from contextlib import suppress

ENTRY = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
"""To get hold of a folder that may be neither read nor entered."""


def discard(path: str | os.PathLike[str], *, dir_fd: int | None = None) -> None:
    """Remove a folder and all in it, also what a job has locked; of links, the links.

    Raises ``OSError``: ``FileNotFoundError`` if it is absent, ``PermissionError`` if something in it is not ours.
    """
    if stat.S_ISLNK(os.stat(path, dir_fd=dir_fd, follow_symlinks=False).st_mode):
        os.unlink(path, dir_fd=dir_fd)
        return
    try:
        shutil.rmtree(path, dir_fd=dir_fd)
    except PermissionError:
        _unlock(path, dir_fd)
        shutil.rmtree(path, dir_fd=dir_fd)


def _unlock(path: str | os.PathLike[str], dir_fd: int | None) -> None:
    """Give the owner all rights to a folder and to those below it, as far as they are ours to give."""
    _allow(path, dir_fd)
    for _, names, _, folder in os.fwalk(path, dir_fd=dir_fd):  # tells of a folder before it opens those in it
        for name in names:
            _allow(name, folder)


def _allow(name: str | os.PathLike[str], dir_fd: int | None) -> None:
    with suppress(OSError):
        folder = os.open(name, ENTRY, dir_fd=dir_fd)
        try:
            os.chmod(f"/proc/self/fd/{folder}", 0o700)  # a descriptor of this kind takes no fchmod
        finally:
            os.close(folder)
