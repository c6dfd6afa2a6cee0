"""The HTCondor pool of the demo: its own with ``--condor``, else the one whose tools are on the PATH, if any are."""

from __future__ import annotations

import importlib.util
import os
import shlex
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import replace
from hashlib import blake2b
from pathlib import Path

from jobsapi.portal.demo import ROOT, DemoError
from jobsapi.portal.supervisor import Command, Supervisor

SCRIPT = ROOT / "scripts" / "htcondor-pool"
TOOLS = ("condor_submit", "condor_q")
OUR_OWN = f'our own; to look at it: eval "$({SCRIPT.relative_to(ROOT)} env)"; condor_q -allusers'
ANSWER_WITHIN = 10.0
"""Seconds that a pool on the PATH has to answer."""


def own_pool(supervisor: Supervisor) -> str:
    """Start a pool that ends with the demo, and put its tools on the PATH. Returns what to say of it.

    It is fetched first if this machine has none. Raises ``DemoError`` or ``SupervisorError``.
    """
    if not SCRIPT.exists():
        raise DemoError(f"There is no {SCRIPT}: --condor needs a checkout of the project.")
    _require_libraries("--condor needs")
    supervisor.run(Command(name="htcondor-install", argv=[str(SCRIPT), "install"]), timeout=600)
    command = Command(name="htcondor", argv=[str(SCRIPT), "run"], restart=True, grace=45.0)
    pool = supervisor.start(command)
    supervisor.wait_until(pool, lambda: "htcondor-pool: ready" in pool.tail(), timeout=90)
    told = subprocess.run([SCRIPT, "env"], check=True, capture_output=True, text=True).stdout
    variables = exported(told)
    os.environ.update(CONDOR_CONFIG=variables["CONDOR_CONFIG"], PATH=variables["PATH"])
    return OUR_OWN


def found_pool() -> str:
    """What to say of the pool whose tools are on the PATH; nothing when there are none.

    Raises ``DemoError`` when they are there and cannot be used.
    """
    submit, queue = map(shutil.which, TOOLS)
    if not submit or not queue:
        return ""
    _require_libraries(f"{submit} is on the PATH, so the demo would use that pool; for this it needs")
    try:
        subprocess.run([queue, "-totals"], check=True, capture_output=True, text=True, timeout=ANSWER_WITHIN)
    except subprocess.TimeoutExpired:
        raise DemoError(f"{queue} is on the PATH, but its pool does not answer within {ANSWER_WITHIN:.0f} s.") from None
    except (OSError, subprocess.CalledProcessError) as error:
        said = (getattr(error, "stderr", "") or str(error)).strip()
        raise DemoError(f"{queue} is on the PATH, but its pool cannot be used: {said}.") from error
    return f"the pool of {submit}"


def exported(script: str) -> dict[str, str]:
    """The variables that lines like ``export NAME='value':"$PATH"`` would set."""
    lines = (line.removeprefix("export ").partition("=") for line in script.splitlines())
    return {name: "".join(shlex.split(value)).replace("$PATH", os.environ["PATH"]) for name, _, value in lines}


def jobs_are_another_account_s() -> bool:
    """Whether the pool's jobs run as somebody else than the demo: HTCondor runs none for root."""
    return os.geteuid() == 0


def open_workspaces(var: Path) -> None:
    """Have the workspaces of the portal in ``var`` where an account that may not enter it finds them, and may write.

    The database and all else stay where they are, for the demo's own eyes; ``var/workspaces`` becomes a link.
    """
    link = var / "workspaces"
    if not link.is_symlink():
        place = _open_place(var) / "workspaces"
        if link.exists():
            shutil.move(link, place)
        link.symlink_to(place)
    place = Path(os.readlink(link))
    _private_to_write(place.parent)
    place.mkdir(exist_ok=True)
    place.chmod(0o1777)


def with_open_files(command: Command) -> Command:
    """The same command, but what it writes may be written by everybody."""
    return replace(command, argv=["/bin/sh", "-c", 'umask 0; exec "$@"', "sh", *command.argv])


def _require_libraries(why: str) -> None:
    missing = [name for name in ("condorpy", "paramiko") if importlib.util.find_spec(name) is None]
    if missing:
        raise DemoError(f'{why} {" and ".join(missing)}: pip install "jobsapi[condor]".')


def _open_place(var: Path) -> Path:
    """A folder of ours that everybody can enter: beside ``var`` if that can be entered, else in /var/tmp."""
    if all(folder.stat().st_mode & 0o001 for folder in var.parents):
        return var.with_name(f"{var.name}-open")
    return Path(f"/var/tmp/jobsapi-{blake2b(os.fsencode(var), digest_size=8).hexdigest()}")  # noqa: S108  (checked)


def _private_to_write(folder: Path) -> None:
    """Make a folder that everybody can enter and we alone can write. Raises ``DemoError`` if it is another's."""
    folder.mkdir(mode=0o711, exist_ok=True)
    status = folder.lstat()
    if status.st_uid != os.geteuid() or not folder.is_dir() or folder.is_symlink():
        raise DemoError(f"{folder} is somebody else's. Remove it, or set JOBSAPI_VAR to a folder that all may enter.")
    folder.chmod(0o711)


def opened(commands: Sequence[Command]) -> list[Command]:
    """Of the commands of a portal, the workers stage and fetch the files of jobs: theirs are open to all."""
    return [
        with_open_files(command) if command.name in ("celery-control", "celery-work") else command
        for command in commands
    ]
