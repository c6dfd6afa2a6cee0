"""``manage.py reconcile [SCHEDULER] [--adopt ID | --remove ID | --remove-all] [--user NAME] [--app PACKAGE]``."""

import shlex
import time
from collections.abc import Iterable, Sequence
from typing import Any

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandError, CommandParser

from jobsapi import clock, conf, lifecycle
from jobsapi.exceptions import BackendUnavailable, JobsApiError
from jobsapi.models import Scheduler, Stray
from jobsapi.models.deletion import count
from jobsapi.reconcile import look_before_submitting, missing, schedulers

SHOWN = 50
"""Lines of a table; the admin has the others."""
BY = "manage.py reconcile"
PATIENCE = 30
"""Seconds to wait for a worker that is looking already."""


class Command(BaseCommand):
    """What of ours lies at schedulers and is no job's, and which rows no scheduler knows. Without options: a report."""

    help = "Compare what lies at schedulers with the rows. Changes nothing there unless told to adopt or remove."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("scheduler", nargs="?", help="the scheduler's name in the portal; all of them if left out")
        wish = parser.add_mutually_exclusive_group()
        wish.add_argument("--adopt", metavar="ID", help="have this go on as a job, as which is said in the table")
        wish.add_argument("--remove", metavar="ID", help="remove this from the scheduler, with its files there")
        wish.add_argument("--remove-all", action="store_true", help="remove all that the table has")
        wish.add_argument(
            "--restored",
            action="store_true",
            help="once, after a restore and before workers are started: nothing is submitted unless it was looked for",
        )
        parser.add_argument("--user", metavar="NAME", help="whose job it becomes if there is no row")
        parser.add_argument("--app", metavar="PACKAGE", default="", help="the app it becomes a job of, if not known")
        parser.add_argument("--no-wait", action="store_true", help="do not look twice for what is seen the first time")

    def handle(self, *args: Any, **options: Any) -> None:
        with clock.CLOCK.asked_once():
            self._handle(**options)

    def _handle(self, scheduler: str | None, restored: bool, **options: Any) -> None:
        if restored:
            number = count(look_before_submitting(), "waiting job")
            self.stdout.write(f"{number} will be looked for before being submitted. Workers can be started.")
            return
        chosen = list(schedulers([scheduler] if scheduler else ()))
        if scheduler and not chosen:
            known = ", ".join(each.name for each in schedulers()) or "none"
            raise CommandError(f"There is no scheduler “{scheduler}” that can be asked. There are: {known}.")
        wish = Stray.ADOPT if options["adopt"] else Stray.REMOVE
        ids = [options["adopt"] or options["remove"]] if options["adopt"] or options["remove"] else None
        if (ids or options["remove_all"]) and scheduler is None:
            raise CommandError("Name the scheduler, too: ids are its own.")
        reached = self._looked(chosen, wait=not options["no_wait"])
        for each in reached:
            if ids or options["remove_all"]:
                self._wish(each, wish, ids, options["user"], options["app"])
            self._report(each)
        if unreachable := [each for each in chosen if each not in reached]:
            names = ", ".join(f"“{each}”" for each in unreachable)
            raise CommandError(f"Not reached, so nothing is known of it: {names}.")

    def _looked(self, chosen: Sequence[Scheduler], *, wait: bool) -> list[Scheduler]:
        """Look at all, and where there is something new once more after ``LOST_GRACE``. Those that were reached."""
        reached = [each for each in chosen if self._look(each)]
        settled = Stray.objects.seen_twice().values("pk")
        fresh = Stray.objects.filter(scheduler__in=reached).exclude(pk__in=settled)
        if not wait or not fresh.exists():
            return reached
        anew = {each: number for each in reached if (number := fresh.filter(scheduler=each.pk).count())}
        for scheduler, number in anew.items():
            self.stdout.write(f"“{scheduler}”: {number:,} seen the first time, maybe being submitted.")
        grace = conf.get("LOST_GRACE")
        self.stdout.write(f"Looking again in {grace:g} s …")
        first = fresh.latest("first_seen").first_seen
        while (left := grace - (clock.now() - first).total_seconds()) > 0:
            time.sleep(min(left, 1) + 0.01)
        return [each for each in reached if each not in anew or self._look(each)]

    def _look(self, scheduler: Scheduler) -> bool:
        """Whether a look has been had, be it by a worker that is at it now. If not, says why."""
        before = scheduler.reconciled_at
        for _ in range(PATIENCE):
            try:
                lifecycle.reconcile(scheduler.pk)
            except BackendUnavailable as error:
                self.stderr.write(f"“{scheduler}”: {error}")
                return False
            scheduler.refresh_from_db()
            if scheduler.reconciled_at != before:
                return True
            if scheduler.outage:
                self.stderr.write(scheduler.outage)
                return False
            time.sleep(1)
        self.stderr.write(f"“{scheduler}”: a worker has been looking for over {PATIENCE} s, or it is busy. Try again.")
        return False

    def _wish(self, scheduler: Scheduler, wish: str, ids: Sequence[str] | None, user: str | None, app: str) -> None:
        owner = get_user_model()._default_manager.filter(**{get_user_model().USERNAME_FIELD: user}).first()
        if user and owner is None:
            raise CommandError(f"There is no user “{user}”.")
        rows = Stray.objects.filter(scheduler=scheduler.pk)
        chosen = list(rows.filter(native_id__in=ids) if ids else rows.filter(pk__in=Stray.objects.seen_twice()))
        if ids and not chosen:
            raise CommandError(f"“{scheduler}” has no stray {', '.join(ids)}. Without options, all are listed.")
        for stray in chosen:
            try:
                stray.request(wish, BY, owner, app)
            except JobsApiError as error:
                raise CommandError(str(error)) from error
        self._look(scheduler)
        left = {stray.native_id: stray for stray in rows.filter(native_id__in=[stray.native_id for stray in chosen])}
        for stray in chosen:
            now = left.get(stray.native_id)
            done = f"{'adopted' if wish == Stray.ADOPT else 'removed'}." if now is None else now.outcome
            self.stdout.write(f"{stray}: {done or 'A worker does it; see the admin.'}")

    def _report(self, scheduler: Scheduler) -> None:
        settled = Stray.objects.seen_twice().filter(scheduler=scheduler.pk)
        young = Stray.objects.filter(scheduler=scheduler.pk).count() - settled.count()
        lost = missing(scheduler, clock.now())
        self.stdout.write(
            f"“{scheduler}”: {count(settled.count(), 'stray')}, {young:,} seen once only, "
            f"{count(lost.count(), 'row')} that it does not know."
        )
        for line in table(settled[:SHOWN]):
            self.stdout.write(f"  {line}")
        self._more(settled.count(), "Strays")
        for job in lost[:SHOWN]:
            since = job.missing_since or job.submit_started_at
            self.stdout.write(f"  {job}: {job.cached_status}, not known there since {since:%Y-%m-%d %H:%M:%S}")
        self._more(lost.count(), "Jobs")
        if lost.exists():
            self.stdout.write("  Rows that it does not know need nothing: a refresh or another try finds out.")
        if settled.exists():
            name = shlex.quote(scheduler.name)
            self.stdout.write(
                f"  To decide: manage.py reconcile {name} --adopt ID [--user NAME], --remove ID or --remove-all."
            )

    def _more(self, number: int, page: str) -> None:
        if number > SHOWN:
            self.stdout.write(f"  … and {number - SHOWN:,} more; see the admin, under {page}.")


def table(strays: Iterable[Stray]) -> list[str]:
    """One line for each, in columns."""
    rows = [
        (stray.native_id, stray.what, stray.name, stray.words, "yes" if stray.can_adopt else "no", stray.why)
        for stray in strays
    ]
    if not rows:
        return []
    rows.insert(0, ("id", "what", "name", "there", "adoptable", "why it is a stray"))
    widths = [max(len(row[column]) for row in rows) for column in range(6)]
    return ["  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
