"""``manage.py apply_retention [--dry-run]``."""

from collections.abc import Iterable
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.db.models import Count, Sum
from django.template.defaultfilters import filesizeformat

from jobsapi import clock, retention
from jobsapi.retention import Removed


class Command(BaseCommand):
    """What beat has done every hour, now, with a report. To be run where the storage of results is at hand."""

    help = 'Remove what JOBSAPI["RETENTION"] does not keep, and files that are nobody\'s.'

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="say what would be removed, and remove nothing")

    def handle(self, *args: Any, dry_run: bool, **options: Any) -> None:
        with clock.CLOCK.asked_once():
            now = clock.now()
            if dry_run:
                removed = retention.preview(now)
                count, size = retention.nobodys(now).aggregate(Count("pk"), Sum("size", default=0)).values()
            else:
                removed = retention.apply(now)
                count, size = retention.sweep(now)
        for line in table(removed):
            self.stdout.write(line)
        verb = "would be" if dry_run else "were"
        self.stdout.write(f"Files that are nobody's: {count} {verb} deleted ({human(size)}).")
        if any(each.size for each in removed):
            self.stdout.write("Large results are files: they go an hour after their job has lost them.")


def table(removed: Iterable[Removed]) -> list[str]:
    """One line for each app, status and kind, in columns."""
    rows = [(each.app, each.status, each.kind, f"{each.jobs:,}", human(each.size)) for each in removed]
    if not rows:
        return ["Nothing is due for removal."]
    rows.insert(0, ("app", "status", "kind", "jobs", "size"))
    widths = [max(len(row[column]) for row in rows) for column in range(5)]
    return ["  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def human(size: int) -> str:
    """``1.5 MB``, with a blank that a terminal shows as one."""
    return filesizeformat(size).replace("\xa0", " ")
