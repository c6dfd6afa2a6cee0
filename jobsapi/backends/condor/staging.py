"""Which files of this machine go into an own folder, and where to. Reads the disk only."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePath

from jobsapi.backends.condor.description import SubmitDescription
from jobsapi.exceptions import InvalidJob
from jobsapi.htcondor.names import last_name

RENAME = "Call the node otherwise, or change the folder that it writes to."


@dataclass
class Staging:
    """What is brought into an own folder from this machine."""

    workspace: str
    inputs: dict[str, Path] = field(default_factory=dict)

    def add(self, paths: Iterable[str], folder: str = "") -> None:
        """Files and folders that the user has named, side by side in ``folder``; relative ones from the workspace."""
        for path in paths:
            name = posixpath.join(folder, last_name(path))
            local = Path(self.workspace, path)
            if not _exists(local):
                raise InvalidJob(f"The input {path} is not there. Put it there, or take it off remote_input_files.")
            if not (local.is_file() or local.is_dir()):
                raise InvalidJob(f"The input {path} is neither a file nor a folder. Take it off remote_input_files.")
            if not _same(self.inputs.setdefault(name, local), local):
                raise InvalidJob(
                    f"{self.inputs[name]} and {local} are both called {name} in the job's folder. Rename one."
                )

    def add_unless_there(self, path: str, folder: str = "", start: str = "") -> bool:
        """A file that the job names without staging it, if it is in the workspace.

        ``path`` is relative to ``start``, and that to ``folder``. True if it will be there, or is none of ours: an
        absolute path, a URL, or what is known only when it runs.
        """
        if not path or path.startswith("/") or "://" in path or "$" in path:
            return True
        relative = posixpath.normpath(posixpath.join(start, path))
        name = posixpath.normpath(posixpath.join(folder, relative))
        if name == ".." or name.startswith("../") or name == ".":
            return False
        if any(name == staged or name.startswith(f"{staged}/") for staged in self.inputs):
            return True
        for candidate in dict.fromkeys((name, relative)):
            if local := self._in_workspace(candidate):
                self.inputs[name] = local
                return True
        return False

    def add_inputs(self, description: SubmitDescription, folder: str) -> None:
        """Its input files. What is not there may yet be made by another node; if not, HTCondor holds it and says so."""
        start = "" if description.folder == "." else description.folder
        for name in ("transfer_input_files", "input"):
            for path in str(description.get(name) or "").split(","):
                self.add_unless_there(path.strip().strip('"'), folder, start)

    def check_room(self, texts: Mapping[str, str], folders: Iterable[str], *, before: str = "") -> None:
        """Raises ``InvalidJob`` if two things of the job would lie in one place.

        ``before``: what the names of files begin with that HTCondor makes.
        """
        folders = list(folders)
        needed = {str(parent) for path in (*texts, *folders, *self.inputs) for parent in PurePath(path).parents}
        needed |= set(folders)
        for name in (*texts, *folders):
            if name in texts and name in needed:
                raise InvalidJob(f"The job's folder would have both a file and a folder called {name}. {RENAME}")
            if before and name.startswith(before):
                raise InvalidJob(f"{name} would lie where DAGMan puts a file of its own: {before}… {RENAME}")
        for name, local in self.inputs.items():
            inside = [path for path in texts if path.startswith(f"{name}/") and _exists(local / path[len(name) + 1 :])]
            is_ours = name in texts or inside or (before and name.startswith(before))
            if is_ours or (name in needed and not local.is_dir()):
                raise InvalidJob(f"{local} has the name of a file or folder that the job needs itself. Rename it.")

    def _in_workspace(self, name: str) -> Path | None:
        """The file or folder of that name in the workspace; None if there is none, or a link leads out of it."""
        if name == ".." or name.startswith("../"):
            return None
        local = Path(self.workspace, name)
        try:
            inside = local.resolve().is_relative_to(Path(self.workspace).resolve())
        except (OSError, RuntimeError, ValueError):
            return None
        return local if inside and _exists(local) else None


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):
        return False


def _same(one: Path, other: Path) -> bool:
    return one == other or os.path.realpath(one) == os.path.realpath(other)
