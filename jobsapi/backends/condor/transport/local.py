"""This machine as its own submit host: subprocesses, and copies of files."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from django.conf import settings

from jobsapi import conf
from jobsapi.backends.condor.transport.base import (
    GRACE,
    KILL_AFTER,
    TAILS_MAX,
    Brought,
    Completed,
    Tail,
    Transport,
    clean,
    completed,
)
from jobsapi.backends.condor.transport.sources import folders_for, sources
from jobsapi.backends.condor.transport.tree import HERE, in_words, read_file, tree
from jobsapi.exceptions import BackendUnavailable, InvalidJob, TransferFailed
from jobsapi.folders import discard

OWN_FOLDER = re.compile(r".*\d", re.DOTALL)
"""The name of an own folder ends in the number of its job."""


PASSED_ON = re.compile(
    r"PATH|HOME|USER|LOGNAME|SHELL|TZ|LANG|LC_.*|TMPDIR|LD_LIBRARY_PATH|CONDOR_CONFIG|_CONDOR_.*"
    r"|KRB5.*|X509_.*|BEARER_TOKEN_FILE|XDG_RUNTIME_DIR"
)
"""The variables that commands get. What DAGMan submits can name any as ``$ENV(NAME)``, and a portal's hold secrets."""
SECRET = re.compile(r"_CONDOR_(?!SEC_TOKEN_DIRECTORY$).*(PASSWORD|SECRET|TOKEN)", re.IGNORECASE)
"""Settings of HTCondor that may be secrets themselves, and not say where one lies."""


def environment() -> dict[str, str]:
    """What commands may know of this process's environment."""
    return {name: value for name, value in os.environ.items() if PASSED_ON.fullmatch(name) and not SECRET.match(name)}


def workspaces() -> Path:
    """The folder that all workspaces lie below."""
    return Path(getattr(settings, "BASE_DIR", "."), conf.get("WORKSPACE_ROOT")).resolve()


class LocalTransport(Transport):
    """Runs commands here, with the rights of this process. The own folder of a job lies in its workspace."""

    def open(self) -> None:
        """See ``Transport``. There is nothing to connect to."""

    def close(self) -> None:
        """See ``Transport``. There is nothing to close."""

    def run(self, argv: Sequence[str], *, folder: str | None, timeout: float, input: bytes = b"") -> Completed:
        """See ``Transport``. The command also ends in time when this process is killed meanwhile."""
        self.count("run")
        if folder is not None and not os.path.isdir(folder):
            raise TransferFailed(f"The folder {folder} is not there. Submit the job again.")
        wrapped = ["timeout", f"--kill-after={KILL_AFTER:g}", f"{timeout:g}", *argv]
        began = time.monotonic()
        try:
            process = subprocess.Popen(
                wrapped,
                cwd=folder,
                env=environment(),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            raise BackendUnavailable(f"{argv[0]} cannot be run {HERE}: {error}.") from error
        out, err = _heard(process, input, timeout + GRACE)
        overdue = time.monotonic() - began >= timeout
        return completed(argv, process.returncode, out, err, overdue=overdue, where=HERE)

    def folder_of(self, job_workspace: str, own_folder: str, uid: str, portal: str) -> str:
        """See ``Transport``: in the job's workspace."""
        return str(Path(job_workspace, own_folder))

    def stage(
        self,
        folder: str,
        *,
        texts: Mapping[str, str],
        folders: Sequence[str],
        inputs: Mapping[str, Path],
        private: Mapping[str, str] | None = None,
    ) -> None:
        """See ``Transport``. What is made has the rights that the umask gives."""
        self.count("stage")
        files, below = sources(texts, inputs, private)
        with in_words(f"Writing the files of the job to {folder}"), tree(folder, create=True) as own:
            own.discard_incoming()
            try:
                for name in folders_for([*folders, *below], files):
                    own.make(name)
                for file in files:
                    if file.private or not own.has(file.name, file.size, file.checksum, executable=file.executable):
                        own.write(file.name, file.chunks(), executable=file.executable, private=file.private)
                        self.count("sent")
            finally:
                own.discard_incoming()

    def bring(self, folder: str, home: Path) -> Brought:
        """See ``Transport``. The files are at home already."""
        return Brought()

    def remove(self, folders: Sequence[str]) -> None:
        """See ``Transport``. An own folder lies in a workspace below ``WORKSPACE_ROOT``, and ends in a number."""
        self.count("remove")
        root = workspaces()
        places: list[Path] = []
        for folder in folders:
            place, name = os.path.split(folder)
            workspace = Path(place).resolve()
            if not (OWN_FOLDER.fullmatch(name) and clean(name) and os.path.isabs(folder)):
                raise InvalidJob(f"{folder!r} is not the folder of a job, and is not removed.")
            if workspace == root or not workspace.is_relative_to(root):
                raise InvalidJob(f"{folder!r} does not lie in a workspace below {root}, and is not removed.")
            places.append(workspace / name)
        for path in places:
            with in_words(f"Removing {path}"), suppress(FileNotFoundError):
                discard(path)

    def read(self, paths: Sequence[str], *, limit: int) -> dict[str, bytes]:
        """See ``Transport``."""
        self.count("read")
        found = {path: read_file(path, limit) for path in paths}
        return {path: data for path, data in found.items() if data is not None}

    def tails(self, folder: str, patterns: Sequence[str], limit: int) -> dict[str, Tail]:
        """See ``Transport``."""
        self.count("tails")
        found: dict[str, Tail] = {}
        with suppress(OSError), tree(folder) as own:
            matching = [name for pattern in patterns if clean(pattern) for name in own.glob(pattern)]
            for name in list(dict.fromkeys(matching))[:TAILS_MAX]:
                with suppress(OSError), own.open(name) as file:
                    size = os.fstat(file.fileno()).st_size
                    offset = max(0, size - limit)
                    file.seek(offset)
                    found[name] = Tail(file.read(size - offset), offset, size)
        return found


def _heard(process: subprocess.Popen[bytes], input: bytes, timeout: float) -> tuple[bytes, bytes]:
    """All that a process says until it ends, which it does at the time-out at the latest, with its whole group."""
    try:
        return process.communicate(input, timeout)
    except subprocess.TimeoutExpired as late:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        try:
            return process.communicate(timeout=GRACE)
        except subprocess.TimeoutExpired:
            # Something that left the group holds the pipes open.
            for pipe in filter(None, (process.stdin, process.stdout, process.stderr)):
                pipe.close()
            return late.stdout or b"", late.stderr or b""
