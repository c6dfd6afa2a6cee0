"""The documentation says what the code does."""

from __future__ import annotations

import importlib
import re
import tomllib
from collections import Counter
from types import ModuleType
from typing import Any

import pytest
from django.core.management import get_commands
from markdown_it import MarkdownIt
from packaging.requirements import Requirement

from jobsapi import conf
from jobsapi.models import CondorJob, CondorScheduler, CondorWorkflow, CondorWorkflowNode, DaskJob, DaskScheduler, Job
from tests.docs.blocks import DOCS, PAGES, ROOT

INTERNAL = {
    *("absorb", "backend_class", "from_db", "kinds", "refresh_from_db"),  # how a row becomes an instance
    *("transition", "observe_many", "event", "open_input"),  # what the worker calls
    *("backend_state", "cleanup_pending", "requested", "submit_started_at"),  # what the worker keeps
    *("registry", "user_columns", "worker_hint"),
    "encrypted_again",  # for a change of keys
    *("standing", "report", "request_check", "ask_for_newer_logs", "is_limited"),  # for pages
    *("attempt_in_folder", "claim_folder", "files_are_here", "folder_mark", "graph", "resubmitted"),  # for the backend
    *("check_description", "comes_after", "request_part", "require_reporting"),  # what commands and checks are made of
    *("reported_at", "take_report"),  # how a report is kept
}
"""Names of jobs, nodes and schedulers that have a docstring and are nobody's business but our own."""


def maker(name: str, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script in ``docs`` that makes a page."""
    monkeypatch.syspath_prepend(DOCS)
    return importlib.import_module(name)


@pytest.mark.parametrize("name", ["make_status", "make_life"])
def test_a_page_and_its_picture_are_as_the_code_makes_them(name, monkeypatch):
    make = maker(name, monkeypatch)

    assert make.PAGE.read_text() == make.page(), f"run python docs/{name}.py"
    assert make.PICTURE.read_text() == make.picture(), f"run python docs/{name}.py"


def test_the_picture_of_statuses_shows_every_edge_of_the_table_once_and_no_other(monkeypatch):
    make = maker("make_status", monkeypatch)

    drawn = Counter(edge for arrow in make.arrows() for edge in arrow.edges())

    assert set(drawn) == make.edges()
    assert set(drawn.values()) == {1}


def test_every_setting_is_documented_with_its_name():
    documented = set(
        re.findall(r"^\| `([A-Z_]+)` \|", (DOCS / "settings.md").read_text().split("## The portal")[0], re.M)
    )

    assert documented == set(conf.DEFAULTS)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_page_links_to_what_is_there(page):
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if "://" not in link and not link.startswith("#"):
            assert (page.parent / link.partition("#")[0]).exists(), link


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_what_a_page_names_in_passing_is_there(page):
    for code in spans(page.read_text()):
        if re.fullmatch(r"jobsapi\.[EWI]\d+", code):
            sources = [*(ROOT / "jobsapi" / "checks").glob("*.py"), ROOT / "worker" / "checks.py"]
            assert code in "".join(path.read_text() for path in sources), code
        elif re.fullmatch(r"jobsapi[\w@-]*\.(env|target|service)", code):
            assert (ROOT / "systemd" / code).exists() or (ROOT / "systemd" / f"{code}.example").exists(), code
        elif name := re.fullmatch(r"@?((?:jobsapi|worker)(?:\.\w+)+)(?:\(.*\))?", code):
            assert found(name[1]), code
        elif code.startswith(("from jobsapi", "import jobsapi")):
            exec(code.replace(", …", ""), {})
        elif re.fullmatch(r"(jobsapi|worker|docs|tests|scripts|docker|benchmarks)/[\w./-]+", code):
            assert (ROOT / code).exists(), code
        elif target := re.match(r"make ([a-z-]+)", code):
            assert re.search(rf"^{target[1]}:", (ROOT / "Makefile").read_text(), re.M), code
        elif package := re.fullmatch(r'pip install "?(jobsapi[^"]*)"?', code):
            extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
            assert Requirement(package[1]).extras <= set(extras), code
        elif command := re.match(r"(?:python )?manage\.py (\w+)", code):
            assert command[1] in get_commands(), code


def spans(text: str) -> list[str]:
    """What is set in code within the text of a page."""
    inline = [token for token in MarkdownIt().enable("table").parse(text) if token.type == "inline"]
    return [child.content for token in inline for child in token.children or [] if child.type == "code_inline"]


def found(name: str) -> Any:
    """The module or attribute of that dotted name; None if there is none."""
    for split in range(name.count(".") + 1, 0, -1):
        parts = name.split(".")
        try:
            thing: Any = importlib.import_module(".".join(parts[:split]))
        except ModuleNotFoundError:
            continue
        for part in parts[split:]:
            thing = getattr(thing, part, None)
        return thing
    return None


NODES = CondorWorkflowNode.registry.values()


@pytest.mark.parametrize(
    "cls",
    [Job, DaskJob, DaskScheduler, CondorJob, CondorWorkflow, CondorScheduler, *NODES],
    ids=lambda cls: cls.__name__,
)
def test_every_public_name_of_a_job_node_or_scheduler_is_in_the_api_or_said_to_be_internal(cls):
    described = set(re.findall(r"\w+", (DOCS / "api.rst").read_text()))
    ours = [base for base in cls.__mro__ if base.__module__.startswith("jobsapi.")]
    public = {name for base in ours for name, value in vars(base).items() if not name.startswith("_") and speaks(value)}

    assert public - described - INTERNAL == set()


def speaks(value: Any) -> bool:
    """Whether it is a method or a property with a docstring of its own."""
    function = getattr(value, "fget", None) or getattr(value, "__func__", value)
    return bool(getattr(value, "__doc__", None)) and getattr(function, "__module__", "").startswith("jobsapi.")
