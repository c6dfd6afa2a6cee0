"""Those who submit jobs and do things to them: ``python -m tests.chaos.members http|api|act NAME SHARE OF SITE...``.

Each is a process. What fails is tried again, as a person would: after a look whether it was done nevertheless.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable

from tests.chaos.ground import Ground, append, lines
from tests.chaos.kinds import name_of

PAUSE = 1.0
"""Seconds until somebody looks whether what failed was done. A database may still be at a commit."""


def submit(ground: Ground, name: str, share: int, of: int, call: Callable[[int, str], str]) -> None:
    """Submit every ``of``-th job of the plan, each as soon as the campaign allows it."""
    kinds = json.loads((ground.home / "kinds.json").read_text())
    for number in range(share, len(kinds), of):
        while number >= allowed(ground):
            time.sleep(0.05)
        uid = surely(ground, name, number, kinds[number], call)
        append(ground.members / f"{name}.taken", f"{number} {uid}")


def surely(ground: Ground, name: str, number: int, kind: str, call: Callable[[int, str], str]) -> str:
    """Submit one job, however often it takes; its ``uid``."""
    from django.db import DatabaseError

    from jobsapi.exceptions import JobsApiError
    from jobsapi.portal.demo import DemoError

    while True:
        try:
            return call(number, kind)
        except (DatabaseError, DemoError, JobsApiError) as error:
            append(ground.members / f"{name}.log", f"{number} {type(error).__name__}: {error}".replace("\n", " "))
        time.sleep(PAUSE)
        if uid := existing(name_of(number, kind)):
            return uid


def existing(name: str) -> str:
    """The ``uid`` of the job of that name, or nothing. Waits for a database that is away."""
    from django.db import DatabaseError, connection

    from jobsapi.models import Job

    while True:
        try:
            found = Job._base_manager.filter(name=name).values_list("uid", flat=True).first()
        except DatabaseError:
            connection.close()
            time.sleep(PAUSE)
        else:
            return str(found or "")


def allowed(ground: Ground) -> int:
    """How many jobs may be submitted now."""
    return int((lines(ground.home / "allowed") or ["0"])[0])


def by_api(ground: Ground, name: str, share: int, of: int) -> None:
    """Submit as a script does."""
    from django.contrib.auth import get_user_model
    from django.db import connection

    from tests.chaos import app

    user = get_user_model().objects.get(username="bob")

    def call(number: int, kind: str) -> str:
        connection.close_if_unusable_or_obsolete()
        return str(app.run(number, kind, user).uid)

    submit(ground, name, share, of, call)


class People:
    """One user in front of all web processes: who gets no answer from one asks another."""

    def __init__(self, sites: list[str]) -> None:
        from jobsapi.portal.demo.browser import Browser

        self.browsers = {site: Browser(site) for site in sites}
        self.known: set[str] = set()
        self.turn = 0

    def post(self, path: str, **form: str) -> str:
        """The address that answered. Raises ``DemoError``."""
        site = [*self.browsers][self.turn % len(self.browsers)]
        self.turn += 1
        browser = self.browsers[site]
        if site not in self.known:
            browser.get("/accounts/login/")
            browser.post("/accounts/login/", username="ada", password="pw")
            self.known.add(site)
        return browser.post(path, **form)


def by_http(ground: Ground, name: str, share: int, of: int, sites: list[str]) -> None:
    """Submit as people do."""
    people = People(sites)

    def call(number: int, kind: str) -> str:
        return people.post("/chaos/run/", number=str(number), kind=kind).rstrip("/").rpartition("/")[2]

    submit(ground, name, share, of, call)


def act(ground: Ground, name: str, sites: list[str]) -> None:
    """Do to jobs what their users do, until the campaign is over."""
    from jobsapi.portal.demo import DemoError

    people = People(sites)
    while not (ground.home / "over").exists():
        try:
            people.post("/chaos/act/")
        except DemoError as error:
            append(ground.members / f"{name}.log", str(error))
        time.sleep(0.5)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("role", choices=["http", "api", "act"])
    parser.add_argument("name")
    parser.add_argument("share", type=int)
    parser.add_argument("of", type=int)
    parser.add_argument("sites", nargs="*")
    said = parser.parse_args()
    import django

    django.setup()
    ground = Ground.here()
    if said.role == "api":
        by_api(ground, said.name, said.share, said.of)
    elif said.role == "http":
        by_http(ground, said.name, said.share, said.of, said.sites)
    else:
        act(ground, said.name, said.sites)


if __name__ == "__main__":
    main()
