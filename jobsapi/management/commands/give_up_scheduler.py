"""``manage.py give_up_scheduler NAME [--no-input]``."""

import time
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from jobsapi import clock, conf, lifecycle
from jobsapi.models import Scheduler
from jobsapi.models.deletion import Standing, count


class Command(BaseCommand):
    """For a scheduler that is gone for good: its jobs end, and its row can be deleted. It is sent nothing."""

    help = "End the jobs of a scheduler that is gone for good, and forget what they left there. Cannot be undone."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", help="the scheduler's name in the portal")
        parser.add_argument("--no-input", action="store_true", help="do not ask")
        parser.add_argument(
            "--wait",
            type=float,
            default=conf.get("LEASE") + conf.get("SUBMIT_TIMEOUT"),
            metavar="SECONDS",
            help="how long to wait for jobs that workers have in hand (%(default)g)",
        )

    def handle(self, *args: Any, name: str, no_input: bool, wait: float, **options: Any) -> None:
        scheduler = Scheduler.objects.filter(name=name).first()
        if scheduler is None:
            known = ", ".join(Scheduler.objects.values_list("name", flat=True)) or "none"
            raise CommandError(f"There is no scheduler “{name}”. There are: {known}.")
        before = scheduler.standing()
        self.stdout.write(f"“{scheduler}” has {before}.")
        if not no_input and input("Give it up for good? Its jobs that are under way become Error. [y/N] ") != "y":
            raise CommandError("Nothing was changed.")
        with clock.CLOCK.asked_once():
            after = self._given_up(scheduler, time.monotonic() + wait)
        self._report(scheduler, before, after)

    @staticmethod
    def _given_up(scheduler: Scheduler, deadline: float) -> Standing:
        scheduler.give_up()
        lifecycle.give_up(scheduler.pk)
        while not (after := scheduler.standing()).settled and time.monotonic() < deadline:
            time.sleep(1)
            lifecycle.give_up(scheduler.pk)
        return after

    def _report(self, scheduler: Scheduler, before: Standing, after: Standing) -> None:
        ended, forgotten, gone = (
            count(max(0, then - now), noun)
            for then, now, noun in zip(before[1:], after[1:], ("job", "other job", "deleted job"), strict=True)
        )
        self.stdout.write(
            f"{ended} became Error. What {forgotten} may have left there is forgotten. {gone} went with all they had."
        )
        if not after.settled:
            raise CommandError(
                f"“{scheduler}” still has {after}: workers have some in hand. When they are through, beat has the rest "
                "done; or run this again."
            )
        self.stdout.write(f"“{scheduler}” can be deleted now. Its jobs stay, without it.")
