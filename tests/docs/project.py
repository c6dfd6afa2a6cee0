"""The Django project that a page is run in: what ``startproject`` makes, and what the pages say to add to it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.docs.blocks import DOCS, ROOT, Block, blocks_of
from tests.docs.commands import Command

FLOOD = Path(__file__).with_name("flood")
OWN_PROJECT = DOCS / "your_project.md"
"""The page that says what to add to a project; all others take it as said."""

ONLY_PARSED = {"accept_host_key", "createsuperuser", "give_up_scheduler", "reconcile", "runserver"}
"""Commands of ``manage.py`` that ask, need what no page has, or do not end."""

BEFORE_TABLES = {"makemigrations", "migrate"}

PARSE = """
import sys, django
django.setup()
from django.core.management import get_commands, load_command_class
name, *arguments = sys.argv[1:]
load_command_class(get_commands()[name], name).create_parser("manage.py", name).parse_args(arguments)
"""

REHEARSAL = """
from mysite.settings import *

import os
from pathlib import Path

INSTALLED_APPS = [*INSTALLED_APPS, *[app for app in ["flood"] if app not in INSTALLED_APPS]]
ALLOWED_HOSTS = ["testserver"]
CELERY_BROKER_URL = os.environ.get("REHEARSAL_BROKER", CELERY_BROKER_URL)
JOBSAPI = {
    **globals().get("JOBSAPI", {}),
    "DISPATCHER": "jobsapi.dispatch.ImmediateDispatcher",
    "REFRESH_INTERVAL": 0.1,
    "WORKSPACE_ROOT": os.environ.get("REHEARSAL_WORKSPACES", BASE_DIR / "workspaces"),
}
"""
"""The project's settings, with messages that are worked off at once and without waiting."""


class Project:
    """A project in ``folder``, with the files of the page's blocks."""

    def __init__(self, folder: Path, page: Path, added: Mapping[str, str] | None = None) -> None:
        """``added`` is put into the environment of what is run."""
        self.folder, self.page, self.added = folder, page, added or {}
        self._has_tables = False
        self.run("-m", "django", "startproject", "mysite", ".")
        shutil.copytree(FLOOD, folder / "flood")
        files = [block for block in blocks_of(page) if block.file]
        if not any("INSTALLED_APPS" in block.source for block in files):
            files = [*(block for block in blocks_of(OWN_PROJECT) if block.file), *files]
        for block in files:
            self._write(block)
        (folder / "rehearsal.py").write_text(REHEARSAL)

    @property
    def environment(self) -> dict[str, str]:
        """For processes that shall belong to the project."""
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "PYTHONPATH": f"{self.folder}:{ROOT}",
            "DJANGO_SETTINGS_MODULE": "rehearsal",
            "PYTHONUNBUFFERED": "1",
            **self.added,
        }

    def run(self, *arguments: str, text: str | None = None) -> str:
        """Run Python in the project; what it prints. Fails the test with its words if it does not end well."""
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=self.folder,
            env=self.environment,
            input=text,
            capture_output=True,
            text=True,
            timeout=250,
            check=False,
        )
        assert done.returncode == 0, f"{' '.join(arguments)}\n{done.stdout}{done.stderr}"
        return done.stdout

    def manage(self, command: Command) -> None:
        """Run ``python manage.py ...``, or only parse the arguments of a command that asks or does not end."""
        assert command.words[:2] == ("python", "manage.py"), str(command)
        if command.words[2] in ONLY_PARSED:
            self.run("-c", PARSE, *command.words[2:])
            return
        if command.words[2] not in BEFORE_TABLES and not self._has_tables:
            self.run("manage.py", "migrate", "--verbosity", "0")
            self._has_tables = True
        self.run(*command.words[1:])
        if command.words[2] in BEFORE_TABLES:
            self._has_tables = command.words[2:] == ("migrate",)

    def run_python(self) -> None:
        """Run the page's blocks of Python, then look at what must hold afterwards."""
        python = [block for block in blocks_of(self.page) if block.kind == "python"]
        task = {
            "page": str(self.page),
            "modules": [block.file.removesuffix(".py").replace("/", ".") for block in python if block.file],
            "blocks": [(block.line, block.source) for block in python if not block.file],
        }
        self.run("-m", "tests.docs.run_page", text=json.dumps(task))

    def _write(self, block: Block) -> None:
        assert block.file
        path = self.folder / block.file
        path.parent.mkdir(parents=True, exist_ok=True)
        added = f"\n\n{path.read_text()}" if path.exists() and block.file.startswith("mysite/") else ""
        path.write_text(f"{added.strip()}\n{block.source}" if added else block.source)
        if path.suffix == ".sh":
            path.chmod(0o755)
