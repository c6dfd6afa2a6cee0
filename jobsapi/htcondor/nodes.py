"""What can be said of a node in a DAG file.

https://htcondor.readthedocs.io/en/latest/automated-workflows/dagman-file-order.html and what follows it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from jobsapi.exceptions import InvalidJob
from jobsapi.htcondor.attributes import (
    PATHS,
    WORDS_OF_THE_LANGUAGE,
    check_attribute_name,
    check_no_environment,
    plain,
)
from jobsapi.htcondor.names import check_category, check_relative, check_word
from jobsapi.htcondor.values import INT32, check_int, check_text, scalar
from jobsapi.shown import shown

EXIT_CODES = (0, 255)
NUMBERS: Mapping[str, tuple[int, int]] = {
    "priority": (-INT32, INT32),
    "retry": (0, INT32),
    "retry_unless_exit_value": (-INT32, INT32),
    "pre_skip": EXIT_CODES,
    "abort_dag_on": (-INT32, INT32),
    "abort_dag_on_return_value": EXIT_CODES,
}
"""The smallest and largest that DAGMan reads, negative exit codes being signals."""
WITHOUT = {
    "FINAL": ("retry", "priority", "category", "abort_dag_on", "done"),
    "SPLICE": (
        *NUMBERS, "category", "pre_script", "post_script", "pre_script_args", "post_script_args", "variables",
        "noop", "done",
    ),
}  # fmt: skip
"""What DAGMan refuses for a kind of node, and the whole DAG with it."""


def check_node_options(node: Any) -> None:
    """Raises ``InvalidJob`` for options of a node that DAGMan would not take, or would take for something else."""
    for option in WITHOUT.get(node.keyword, ()):
        if is_set(node, option):
            raise InvalidJob(f"{node.name}: a {node.keyword} node takes no {option}. Leave it out.")
    for option, (least, most) in NUMBERS.items():
        if (value := getattr(node, option)) is not None:
            check_int(f"{node.name}: {option}", value, least, most)
    if node.abort_dag_on_return_value is not None and node.abort_dag_on is None:
        raise InvalidJob(f"{node.name}: abort_dag_on_return_value says nothing without abort_dag_on. Set that too.")
    for option in ("noop", "done"):
        if getattr(node, option) not in (True, False, None):  # "no" would count as yes
            raise InvalidJob(f"{node.name}: {option} is {shown(getattr(node, option))}. Give it True or False.")
    if node.category:
        check_category(f"{node.name}: category", node.category)
    for kind in ("pre_script", "post_script"):
        check_script(f"{node.name}: {kind}", getattr(node, kind), getattr(node, f"{kind}_args"))
    check_variables(node.name, node.variables or {})
    if node.dir:
        check_relative(f"{node.name}: dir", node.dir)
    if node.keyword in ("SUBDAG", "SPLICE"):
        if not node.dag_file:
            raise InvalidJob(f"{node.name}: a {node.keyword} node needs a dag_file. Name one of remote_input_files.")
        check_relative(f"{node.name}: dag_file", node.dag_file)


def is_set(node: Any, option: str) -> bool:
    """Whether a node says something by an option: ending the DAG on exit code 0 is something, no retry is nothing."""
    value = getattr(node, option)
    return value is not None if option.startswith("abort") or option == "pre_skip" else bool(value)


def check_script(what: str, path: Any, arguments: Any) -> None:
    """Raises ``InvalidJob`` for a script that DAGMan could not start as it is meant."""
    if not path:
        if arguments:
            raise InvalidJob(f"{what} has arguments but no program. Set it.")
        return
    check_text(what, path, limit=4096)
    check_word(what, path) if path.startswith("/") else check_relative(what, path)
    script_arguments(what, arguments)


def script_arguments(what: str, arguments: Any) -> str:
    """The arguments of a script as DAGMan reads them: parted by spaces, with no way to quote one."""
    if arguments in (None, ""):
        return ""
    if isinstance(arguments, str):
        return check_text(f"{what}_args", arguments)
    if not isinstance(arguments, list | tuple):
        raise InvalidJob(f"{what}_args is {shown(arguments)}. Give it text or a list of texts.")
    words = [scalar(f"{what}_args", each) for each in arguments]
    for word in words:
        if not word or re.search(r"\s", word):
            raise InvalidJob(
                f"{what}_args has {shown(word)} in it. DAGMan parts arguments at spaces and cannot pass an empty one, "
                "or one with spaces. Put it into a file."
            )
    return " ".join(words)


def check_variables(node: str, variables: Any) -> None:
    """Raises ``InvalidJob`` for macros that DAGMan could not hand to the description of ``node``, or must not."""
    if not isinstance(variables, Mapping):
        raise InvalidJob(f"{node}: variables is {shown(variables)}. Give it a dict.")
    seen: dict[str, str] = {}
    for name, value in variables.items():
        try:
            check_attribute_name(name)
        except InvalidJob as error:
            raise InvalidJob(f"{node}: {error}") from error
        small = plain(name)
        if small.startswith("queue") or small in WORDS_OF_THE_LANGUAGE:
            raise InvalidJob(f"{node}: DAGMan takes no variable called {name}. Choose another name.")
        if small in PATHS:
            raise InvalidJob(f"{node}: {name} says where files are written. Set it in attributes, not in variables.")
        if (other := seen.setdefault(re.sub(r"^\+", "my.", small), name)) != name:
            raise InvalidJob(f"{node}: {other} and {name} are the same variable for HTCondor. Keep one of them.")
        check_no_environment(f"{node}: {name}", scalar(f"{node}: {name}", value))


def check_max_jobs(max_jobs: Any) -> None:
    """Raises ``InvalidJob`` unless every category has a limit with which its nodes run some time."""
    if not isinstance(max_jobs, Mapping):
        raise InvalidJob(f"max_jobs is {shown(max_jobs)}. Give it a dict, of categories and numbers.")
    for category, number in max_jobs.items():
        check_category("A category of max_jobs", category)
        check_int(f"max_jobs of {category}", number, 1)
