"""Runs pytest on a PostgreSQL server of its own: ``python -m tests.rig.with_postgresql [ARGUMENTS OF PYTEST]``."""

import os
import subprocess
import sys

from tests.rig.services import postgresql


def main() -> int:
    """The exit status of pytest."""
    with postgresql() as url:
        return subprocess.run(
            [sys.executable, "-m", "pytest", *sys.argv[1:]], env={**os.environ, "DATABASE_URL": url}, check=False
        ).returncode


if __name__ == "__main__":
    sys.exit(main())
