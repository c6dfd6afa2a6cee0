"""``manage.py demo [--once] [--condor]``."""

import os
import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandParser


class Command(BaseCommand):
    """Becomes ``python -m jobsapi.portal.demo``: the demo chooses its settings before Django reads them."""

    help = "Run the whole portal on this machine until Ctrl-C: broker, Dask, workers, Flower, site and sample jobs."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--once", action="store_true", help="wait for the sample jobs, say how they ended, and stop"
        )

        parser.add_argument("--condor", action="store_true", help="run samples on an HTCondor pool of our own, too")

    def handle(self, *args: Any, **options: Any) -> None:
        sys.stdout.flush()
        asked = [f"--{name}" for name in ("once", "condor") if options[name]]
        os.execv(sys.executable, [sys.executable, "-m", "jobsapi.portal.demo", *asked])
