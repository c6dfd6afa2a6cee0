"""A submit host reached over SSH: commands over one kept connection, files by SFTP."""

from __future__ import annotations

import hashlib
import os
import re
import tarfile
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import quote

import paramiko

from jobsapi.backends.condor.transport import remote
from jobsapi.backends.condor.transport.base import (
    GRACE,
    INCOMING,
    SLOWEST,
    TAILS_MAX,
    Brought,
    Completed,
    Tail,
    Transport,
    clean,
    completed,
    last_line,
    trouble,
)
from jobsapi.backends.condor.transport.connection import (
    BROKEN,
    SEND_GRACE,
    Deadline,
    Link,
    hear,
    start,
    watchdog,
)
from jobsapi.backends.condor.transport.kept import IDLE_CLOSE, KeptConnection
from jobsapi.backends.condor.transport.login import Login
from jobsapi.backends.condor.transport.sources import Source, folders_for, sources
from jobsapi.backends.condor.transport.tree import Tree, in_words, tree
from jobsapi.backends.condor.transport.upload import PACKED_MAX, Upload, room
from jobsapi.exceptions import BackendError, BackendUnavailable, InvalidJob, TransferFailed
from jobsapi.htcondor.names import REPORT_FILE

OWN_FOLDER = re.compile(r"jobsapi/[^/\0]+/[0-9a-f]{32}")
"""Where own folders lie, below the login's home."""
SHELL = ("The shell",)
"""What does not answer when a command of ours does not, for messages."""
STAGING = "Writing the files of the job"
"""What fails, for messages."""
READ_SIZE = 255 * 1024
"""Bytes asked for at once; OpenSSH gives no more. Few round trips, and no threads to read ahead."""
FULL = 98
"""Per cent of a disk in use at which a write that failed is said to have failed for want of room."""


class SshTransport(Transport):
    """Keeps one connection to a submit host, for all threads of this process."""

    def __init__(self, login: Login, idle_close: float = IDLE_CLOSE) -> None:
        super().__init__()
        self.login = login
        self._connection = KeptConnection(login, idle_close, lambda: self.count("connect"))

    def open(self) -> None:
        """See ``Transport``."""
        self._connection.open()

    def close(self) -> None:
        """See ``Transport``. Threads that are using the connection may end what they do."""
        self._connection.close()

    def run(self, argv: Sequence[str], *, folder: str | None, timeout: float, input: bytes = b"") -> Completed:
        """See ``Transport``. The command also ends in time when the connection is cut meanwhile."""
        status, out, err, took = self._command("run", argv, folder or ".", timeout, input)
        if status == remote.NO_FOLDER:
            raise TransferFailed(f"The folder {folder} is not there {self.login.where}. Submit the job again.")
        return completed(argv, status, out, err, overdue=took >= timeout, where=self.login.where)

    def folder_of(self, job_workspace: str, own_folder: str, uid: str, portal: str) -> str:
        """See ``Transport``: below the login's home."""
        name = quote(portal, safe=" ") if portal.strip(".") else portal.replace(".", "%2E")
        return f"jobsapi/{name or 'portal'}/{uuid.UUID(uid).hex}"

    def stage(
        self,
        folder: str,
        *,
        texts: Mapping[str, str],
        folders: Sequence[str],
        inputs: Mapping[str, Path],
        private: Mapping[str, str] | None = None,
    ) -> None:
        """See ``Transport``. One command; two or more, and SFTP for large files, when there is more than it takes."""
        files, below = sources(texts, inputs, private)
        made = folders_for([*folders, *below], files)
        timeout = self._time_for(file.size for file in files)
        if sum(map(room, files)) <= PACKED_MAX:  # sent sooner than asked about
            upload = Upload(files, made)
            archive = upload.packed_last(range(len(files)))
            self._place([*remote.RECEIVE, folder], ".", upload, archive, timeout)
        else:
            folder, missing = self._missing(folder, files, timeout)
            upload = Upload(missing, made)
            with self._forgetting(folder):
                self._send_large(folder, upload)
                *batches, last = upload.batches()
                for batch in batches:
                    self._done("stage", remote.UNPACK, folder, timeout, upload.packed(batch), STAGING)
                self._place(remote.PLACE, folder, upload, upload.packed_last(last), timeout)
        self.count("sent", len(upload.files))

    def bring(self, folder: str, home: Path) -> Brought:
        """See ``Transport``. Two commands, and SFTP for what is not here yet."""
        what = "Fetching the files of the job"
        try:
            place, said = remote.placed(self._done("bring", remote.LIST, folder, self.login.idle, b"", what))
            listed = remote.entries(said)
        except ValueError as error:
            raise TransferFailed(f"{what} failed {self.login.where}: {error}.") from error
        listed = [entry for entry in listed if os.path.basename(entry.name) != REPORT_FILE]
        skipped = tuple(reason for entry in listed if (reason := remote.hostile(entry)))
        good = [entry for entry in listed if not remote.hostile(entry)]
        files = [entry for entry in good if entry.kind == "f"]
        names = remote.joined(f"./{entry.name}" for entry in files)
        timeout = self._time_for(entry.size for entry in files)
        known = remote.checksums(self._done("bring", remote.SUM, folder, timeout, names, what))
        if unknown := next((entry.name for entry in files if entry.name not in known), None):
            raise TransferFailed(f"{what} failed {self.login.where}: nothing was said of {unknown}.")
        brought: list[remote.Entry] = []
        with in_words(what), tree(home, create=True) as own:
            own.discard_incoming()
            for entry in good:
                if entry.kind == "d":
                    own.make(entry.name)
            todo = [entry for entry in files if not _have(own, entry, known[entry.name])]
            if todo:
                with self._connection.sftp() as (link, sftp):
                    for entry in todo:
                        chunks = self._received(link, sftp, f"{place}/{entry.name}", entry.size)
                        own.write(entry.name, chunks, executable=entry.executable, checksum=known[entry.name])
                        brought.append(entry)
            own.discard_incoming()
        self.count("brought", len(brought))
        return Brought(len(brought), sum(entry.size for entry in brought), skipped)

    def remove(self, folders: Sequence[str]) -> None:
        """See ``Transport``."""
        for folder in folders:
            if not OWN_FOLDER.fullmatch(folder) or not clean(folder):
                raise InvalidJob(f"{folder!r} is not the folder of a job, and is not removed.")
        self._done(
            "remove", remote.REMOVE, ".", self.login.idle, remote.joined(folders), "Removing the files of the job"
        )

    def read(self, paths: Sequence[str], *, limit: int) -> dict[str, bytes]:
        """See ``Transport``."""
        names = {path if os.path.isabs(path) else f"./{path}": path for path in paths}
        argv = [*remote.READ, str(limit + 1)]
        out, said = self._answer("read", argv, ".", remote.joined(names))
        try:
            return {names[name]: data for name, data in remote.unpacked(out).items()}
        except (tarfile.TarError, KeyError, ValueError) as error:
            raise self._unanswered("Reading files", said) from error

    def tails(self, folder: str, patterns: Sequence[str], limit: int) -> dict[str, Tail]:
        """See ``Transport``."""
        good = remote.joined(pattern for pattern in patterns if clean(pattern))
        out, said = self._answer("tails", [*remote.TAILS, str(limit), str(TAILS_MAX)], folder, good)
        try:
            return remote.tails(out)
        except ValueError as error:
            raise self._unanswered("Reading the ends of files", said) from error

    def _answer(self, kind: str, argv: Sequence[str], folder: str, input: bytes) -> tuple[bytes, str]:
        """What a command of ours has found, and what it complained of. Raises ``CommandKilled`` if it took too long."""
        status, out, err, took = self._command(kind, argv, folder, self.login.idle, input)
        said = completed(SHELL, status, b"", err, overdue=took >= self.login.idle, where=self.login.where)
        return out, said.err

    def _unanswered(self, what: str, said: str) -> BackendUnavailable:
        """An answer that makes no sense tells nothing of any job: it is the host that is not as it should be."""
        return BackendUnavailable(f"{what} failed {self.login.where}: {last_line(said) or 'the answer was cut short'}.")

    def _done(self, kind: str, argv: Sequence[str], folder: str, timeout: float, input: bytes, what: str) -> bytes:
        """What a command of ours has said, once it has succeeded."""
        status, out, err = self._ended(kind, argv, folder, timeout, input, what)
        if status:
            raise trouble(err, what, self.login.where)
        return out

    def _ended(
        self, kind: str, argv: Sequence[str], folder: str, timeout: float, input: bytes, what: str
    ) -> tuple[int, bytes, str]:
        """How a command of ours has ended in its folder: its status, output and errors."""
        status, out, err, took = self._command(kind, argv, folder, timeout, input)
        said = completed(SHELL, status, b"", err, overdue=took >= timeout, where=self.login.where)
        if status == remote.NO_FOLDER:
            raise TransferFailed(f"{what} failed: its folder {folder} is not there {self.login.where}.")
        return status, out, said.err

    def _command(
        self, kind: str, argv: Sequence[str], folder: str, timeout: float, input: bytes = b""
    ) -> tuple[int, bytes, bytes, float]:
        """Run a command; its status, output, errors, and how long it took. Raises ``BackendUnavailable``."""
        words = argv if kind == "run" else [*remote.PLAIN, *argv]
        line = remote.command_line(words, folder, timeout, reads=bool(input))
        with self._connection.channel() as (link, channel):
            self.count(kind)
            began, deadline = time.monotonic(), Deadline(timeout + GRACE)
            try:
                with watchdog(min(deadline.left, self.login.timeout), link.close):
                    start(channel, os.fsencode(line))
                with watchdog(deadline.left + SEND_GRACE, link.close):
                    status, out, err = hear(channel, input, deadline)
            except BROKEN as error:
                if not deadline.left or isinstance(error, TimeoutError):
                    self._connection.retire(link)
                    silent, *_ = argv if kind == "run" else SHELL
                    raise BackendUnavailable(f"{silent} did not answer in time {self.login.where}.") from error
                raise self._connection.cut(link, error) from error
        took = time.monotonic() - began
        said = remote.answer(out)
        if said is None:
            words = last_line((remote.answer(err) or err + b"\n" + out).decode(errors="replace"))
            raise BackendUnavailable(f"No command can be run {self.login.where} as {self.login.username}: {words}")
        return status, said, remote.answer(err) or b"", took

    def _time_for(self, sizes: Iterable[int]) -> float:
        """Seconds in which files of these sizes can surely be read and summed up."""
        return self.login.idle + sum(sizes) / SLOWEST

    def _missing(self, folder: str, files: Sequence[Source], timeout: float) -> tuple[str, list[Source]]:
        """Makes the own folder: where it is, and those files that are not in it yet, the same to the byte."""
        names = remote.joined(f"{'x' if file.executable else 'f'}:{file.name}" for file in files)
        place, said = remote.placed(self._done("stage", [*remote.PREPARE, folder], ".", timeout, names, STAGING))
        there = remote.checksums(said)
        return place, [f for f in files if f.private or f.name not in there or there[f.name] != f.checksum()]

    def _send_large(self, folder: str, upload: Upload) -> None:
        """Send the files that no archive takes."""
        if not upload.large:
            return
        with self._connection.sftp() as (link, sftp):
            for number, file in upload.large:
                summed = hashlib.sha256()
                path = f"{folder}/{INCOMING}/{number}"
                with self._file_words(link, sftp, path), sftp.open(os.fsencode(path), "wb") as to:
                    if file.private:  # while it is empty
                        to.chmod(0o600)
                    to.set_pipelined(True)
                    for chunk in file.chunks():
                        summed.update(chunk)
                        to.write(chunk)
                    to.stat()  # closing takes a cut, or silence, for success
                upload.checksums[str(number)] = summed.hexdigest()

    @contextmanager
    def _forgetting(self, folder: str) -> Iterator[None]:
        """After an upload that failed, leave nothing of it on a disk that may be full. A cut connection can wait."""
        try:
            yield
        except BackendError:
            if self._connection.alive:
                with suppress(BackendError):
                    self._command("stage", remote.FORGET, folder, self.login.idle)
            raise

    def _place(self, argv: Sequence[str], folder: str, upload: Upload, archive: bytes, timeout: float) -> None:
        """Send the last files, and give all their names."""
        status, out, err = self._ended("stage", argv, folder, timeout, archive, STAGING)
        if lost := remote.LOST.search(out):
            name = upload.files[int(lost[1])].name
            raise self._cut_short(STAGING, f"{name} did not arrive whole", last_line(out.decode(errors="replace")))
        if status:
            raise trouble(err, STAGING, self.login.where)

    def _received(self, link: Link, sftp: paramiko.SFTPClient, path: str, size: int) -> Iterator[bytes]:
        """The content of a file at the other end; never more than ``size`` bytes."""
        with self._file_words(link, sftp, path), sftp.open(os.fsencode(path), "rb") as file:
            file.MAX_REQUEST_SIZE = READ_SIZE
            while size and (chunk := file.read(min(size, READ_SIZE))):
                size -= len(chunk)
                yield chunk
            if size:  # paramiko takes a cut for the end of the file; then nobody answers either
                sftp.stat(os.fsencode(path))

    @contextmanager
    def _file_words(self, link: Link, sftp: paramiko.SFTPClient, path: str) -> Iterator[None]:
        """What goes wrong with a file at the other end. An SFTP server has no word for a full disk: "Failure"."""
        try:
            yield
        except (FileNotFoundError, PermissionError) as error:
            raise TransferFailed(f"{path} cannot be transferred {self.login.where}: {error.strerror}.") from error
        except BROKEN as error:
            refused = isinstance(error, OSError) and not isinstance(error, TimeoutError) and not error.errno
            if not refused or _is_cut(link, sftp):
                raise self._connection.cut(link, error) from error
            disk = self._disk(os.path.dirname(path))
            raise self._cut_short(f"Transferring {path}", str(error), disk) from error

    def _disk(self, folder: str) -> str:
        _, out, _, _ = self._command("stage", ["df", "-Pk", "."], folder, self.login.idle)
        return last_line(out.decode(errors="replace"))

    def _cut_short(self, what: str, why: str, disk: str) -> BackendUnavailable | TransferFailed:
        """A transfer that failed for a reason the server does not tell; ``disk`` is a line of ``df -Pk``."""
        used = re.search(r"(\d+)\s+(\d+)%\s", disk)
        if used and (int(used[2]) >= FULL or int(used[1]) == 0):
            return BackendUnavailable(
                f"{what} failed: the disk {self.login.where} is full ({used[2]} % in use). Free some space there."
            )
        return TransferFailed(f"{what} failed {self.login.where}: {why}. A quota may be used up there.")


def _is_cut(link: Link, sftp: paramiko.SFTPClient) -> bool:
    channel = sftp.get_channel()
    return channel.closed or channel.eof_received or not link.alive


def _have(own: Tree, entry: remote.Entry, checksum: str) -> bool:
    return own.has(entry.name, entry.size, lambda: checksum, executable=entry.executable)
