"""``manage.py accept_host_key NAME [--fingerprint SHA256:…] [--no-input]``."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from jobsapi.exceptions import JobsApiError
from jobsapi.models import CondorScheduler


class Command(BaseCommand):
    """For a submit host whose key was refused: from now on it is trusted. Accepts what was shown, or nothing."""

    help = "Accept the SSH host key that an HTCondor submit host showed when it was refused."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", help="the scheduler's name in the portal")
        parser.add_argument(
            "--fingerprint",
            metavar="SHA256:…",
            help="what it has to be, as ssh-keygen -l prints it; then nothing is asked",
        )
        parser.add_argument("--no-input", "--noinput", action="store_true", help="do not ask; needs --fingerprint")

    def handle(self, *args: Any, name: str, fingerprint: str | None, no_input: bool, **options: Any) -> None:
        scheduler = CondorScheduler.objects.filter(name=name).first()
        if scheduler is None:
            known = ", ".join(CondorScheduler.objects.values_list("name", flat=True)) or "none"
            raise CommandError(f"There is no HTCondor scheduler “{name}”. There are: {known}.")
        shown = scheduler.offered_fingerprint
        if not shown:
            raise CommandError(
                f"“{scheduler}” has shown no key that would have to be accepted. Accepted: "
                f"{scheduler.host_fingerprint or 'none; it shows its key when a worker calls it'}."
            )
        self.stdout.write(f"“{scheduler}” is {scheduler.host}, port {scheduler.port}.")
        self.stdout.write(f"It shows: {shown} ({scheduler.offered_host_key.split()[0]})")
        self.stdout.write(f"Accepted: {scheduler.host_fingerprint or 'none'}")
        if fingerprint is None:
            self._ask(no_input)
        try:
            scheduler.accept_host_key(fingerprint or shown)
        except JobsApiError as error:
            raise CommandError(str(error)) from error
        self.stdout.write("It is accepted. Workers use it from now on.")

    def _ask(self, no_input: bool) -> None:
        if no_input:
            raise CommandError("Without a question it has to be told which key: --fingerprint. Nothing was changed.")
        if input("Is this the host's own key? [y/N] ") != "y":
            raise CommandError("Nothing was changed.")
