"""Runs the tests in three parts side by side: two of HTCondor, each of which mostly waits for a pool, and all others.

``python -m tests.rig.side_by_side [ARGUMENTS OF PYTEST]``. When files or folders are named, just these are run, at
once. The exit status is 0 if all parts passed; a part in which the arguments select nothing counts as passed.
"""

import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from os import getpid
from pathlib import Path
from typing import IO

from jobsapi.portal.guardian import die_with_parent

PARTS = {
    "of jobs on HTCondor": ("tests/htcondor",),
    "of the backend of HTCondor": ("tests/backends/condor", "tests/stack/test_condor_pool.py"),
}
"""What runs beside all others, each on a pool of its own."""
HTCONDOR = [path for paths in PARTS.values() for path in paths]
NOTHING_SELECTED = 5
"""pytest's exit status when it has run no test."""


def main(arguments: Sequence[str]) -> int:
    """The exit status."""
    pytest = [sys.executable, "-m", "pytest", *arguments]
    if any(Path(argument.partition("::")[0]).exists() for argument in arguments):
        return subprocess.run(pytest, check=False).returncode
    with ExitStack() as stack:
        begun = {name: stack.enter_context(beside([*pytest, *paths])) for name, paths in PARTS.items()}
        left_out = [f"--ignore={path}" for path in HTCONDOR]
        statuses = [subprocess.run([*pytest, *left_out], check=False).returncode]
        for name, (part, said) in begun.items():
            statuses.append(part.wait())
            if statuses[-1] == NOTHING_SELECTED:
                continue  # whoever reads the end of what was said would think that no test has run
            print(f"\nThe tests {name}, which ran meanwhile:", flush=True)
            said.seek(0)
            sys.stdout.buffer.write(said.read())
            sys.stdout.flush()
    return max(set(statuses) - {0, NOTHING_SELECTED}, default=min(statuses))


@contextmanager
def beside(command: Sequence[str]) -> Iterator[tuple[subprocess.Popen[bytes], IO[bytes]]]:
    """A program that runs meanwhile, and a file of what it says. It does not outlive the block."""
    with tempfile.TemporaryFile() as said:
        part = subprocess.Popen(command, stdout=said, stderr=said, preexec_fn=partial(die_with_parent, getpid()))
        try:
            yield part, said
        finally:
            if part.poll() is None:
                part.terminate()
                part.wait()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
