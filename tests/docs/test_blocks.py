"""Every block of code in the documentation is run."""

from __future__ import annotations

import sys

import pytest

from jobsapi.portal.demo import processes
from jobsapi.portal.supervisor import Command as Process
from jobsapi.portal.supervisor import Supervisor
from tests.docs import commands
from tests.docs.blocks import PAGES, ROOT, Block, all_blocks, blocks_of
from tests.rig.services import folder

KINDS = {"python", "sh", "html+django", "css", "text", "{toctree}"}

ILLUSTRATIONS = {"docs/htcondor.md": {"depth-7/                    job.folder: what it is given, side by side"}}
"""The first lines of the ``text`` blocks of each page: what nothing can run. Keep it short."""

COMMANDS = [
    command
    for block in all_blocks()
    if block.kind == "sh" and block.file is None
    for command in commands.commands_of(block)
]
RUN = [
    page
    for page in PAGES
    if any(block.kind == "python" for block in blocks_of(page))
    or any(command.block.page == page and command.program == "python" for command in COMMANDS)
]
CELERY = {str(command): command for command in COMMANDS if command.program == "celery"}


def place(block: Block) -> str:
    return block.place


@pytest.mark.parametrize("block", all_blocks(), ids=place)
def test_every_block_is_of_a_kind_that_is_run(block):
    assert block.kind in KINDS, f"{block.place}: tests/docs/__init__.py says which kinds there are"


def test_the_illustrations_are_those_few():
    found: dict[str, set[str]] = {}
    for block in all_blocks():
        if block.kind == "text":
            found.setdefault(str(block.page.relative_to(ROOT)), set()).add(block.first_line)

    assert found == ILLUSTRATIONS


@pytest.mark.timeout(300)
@pytest.mark.parametrize("page", RUN, ids=lambda page: page.name)
def test_a_page_does_what_it_says(page, project_of):
    project = project_of(page)
    for command in COMMANDS:
        if command.block.page == page and command.program == "python":
            project.manage(command)
    project.run_python()


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: f"{command.block.place} {command}")
def test_a_command_is_right(command):
    commands.check(command)


@pytest.mark.services
@pytest.mark.parametrize("command", CELERY.values(), ids=str)
def test_a_command_of_celery_starts_in_a_project(command, project_of, tmp_path):
    project = project_of(command.block.page)
    started = "beat: Starting" if "beat" in command.words else " ready."
    with folder() as home, Supervisor(tmp_path / "logs") as supervisor:
        broker = home / "valkey.sock"
        supervisor.wait_until(supervisor.start(processes.valkey(broker)), lambda: processes.answers(broker))
        process = supervisor.start(
            Process(
                name="celery",
                argv=[sys.executable, "-m", "celery", *command.words[1:], "--loglevel", "INFO"],
                env={**project.environment, "REHEARSAL_BROKER": f"redis+socket://{broker}"},
                cwd=project.folder,
            )
        )
        supervisor.wait_until(process, lambda: started in process.tail(200))
