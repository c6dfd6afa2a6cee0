"""The whole portal on one machine, for as long as it is looked at: ``make demo``, or ``manage.py demo``.

Everything it starts listens on loopback or on a private socket, and everything it keeps is in ``var/demo``.
"""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
"""The checkout."""
USER, ADMINISTRATOR = "demo", "admin"
"""Who runs the sample jobs, and who may look at everything. Both have the same password."""
FAILS = "a job that fails"
"""Name of the sample job that is meant to fail."""
SAMPLES, ON_HTCONDOR = 3, 2
"""How many sample jobs there are for Dask, and for HTCondor."""


class DemoError(RuntimeError):
    """Raised when the demo cannot go on; the text is for its user."""
