"""The commands of the pages, and how each program's are checked."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise

from django.core.management import get_commands
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.docker import commands as of_install
from tests.docs.blocks import DOCS, ROOT, Block

JOINTS = {"&&", "||", "|", ";"}
ASSIGNMENT = re.compile(r"([A-Z_]+)=(.*)$", re.S)


@dataclass(frozen=True)
class Command:
    """One command of a block, as its words; ``environment`` stands before it."""

    block: Block
    environment: tuple[tuple[str, str], ...]
    words: tuple[str, ...]

    @property
    def program(self) -> str:
        """What is run, without the folder of a virtual environment."""
        return self.words[0].removeprefix(".venv/bin/")

    def __str__(self) -> str:
        return shlex.join(self.words)


def commands_of(block: Block) -> Iterator[Command]:
    """The commands of a block of shell, each once for every program in a pipe or a chain."""
    for line in block.source.replace("\\\n", " ").splitlines():
        lexer = shlex.shlex(line, posix=True, punctuation_chars=";&|")
        lexer.whitespace_split = True
        part: list[str] = []
        for word in [*lexer, ";"]:
            if word not in JOINTS:
                part.append(word)
            elif part:
                yield _command(block, part)
                part = []


def _command(block: Block, words: list[str]) -> Command:
    environment = []
    while words and (found := ASSIGNMENT.match(words[0])):
        environment.append((found[1], found[2]))
        words = words[1:]
    return Command(block, tuple(environment), tuple(words))


def check(command: Command) -> None:
    """Fail unless the command would do what it says. Those that a project runs for real are not looked at here."""
    for name, _ in command.environment:
        known_variable(name)
    assert command.program in CHECKS, f"Nobody knows how to check {command.program!r}: teach tests/docs/commands.py."
    CHECKS[command.program](command)


def known_variable(name: str) -> None:
    """Fail unless an environment variable means something here."""
    documented = set(re.findall(r"`([A-Z_]+)`", (DOCS / "settings.md").read_text()))
    assert name in documented | {"DJANGO_SETTINGS_MODULE", "CI"}, f"{name} is not in docs/settings.md"


def make(command: Command) -> None:
    """The target is there."""
    targets = re.findall(r"^([a-z-]+):.* ##", (ROOT / "Makefile").read_text(), re.M)
    goals = [word for word in command.words[1:] if "=" not in word]
    assert goals, "make without a target"
    assert set(goals) <= set(targets), f"no such target: {goals}"
    subprocess.run(["make", "--dry-run", *command.words[1:]], cwd=ROOT, check=True, capture_output=True)


def pip(command: Command) -> None:
    """What is installed is ours, with extras that exist, or a package that the project knows."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    known = {canonicalize_name(line.partition("==")[0]) for line in (ROOT / "constraints.txt").read_text().splitlines()}
    assert command.words[1] == "install", str(command)
    words = iter(command.words[2:])
    for word in words:
        if word in ("-c", "-r"):
            assert (ROOT / next(words)).is_file(), str(command)
        elif not word.startswith("-"):
            requirement = Requirement(re.sub(r"^\.(?=\[|$)", "jobsapi", word))
            name = canonicalize_name(requirement.name)
            assert name == "jobsapi" or name in known, f"{name} is not in constraints.txt"
            if name == "jobsapi":
                assert requirement.extras <= set(project["optional-dependencies"]), f"no such extra: {word}"


def export(command: Command) -> None:
    """What is set means something."""
    for word in command.words[1:]:
        known_variable(word.partition("=")[0])


def script(command: Command) -> None:
    """The file is there, can be run, and has no mistake of syntax."""
    path = ROOT / command.words[0]
    assert os.access(path, os.X_OK), f"{path} cannot be run"
    subprocess.run(["bash", "-n", path], check=True)


def in_project(command: Command) -> None:
    """Nothing here: the test of its page runs it."""


def sudo(command: Command) -> None:
    """What root is asked to do is right."""
    check(Command(command.block, command.environment, command.words[1:]))


def useradd(command: Command) -> None:
    """The account is the one that the units run as."""
    assert f"User={command.words[-1]}\n" in units(), str(command)


def python3(command: Command) -> None:
    """The venv is where the units look for it."""
    assert command.words[1:3] == ("-m", "venv"), str(command)
    assert f"={command.words[3]}/bin/python " in units(), str(command)


def systemd_run(command: Command) -> None:
    """The unit gets the portal's settings by its name, and what it runs is a command of Django's."""
    options = dict(pairwise(command.words))
    assert options["--unit"].startswith("jobsapi-"), str(command)
    assert options["django"] in get_commands(), str(command)


def units() -> str:
    """The text of all units."""
    return "\n".join(path.read_text() for path in (ROOT / "systemd").rglob("*") if path.is_file())


def restored(command: Command) -> None:
    """Nothing here: the test of backups runs those of the page about operations, and no other page has any."""
    assert command.block.page == DOCS / "operations.md", str(command)


PROJECT_PROGRAMS = ("python", "celery")

CHECKS: dict[str, Callable[[Command], None]] = {
    "make": make,
    "pip": pip,
    "export": export,
    "scripts/install-test-services": script,
    "docker/make-secrets": script,
    "/opt/jobsapi/bin/pip": pip,
    "sudo": sudo,
    **{name: lambda command, of=of: of(command.words) for name, of in of_install.CHECKS.items()},
    "useradd": useradd,
    "python3": python3,
    "systemd-run": systemd_run,
    **dict.fromkeys(("install", "mkdir", "pg_dump", "pg_restore", "tar"), restored),
    **dict.fromkeys(PROJECT_PROGRAMS, in_project),
}
"""How to check the commands of each program; a program that is not here fails."""
