"""Names of jobs, nodes and files: which may be, and what becomes of them in a path."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from pathlib import PurePath
from typing import Any

from jobsapi.exceptions import InvalidJob
from jobsapi.htcondor.values import check_text
from jobsapi.shown import shown

REPORT_FILE = "jobsapi-report.json"
"""The file, beside a job's others, that tells its programs how to report. There is a secret in it."""
LONGEST_SLUG = 64
MOST_FILES = 500
NODE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}")
CATEGORY = re.compile(r"\+?[A-Za-z0-9_.-]{1,100}")
NOT_FOR_NODES = {"parent", "child", "all_nodes"}
"""DAGMan takes these for words of its own, in any case of letters."""


def slug(text: str) -> str:
    """A file's name for ``text``: at most ``LONGEST_SLUG`` ASCII letters, digits, ".", "_" and "-".

    It is "job" if nothing is left, and starts with a letter, a digit or "_". Two texts may have the same one.
    """
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    return re.sub(r"[^A-Za-z0-9._-]+", "-", plain).strip(".-")[:LONGEST_SLUG].rstrip(".-") or "job"


def own_folder(name: str, pk: int) -> str:
    """The name of a job's own folder. It ends in the job's number, so no two jobs have the same."""
    base = slug(name)
    return base if re.search(rf"[._-]{pk}$", base) else f"{base}-{pk}"


def check_name(name: Any) -> None:
    """Raises ``InvalidJob`` for a job's name that a path or a macro could take for its own."""
    check_text("The job's name", name)
    if not name.strip():
        raise InvalidJob("The job has no name. Give it one.")
    for sign in ("/", "\\", "$("):
        if sign in name:
            raise InvalidJob(f"The job's name {shown(name)} has {sign} in it. Choose a name without.")


def without_blanks(name: Any) -> Any:
    """A node's name as condorpy writes it to the DAG file, where a blank would end it: with "_" for each blank."""
    return name.replace(" ", "_") if isinstance(name, str) else name


def check_node_name(name: Any) -> None:
    """Raises ``InvalidJob`` for a node's name that DAGMan would not take, or take for something else."""
    check_text("The node's name", name)
    if not NODE_NAME.fullmatch(name):
        raise InvalidJob(
            f"A node cannot be called {shown(name)}. Use up to 100 letters, digits, “.”, “_” and “-”, "
            "the first one no “.” or “-”."
        )
    if name.lower() in NOT_FOR_NODES:
        raise InvalidJob(f"A node cannot be called {name}: DAGMan has another meaning for it. Choose another name.")


def check_category(what: str, name: Any) -> None:
    """Raises ``InvalidJob`` unless ``name`` is one word for DAGMan."""
    if not isinstance(name, str) or not CATEGORY.fullmatch(name):
        raise InvalidJob(f"{what} is {shown(name)}. Use letters, digits, “.”, “_” and “-”, and no spaces.")


def check_files(paths: Any) -> None:
    """Raises ``InvalidJob`` unless all are paths of files or folders that can lie side by side by their last names."""
    if isinstance(paths, str) or not isinstance(paths, Iterable):
        raise InvalidJob(f"remote_input_files is {shown(paths)}. Give it a list of paths.")
    seen: dict[str, str] = {}
    for count, path in enumerate(paths, 1):
        if count > MOST_FILES:
            raise InvalidJob(f"There are more than {MOST_FILES} input files. Put them into a folder, and give that.")
        name = last_name(path)
        if seen.setdefault(name, path) != path:
            raise InvalidJob(f"{seen[name]} and {path} are both called {name}, and go into one folder. Rename one.")


def last_name(path: Any) -> str:
    """The last part of an input's path. Raises ``InvalidJob`` for what is no path of a file or folder."""
    check_text("The path of an input file", path, limit=4096)
    if not path.strip():
        raise InvalidJob("The path of an input file is empty. Remove it from the list.")
    name = PurePath(path).name
    if name in ("", ".", ".."):
        raise InvalidJob(f"{shown(path)} names no file or folder of its own. Give the path with its last name.")
    return name


def check_relative(what: str, path: Any) -> str:
    """``path`` as it is. Raises ``InvalidJob`` unless it is one word that leads downwards from a job's own folder."""
    check_text(what, path, limit=4096)
    if not path or path.startswith(("/", "-", "~")) or ".." in PurePath(path).parts:
        raise InvalidJob(f"{what} is {shown(path)}. Give a path below the job's own folder, without “..”.")
    check_word(what, path)
    return str(path)


def check_word(what: str, path: str) -> None:
    """Raises ``InvalidJob`` for a path with spaces or quotes: a DAG file has no way to write it."""
    if re.search(r"[\s\"'\\]", path):
        advice = "DAGMan takes no path with spaces, quotes or backslashes. Rename it."
        raise InvalidJob(f"{what} is {shown(path)}. {advice}")
