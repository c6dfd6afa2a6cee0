"""Runs pytest on PostgreSQL and on Redis or Valkey, over TCP and with passwords, instead of what comes with pip.

What brings servers of its own, or needs neither database nor broker, is left out: the same would be run twice.

``python -m tests.rig.with_servers [ARGUMENTS OF PYTEST]``. The database server is this program's; brokers are those of
the tests that need one.
"""

import os
import subprocess
import sys

import pytest

from tests.rig.postgresql import postgresql
from tests.rig.side_by_side import HTCONDOR

ALIKE = (
    *(*HTCONDOR, "tests/backends", "tests/chaos", "tests/docs", "tests/docker", "tests/security", "tests/systemd"),
    *(f"tests/test_{name}.py" for name in ("demo", "portal", "portal_commands", "portal_environment", "supervisor")),
    *(f"tests/test_{name}.py" for name in ("checks", "error_reports", "formats", "functions", "policy", "previews")),
    *(f"tests/test_{name}.py" for name in ("reference_examples", "reporting", "sealing", "status", "streams")),
    *(f"tests/properties/test_{name}.py" for name in ("dask_answers", "htcondor_answers", "pages", "public_entries")),
    *(f"tests/web/test_{name}.py" for name in ("content_security", "files", "graph", "host_keys", "logs", "places")),
    *(f"tests/web/test_{name}.py" for name in ("inside", "job_page", "parts", "samples", "timeline")),
    *("tests/stack/test_ready.py", "tests/stack/test_trial.py"),
    *(f"tests/stack/test_{name}.py" for name in ("beat", "chaos", "large_results", "messages", "overload")),
)
"""What brings servers of its own, or is the same on any."""
OF_DASK = (
    "ten_seconds",
    "every_kind_of_work",
    "dask_worker_is_killed",
    "dask_scheduler_changes",
    "dask_scheduler_makes",
)
CHOICE = [
    *(f"--ignore={path}" for path in ALIKE),
    *("-m", "not browser"),
    *("-k", " and ".join(f"not {words}" for words in OF_DASK)),
]
"""Tests in a browser see nothing of a database that those of the views do not see, and some others take long for what
they do at Dask and in memory.
"""


def main() -> int:
    """The exit status of pytest. A server that is not installed is a reason to end well, but in CI."""
    try:
        with postgresql() as database:
            return subprocess.run(
                [sys.executable, "-m", "pytest", *CHOICE, *sys.argv[1:]],
                env={**os.environ, "DATABASE_URL": database, "JOBSAPI_TEST_BROKER": "redis-server"},
                check=False,
            ).returncode
    except (pytest.skip.Exception, pytest.fail.Exception) as reason:
        print(f"Not run: {reason}", file=sys.stderr)
        return int(isinstance(reason, pytest.fail.Exception))


if __name__ == "__main__":
    sys.exit(main())
