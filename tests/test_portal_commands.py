"""The demo, the containers and the units run the same code: their commands differ in addresses and paths alone."""

from __future__ import annotations

import json
import os
import re
import shlex
import sys
from pathlib import Path

import pytest

from jobsapi.portal.demo import ground, processes
from tests.docker import files
from tests.systemd import units

PLACES = ("--host", "--port", "--address", "--dashboard-address", "--schedule", "--local-directory", "--db")
"""Options that say where something listens or lies."""
HERE = Path("/nonexistent")


def essence(command: list[str]) -> list[str]:
    """A command without its Python and without what says where."""
    words = iter([word for word in command[1:] if word])
    kept = []
    for word in words:
        option, _, value = word.partition("=")
        if option not in PLACES:
            kept.append(re.sub(r"^tcp://\S+$", "tcp://", word))
        elif not value:
            next(words)
    return kept


def demo() -> dict[str, list[str]]:
    """The commands of the demo, by the names that the services have."""
    control, work, beat = processes.celery(HERE)
    commands = {
        "migrate": processes.migrate(),
        "web": processes.web_server(1),
        "control": control,
        "work": work,
        "beat": beat,
        "flower": processes.flower(1, HERE),
        "dask-scheduler": processes.dask_scheduler(1, 2, dashboard=False),
        "dask-worker": processes.dask_worker(1, HERE),
    }
    assert {command.argv[0] for command in commands.values()} == {sys.executable}
    return {name: essence(list(command.argv)) for name, command in commands.items()}


def containers() -> dict[str, list[str]]:
    own = {name: service for name, service in files.services().items() if service["image"].startswith("jobsapi:")}
    assert {service["command"][0] for service in own.values()} == {"python"}
    return {name: essence(service["command"]) for name, service in own.items()}


def of_units() -> dict[str, list[str]]:
    """With the defaults that each unit has for its variables."""
    found = {}
    for name in units.names():
        defaults = dict(word.split("=", 1) for line in units.lines(name, "Environment") for word in line.split())
        for number, line in enumerate(units.lines(name, "ExecStart")):
            said = re.sub(r"\$\{(\w+)\}", lambda match: defaults[match[1]], line.replace("%%", "%"))  # noqa: B023
            key = name.removeprefix("jobsapi-").removesuffix(".service").removesuffix("@1")
            command = shlex.split(said)
            assert command[0] == "/opt/jobsapi/bin/python"
            found[key if number == 0 else "static"] = essence(command)
    return found


@pytest.mark.parametrize("name", sorted(demo()))
def test_each_process_of_the_demo_is_the_same_in_a_container_and_as_a_unit(name):
    assert containers()[name] == demo()[name]
    assert of_units()[name] == demo()[name]


def test_containers_and_units_add_only_the_collecting_of_static_files():
    collect = ["-m", "django", "collectstatic", "--no-input"]
    assert containers() == {**demo(), "static": collect}
    assert of_units() == {**demo(), "static": collect}


def test_the_image_runs_the_site_when_it_is_told_nothing():
    said = re.search(r"^CMD (.*)$", (files.FOLDER / "Dockerfile").read_text(), re.M)
    assert said
    assert json.loads(said[1]) == files.services()["web"]["command"]


def test_the_demo_differs_from_a_site_in_nothing_but_variables_that_any_site_may_set(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "environ", {})
    variables = ground.environment(tmp_path)
    assert variables["JOBSAPI_APPS"] == "jobsapi.portal.samples"
    documented = (units.FOLDER.parent / "docs" / "settings.md").read_text()
    python = {"PYTHONPATH", "PYTHONUNBUFFERED", "DJANGO_SETTINGS_MODULE"}
    assert [name for name in variables if name not in python and f"`{name}`" not in documented] == []
