"""Becomes one container: ``unshare --mount --uts python -m tests.docker.box SPEC``, as root, in namespaces of a test.

What a container of Compose has, the process that comes of it has too: a root file system of its own that it cannot
write to, its volumes, secrets and tmpfs, an unprivileged user, no capability and no way to get one, and its variables
only. It has no image: its root is this machine's, with the virtual environment where the image would have it.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

HIDDEN = ("tmp", "run", "var/tmp", "var/lib/jobsapi", "dev/shm")
"""What of this machine's a container would not see."""


def main(spec: dict[str, Any]) -> None:
    """Does not return: it becomes the command of the service."""
    socket.sethostname(spec["name"])
    os.chroot(built(spec))
    os.chdir(spec["workdir"])
    os.execve("/usr/bin/setpriv", [*unprivileged(spec["user"]), *spec["command"]], spec["environment"])


def built(spec: dict[str, Any]) -> Path:
    """The root file system, with all that lies on it. It is gone with the namespace."""
    ground = Path(spec["ground"])
    ground.mkdir(parents=True)
    mount("-t", "tmpfs", "none", ground)
    upper, work, root = (ground / name for name in ("upper", "work", "root"))
    for folder in (upper, work, root):
        folder.mkdir()
    mount("-t", "overlay", "overlay", "-o", f"lowerdir=/,upperdir={upper},workdir={work}", root)
    for path in spec["visible"]:
        for folder in Path(path).parents[:-1]:  # Python may be installed in somebody's home
            inside = root / folder.relative_to("/")
            inside.chmod(inside.stat().st_mode | 0o055)
    bind("/dev", root / "dev")
    for name in HIDDEN:
        (root / name).mkdir(parents=True, exist_ok=True)
        mount("-t", "tmpfs", "none", root / name)
    mount("-t", "proc", "proc", root / "proc")
    for path, content in spec["files"].items():
        below(root, path).write_text(content)
    for source, target, *options in [*((path, path, "-o", "ro") for path in spec["visible"]), *spec["binds"]]:
        bind(source, below(root, target), *options)
    tmpfs = [(below(root, path), options) for path, _, options in (each.partition(":") for each in spec["tmpfs"])]
    for target, _ in tmpfs:
        target.mkdir(parents=True, exist_ok=True)
    for path in (root / "tmp", root / "run", root / "var/tmp", root / "var/lib/jobsapi", root):
        mount("-o", "remount,ro", path)
    for target, options in tmpfs:
        mount("-t", "tmpfs", "-o", options or "mode=1777", "none", target)
    return root


def mount(*words: str | Path) -> None:
    subprocess.run(["mount", *map(str, words)], check=True)


def bind(source: str, target: Path, *options: str) -> None:
    """Show ``source`` at ``target``, made if it is not there."""
    if Path(source).is_dir():
        target.mkdir(parents=True, exist_ok=True)
    else:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.touch()
    mount("--bind", *options, source, target)


def below(root: Path, path: str) -> Path:
    return root / path.lstrip("/")


def unprivileged(user: str) -> list[str]:
    """How ``user: …``, ``cap_drop: [ALL]`` and ``no-new-privileges`` are said to setpriv(1)."""
    return [
        *("setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups"),
        *("--no-new-privs", "--bounding-set=-all", "--inh-caps=-all", "--"),
    ]


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text()))
