"""``manage.py reseal [--dry-run]``."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.template.defaultfilters import filesizeformat

from jobsapi import resealing


class Command(BaseCommand):
    """The third step of a change of keys, see docs/operations.md. The portal goes on meanwhile."""

    help = "Seal with the newest of SEALING_KEYS what an older one has sealed, and encrypt credentials with it."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="say what would be done, and do nothing")

    def handle(self, *args: Any, dry_run: bool, **options: Any) -> None:
        report = resealing.preview() if dry_run else resealing.reseal()
        size = filesizeformat(report.size).replace("\xa0", " ")
        counts = (
            f"{report.rows:,} in the database and {report.files:,} files ({size}), {report.credentials:,} credentials"
        )
        self.stdout.write(f"{'To be sealed' if dry_run else 'Sealed'} anew: {counts}.")
        if report.changed:
            self.stdout.write(f"Replaced by others meanwhile: {report.changed:,}. Run it again to be sure.")
        for sentence in report.broken:
            self.stderr.write(sentence)
        if report.broken:
            raise CommandError(f"{len(report.broken):,} could not be opened. They were left as they are.")
