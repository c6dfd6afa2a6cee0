"""What the files in ``docker/`` say: the Compose file as docker-compose itself reads it, the Dockerfile's variables."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from collections.abc import Mapping
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from jobsapi.portal.demo import ROOT

FOLDER = ROOT / "docker"
BIN = Path(sys.executable).parent


def compose(*arguments: str, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """``docker-compose`` on our file with the settings of the example. It needs no engine to read and check a file.

    The program itself: what pip puts beside it into ``bin`` ends well whatever happens.
    """
    package = find_spec("compose")
    assert package is not None
    assert package.origin is not None
    return subprocess.run(
        [
            Path(package.origin).with_name("docker-compose"),
            "-f",
            FOLDER / "compose.yaml",
            "--env-file",
            FOLDER / ".env.example",
            *arguments,
        ],
        env={"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", **(env or {})},
        capture_output=True,
        text=True,
        check=False,
    )


@cache
def services() -> dict[str, dict[str, Any]]:
    """Every service, with anchors, defaults and variables filled in, and in a hurry."""
    shown = compose("config", "--format", "json", env={"JOBSAPI_REFRESH_INTERVAL": "1"})
    assert shown.returncode == 0, shown.stderr
    found: dict[str, dict[str, Any]] = json.loads(shown.stdout.replace("$$", "$"))["services"]
    return found


def ends(service: Mapping[str, Any]) -> bool:
    """Whether it does its work and ends, before others start."""
    return bool(service["restart"] == "no")


def health_command(service: Mapping[str, Any]) -> list[str]:
    """What Docker runs in the container for the health check."""
    kind, *words = service["healthcheck"]["test"]
    return words if kind == "CMD" else ["/bin/sh", "-c", *words]


@cache
def image_variables() -> dict[str, str]:
    """What ENV says in the last stage of the Dockerfile."""
    last = (FOLDER / "Dockerfile").read_text().replace("\\\n", " ").rpartition("\nFROM ")[2]
    words = [word for line in re.findall(r"^ENV (.*)$", last, re.M) for word in shlex.split(line)]
    return dict(word.split("=", 1) for word in words)
