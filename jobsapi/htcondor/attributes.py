"""The lines of a submit description: their names, their values, and the paths among them."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from jobsapi.exceptions import InvalidJob
from jobsapi.htcondor.macros import value_of
from jobsapi.htcondor.values import check_int, check_text, scalar
from jobsapi.shown import shown

NAME = re.compile(r"(?P<own>\+|my\.)?(?P<word>[a-z_][a-z0-9_]*)", re.IGNORECASE)
WORDS_OF_THE_LANGUAGE = {"queue", "if", "elif", "else", "endif", "include", "use"}
"""https://htcondor.readthedocs.io/en/latest/man-pages/condor_submit.html; most of them end the submission."""
OURS = "jobsapi"
"""What the attributes begin with by which a job is found again."""
HTCONDORS_OWN = {
    "clusterid", "procid", "owner", "user", "osuser", "ntdomain", "globaljobid", "qdate", "jobstatus",
    "totalsubmitprocs", "dagmanjobid", "dagnodename", "dagparentnodenames", "dagmannodeslog",
}  # fmt: skip
"""Attributes of the job that HTCondor or DAGMan sets; given by hand, they hide the job or break its workflow."""
LINES_FOR = {
    "iwd": "initialdir", "cmd": "executable", "out": "output", "err": "error", "in": "input", "userlog": "log",
    "args": "arguments", "arguments": "arguments", "jobuniverse": "universe",
    "transferinput": "transfer_input_files", "transferoutputremaps": "transfer_output_remaps",
}  # fmt: skip
"""Attributes of the job that have a line of their own, by which they are checked."""
SAME_AS = {
    "initial_dir": "initialdir", "job_iwd": "initialdir", "iwd": "initialdir", "stdout": "output", "stderr": "error",
    "userlog": "log", "prio": "priority", "cmd": "executable", "args": "arguments",
}  # fmt: skip
"""Other names that condor_submit takes for a line."""
PATHS = ("initialdir", "logdir", "output", "error", "log")
"""Where files of the job are written."""
NOWHERE = "/dev/null"
KNOWN_WHEN_SUBMITTED = {"cluster", "clusterid", "process", "procid", "job_name", "step", "row", "itemindex"}
"""Macros that are never empty. An unknown one is, so that ``$(where)/x`` would be ``/x``."""
FROM_ENVIRONMENT = re.compile(r"[$)]ENV\(", re.IGNORECASE)
"""``$ENV(…)``, or what becomes one when the macro before it gives a ``$``.

https://htcondor.readthedocs.io/en/latest/users-manual/submitting-a-job.html, "Function Macros".
"""
LISTS_OF_FILES = ("transfer_input_files", "transfer_output_files", "transfer_checkpoint_files")


def plain(name: str) -> str:
    """An attribute's name in small letters, by the name that we know it by."""
    small = name.strip().lower()
    return SAME_AS.get(small, small)


def check_attribute_name(name: Any) -> None:
    """Raises ``InvalidJob`` unless ``name`` can begin a line of a submit description, and is not ours or HTCondor's."""
    check_text("An attribute's name", name)
    match = NAME.fullmatch(name)
    if not match:
        raise InvalidJob(
            f"An attribute cannot be called {shown(name)}. Use letters, digits and “_”, "
            "after a “+” or “My.” if it is one of your own."
        )
    word = match["word"].lower()
    if word in WORDS_OF_THE_LANGUAGE and not match["own"]:
        how = "num_jobs" if word == "queue" else "the attributes that it leads to"
        raise InvalidJob(f"{name} is no attribute but a word of the submit language. Set {how} instead.")
    if word.startswith(OURS):
        raise InvalidJob(f"{name} is how this portal finds the job again. Choose another name.")
    if match["own"] and word in HTCONDORS_OWN:
        raise InvalidJob(f"{name} is set by HTCondor itself. Leave it out.")
    if match["own"] and word in LINES_FOR:
        raise InvalidJob(f"Set {LINES_FOR[word]} instead of {name}.")
    if plain(name) == "dagman_log":
        raise InvalidJob(f"{name} is set by DAGMan itself. Leave it out.")


def line(name: str, value: Any) -> str | None:
    """What stands right of ``name =``; None for a line that is left out, as an empty one is.

    A list becomes what HTCondor takes there: arguments and environment in its new syntax, files joined by commas.
    Raises ``InvalidJob`` for what would not stay on its line.
    """
    if value is None:
        return None
    if not isinstance(value, list | tuple):
        return scalar(name, value).strip() or None
    items = [check_item(name, each) for each in value]
    if not items:
        return None
    key = plain(name)
    if key in ("arguments", "environment"):
        return '"' + " ".join(map(_in_new_syntax, items)).replace('"', '""') + '"'
    if key.endswith("remaps"):
        return '"' + "; ".join(items) + '"'
    if key in LISTS_OF_FILES or key.startswith("transfer_"):
        for item in items:
            if "," in item or item != item.strip():
                raise InvalidJob(f"{name} has {shown(item)}: HTCondor takes no name with a comma. Rename the file.")
    return ", ".join(items)


def check_item(name: str, item: Any) -> str:
    """One text or number of a list. Raises ``InvalidJob`` if it is none, or would not stay on its line."""
    if isinstance(item, int | float):
        return str(item) if isinstance(item, bool) else scalar(name, item)
    if not isinstance(item, str):
        raise InvalidJob(f"{name} has {shown(item)} in its list. Give it texts.")
    return check_text(name, item)


def _in_new_syntax(item: str) -> str:
    if item and not re.search(r"[\s']", item):
        return item
    return "'" + item.replace("'", "''") + "'"


def lines(attributes: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The lines that are written for ``attributes``, as name and value."""
    for name, value in attributes.items():
        if (text := line(name, value)) is not None:
            yield name, text


def check_attributes(attributes: Any, variables: Mapping[str, Any] | None = None) -> None:
    """Raises ``InvalidJob`` for attributes that could not be written, or would say something else than they seem to.

    ``variables``: a node's, which its description can use as macros.
    """
    if not isinstance(attributes, Mapping):
        raise InvalidJob(f"attributes is {shown(attributes)}. Give it a dict.")
    seen: dict[str, str] = {}
    for name in attributes:
        check_attribute_name(name)
        if (other := seen.setdefault(re.sub(r"^\+", "my.", plain(name)), name)) != name:
            raise InvalidJob(f"{other} and {name} are the same line for HTCondor. Keep one of them.")
    values = macros(dict(lines(attributes)), variables or {})
    check_together(values)
    for name, value in attributes.items():
        if plain(name) == "priority" and isinstance(value, int):
            check_int(name, value)
    check_environment(values.get("getenv", "false"))
    for name in PATHS:
        check_written(name, values)
    check_remaps(values)


def macros(written: Mapping[str, str], variables: Mapping[str, Any]) -> dict[str, str]:
    """The values of macros in a description, by name in small letters. Its own lines outdo a node's variables."""
    given = {plain(name): scalar(name, value) for name, value in variables.items()}
    return {**given, **{plain(name): value for name, value in written.items()}}


def check_together(values: Mapping[str, str]) -> None:
    """Raises ``InvalidJob`` if macros go in circles, or any value is given what the portal's environment holds.

    ``values`` as of ``macros``: the macros of one may make a ``$ENV(…)`` out of pieces of others.
    """
    for name, text in values.items():
        check_no_environment(name, text)
        check_no_environment(name, value_of(name, values, partial(_unknown, name)))


def _unknown(name: str, match: re.Match[str]) -> str:
    check_no_environment(name, match[0])
    return "$" if match["function"] else ""  # a function may give anything; the worst that is short


def check_no_environment(what: str, text: str) -> None:
    """Raises ``InvalidJob`` for ``$ENV(…)``, which condor_submit replaces by a variable of the portal's environment."""
    if FROM_ENVIRONMENT.search(text):
        raise InvalidJob(
            f"{what} uses $ENV(…), which would copy the portal's environment to where everybody at the pool can read "
            "it. Write the value itself instead, or have getenv name the variable."
        )


def check_environment(getenv: str) -> None:
    """Raises ``InvalidJob`` if more of the environment would be copied than is named."""
    small = getenv.lower()
    if small in ("false", "f", "no", "0"):
        return
    if small in ("true", "t", "yes", "1") or not re.fullmatch(r"\w+(?:[,\s]+\w+)*", getenv):
        raise InvalidJob(
            "getenv would copy the portal's environment, secrets included, to where everybody at the pool can read it. "
            "Set environment instead, or have getenv name the variables."
        )


def check_written(name: str, values: Mapping[str, str]) -> None:
    """Raises ``InvalidJob`` if files would be written anywhere but in the job's own folder."""
    text = values.get(name, "")
    if not text or text == NOWHERE:
        return
    for empty in ("", "0"):
        path = value_of(name, values, lambda match, empty=empty: _in_path(name, match, empty))  # type: ignore[misc]
        if path.startswith(("/", "~", "|")) or ".." in path.split("/") or "$" in path:
            raise InvalidJob(
                f"{name} is {shown(text)}, which leads out of the job's own folder, or may. "
                "Give a path below it, without “..”."
            )


def _in_path(name: str, match: re.Match[str], empty: str) -> str:
    word = match["name"].strip().lower()
    if match["dollars"] == "$" and (
        match["function"].upper() == "INT" or (not match["function"] and word in KNOWN_WHEN_SUBMITTED)
    ):
        return "0"
    if match["dollars"] == "$" and not match["function"]:
        return match["default"] or empty
    raise InvalidJob(f"{name} uses {match[0]}, so nobody knows where its files will be. Write it without.")


def check_remaps(values: Mapping[str, str]) -> None:
    """Raises ``InvalidJob`` if an output file would be put anywhere but in the job's own folder."""
    text = value_of("transfer_output_remaps", values, lambda _: "")
    folder = value_of("initialdir", values, lambda _: "0") if values.get("initialdir") else "0"
    for target in remap_targets(text):
        if "://" in target:
            continue
        if target.startswith(("/", "~")) or posixpath.normpath(posixpath.join(folder, target)).startswith(".."):
            raise InvalidJob(
                f"transfer_output_remaps leads to {shown(target)}, out of the job's own folder. Choose one below it."
            )


def remap_targets(text: str) -> Sequence[str]:
    """Where ``transfer_output_remaps`` puts files."""
    pairs = (pair.partition("=") for pair in text.strip().strip('"').split(";"))
    return [target.strip() for _, sign, target in pairs if sign]
