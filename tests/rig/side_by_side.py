"""Runs the tests in two parts side by side: those of HTCondor, which mostly wait for a pool, and all others.

``python -m tests.rig.side_by_side [ARGUMENTS OF PYTEST]``. When files or folders are named, just these are run, at
once. The exit status is 0 if both parts passed; a part in which the arguments select nothing counts as passed.
"""

import subprocess
import sys
import tempfile
from collections.abc import Sequence
from functools import partial
from os import getpid
from pathlib import Path

from jobsapi.portal.supervisor import die_with_parent

HTCONDOR = ("tests/htcondor", "tests/backends/condor", "tests/stack/test_condor_pool.py")
NOTHING_SELECTED = 5
"""pytest's exit status when it has run no test."""


def main(arguments: Sequence[str]) -> int:
    """The exit status."""
    pytest = [sys.executable, "-m", "pytest", *arguments]
    if any(Path(argument.partition("::")[0]).exists() for argument in arguments):
        return subprocess.run(pytest, check=False).returncode
    with tempfile.TemporaryFile() as said:
        part = subprocess.Popen(
            [*pytest, *HTCONDOR], stdout=said, stderr=said, preexec_fn=partial(die_with_parent, getpid())
        )
        try:
            left_out = [f"--ignore={path}" for path in HTCONDOR]
            others = subprocess.run([*pytest, *left_out], check=False).returncode
            print("\nThe tests of HTCondor, which ran meanwhile:", flush=True)
            htcondor = part.wait()
        finally:
            if part.poll() is None:
                part.terminate()
                part.wait()
        said.seek(0)
        sys.stdout.buffer.write(said.read())
        sys.stdout.flush()
    statuses = {others, htcondor} - {0, NOTHING_SELECTED}
    return max(statuses) if statuses else min(others, htcondor)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
