"""``manage.py demo [--once]``."""

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

    def handle(self, *args: Any, once: bool, **options: Any) -> None:
        sys.stdout.flush()
        os.execv(sys.executable, [sys.executable, "-m", "jobsapi.portal.demo", *(["--once"] if once else [])])
