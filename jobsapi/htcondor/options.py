"""Options of condor_submit and condor_submit_dag that a job may bring."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from jobsapi.exceptions import InvalidJob
from jobsapi.htcondor.attributes import (
    PATHS,
    check_attribute_name,
    check_environment,
    check_no_environment,
    check_together,
    plain,
)
from jobsapi.htcondor.values import check_int, check_text
from jobsapi.shown import shown

FOR_JOBS: Mapping[str, type | None] = {
    "-append": str, "-a": str, "-batch-name": str, "-disable": None, "-single-cluster": None,
    "-unused": None, "-allow-crlf-script": None, "-maxjobs": int,
}  # fmt: skip
"""https://htcondor.readthedocs.io/en/latest/man-pages/condor_submit.html; an option and what its value is."""
FOR_DAGS: Mapping[str, type | None] = {
    "-append": str, "-batch-name": str, "-maxidle": int, "-maxjobs": int, "-maxpre": int, "-maxpost": int,
    "-maxhold": int, "-priority": int, "-debug": int, "-autorescue": int, "-dorescuefrom": int, "-force": None,
    "-f": None, "-alwaysrunpost": None, "-dontalwaysrunpost": None, "-notification": str,
    "-suppress_notification": None, "-dont_suppress_notification": None, "-submitmethod": int,
    "-allowversionmismatch": None, "-verbose": None, "-v": None,
}  # fmt: skip
"""https://htcondor.readthedocs.io/en/latest/man-pages/condor_submit_dag.html

Those that are left out send the job to another schedd, hand over the portal's environment, or change what is printed.
"""

APPENDING = ("-append", "-a")
DAGMANS_OWN = ("arguments", "environment", "universe", "on_exit_remove")
"""Lines by which condor_submit_dag tells DAGMan what to run, and the schedd when to run it again."""


def check_options(options: Any, for_dag: bool) -> None:
    """Raises ``InvalidJob`` for options of the command that submits a job which it should not have.

    ``for_dag``: the command is condor_submit_dag.
    """
    check_together(appended(options, for_dag=for_dag))


def appended(options: Any, for_dag: bool) -> dict[str, str]:
    """The lines that options append, by name in small letters. Raises as ``check_options``."""
    lines = {}
    for option, value in read_options(options, for_dag=for_dag):
        if option in APPENDING and value is not None:
            name, _, text = value.partition("=")
            lines[plain(name)] = text.strip()
    return lines


def read_options(options: Any, for_dag: bool) -> Iterator[tuple[str, str | None]]:
    """The options in small letters, each with its value. Raises as ``check_options``."""
    if isinstance(options, str) or not isinstance(options, Sequence):
        raise InvalidJob(f"The options are {shown(options)}. Give a list of texts.")
    allowed, command = (FOR_DAGS, "condor_submit_dag") if for_dag else (FOR_JOBS, "condor_submit")
    words = iter(options)
    for word in words:
        check_text("An option", word)
        name = word.lower()
        if name not in allowed:
            raise InvalidJob(
                f"{shown(word)} is no option that a job may give to {command}. These are: {', '.join(sorted(allowed))}."
            )
        value = next(words, None) if allowed[name] else None
        if allowed[name]:
            if value is None:
                raise InvalidJob(f"The option {word} needs a value after it.")
            check_text(f"The value of {word}", value)
            check_no_environment(f"The value of {word}", value)
        if allowed[name] is int:
            check_number(word, str(value))
        if name in APPENDING:
            check_appended(str(value), DAGMANS_OWN if for_dag else ())
        yield name, value


def check_number(option: str, value: str) -> None:
    """Raises ``InvalidJob`` unless ``value`` is a whole number."""
    if not re.fullmatch(r"-?\d{1,10}", value):
        raise InvalidJob(f"The value of {option} is {shown(value)}. Give a whole number.")
    check_int(f"The value of {option}", int(value))


def check_appended(text: str, others: Collection[str]) -> None:
    """Raises ``InvalidJob`` unless ``text`` is one line of a submit description that may be changed from outside it.

    ``others``: further lines that may not.
    """
    name, sign, value = text.partition("=")
    name = name.strip()
    if not sign:
        raise InvalidJob(f"{shown(text)} cannot be appended. Give it as “name = value”.")
    check_attribute_name(name)
    if plain(name) in (*PATHS, "transfer_output_remaps", "executable", "job_name", *others):
        raise InvalidJob(f"{name} cannot be appended by an option. Leave it out, or set it in attributes.")
    if plain(name) == "getenv":
        check_environment(value.strip())
