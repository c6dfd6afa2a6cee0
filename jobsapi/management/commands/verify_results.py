"""``manage.py verify_results [--read]``."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.template.defaultfilters import filesizeformat

from jobsapi import verification


class Command(BaseCommand):
    """To be run after a restore, before the workers start: see docs/operations.md. The portal may be at work."""

    help = "Say which inputs and results are missing or cannot be opened, and which credentials cannot."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--read", action="store_true", help="verify every byte, which takes as long as reading them"
        )

    def handle(self, *args: Any, read: bool, **options: Any) -> None:
        found = verification.verify(read=read)
        size = filesizeformat(found.size).replace("\xa0", " ")
        self.stdout.write(f"Kept: {found.rows:,} in the database and {found.files:,} files ({size}).")
        for sentence in found.broken:
            self.stderr.write(sentence)
        if found.keyless:
            self.stderr.write(
                f"{found.keyless:,} were sealed with a key that is not there. Start no worker before it is back in "
                "SEALING_KEYS (while these are empty: SECRET_KEY or its fallbacks): jobs that wait would fail."
            )
        if not found.well:
            raise CommandError("Not all of it is there and can be opened.")
        self.stdout.write("All of it is there." if not read else "All of it is there, and every byte is verified.")
