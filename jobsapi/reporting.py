"""For the programs of a job: tell the portal how far they are. ``report(progress=40, message="Half of it is routed")``.

Nothing but Python's standard library is needed, so a job of HTCondor may take this very file along. It never makes a
job fail, and never keeps it for longer than a few seconds: what goes wrong is said on standard error.

From a shell script: ``python3 reporting.py progress=40 message="Half of it is routed"``.
"""

from __future__ import annotations

import http.client
import json
import os
import random
import sys
import time
import urllib.error
import urllib.request

FILE = "jobsapi-report.json"
"""What HTCondor brings along with a job that has ``reports=True``: an address and a token."""
TIMEOUT = 5.0
"""Seconds that the portal has for its answer."""
PAUSE = 1.0
"""Seconds between two reports that are sent. One that comes sooner is left out, unless it says that all is done."""
REST = 30.0
"""Seconds without a try after one that failed: a portal that is away must not slow a job down."""
TRIES = 3
"""How often the first report of a part is sent, a moment later each time, while others have just reported: it may be
the only one."""
TOO_SOON = "too soon"
"""What the portal says then."""


class _StayHere(urllib.request.HTTPRedirectHandler):
    """Follows no redirect: the token is for one address."""

    def redirect_request(self, *args, **kwargs):  # type: ignore[no-untyped-def]
        return None


class Reporter:
    """Sends the reports of one attempt of a job. It can be pickled, and so be an argument of a Dask task."""

    def __init__(self, url: str, token: str) -> None:
        self.url = url
        self.token = token
        self._next = 0.0

    def __repr__(self) -> str:
        return f"Reporter({self.url!r})"  # never the token: this may end up in a log

    def __call__(
        self,
        progress: float | None = None,
        message: str | None = None,
        *,
        progress_done: int | None = None,
        progress_total: int | None = None,
        status: str | None = None,
        part: str | None = None,
    ) -> bool:
        """Send a report. Whether the portal has taken it.

        ``progress`` is a percentage; ``progress_done`` of ``progress_total`` says the same in steps. ``status``: "done"
        or "failed", has the portal look at once. ``part``: the name of a node, or the number of a proc, that speaks.
        """
        fields = {
            "progress": progress,
            "progress_done": progress_done,
            "progress_total": progress_total,
            "message": message,
            "status": status,
            "part": part,
        }
        told = {name: value for name, value in fields.items() if value is not None}
        is_last = bool(status) or progress == 100 or (progress_done is not None and progress_done == progress_total)
        now = time.monotonic()
        if not told or (now < self._next and not (is_last and self._next - now <= PAUSE)):
            return False
        said: dict[str, object] = {**told, "time": time.time()}
        trouble, ignored = self._send(said)
        for _ in range(TRIES - 1 if part and not self._next else 0):
            if ignored != TOO_SOON:
                break
            time.sleep(random.uniform(0.25, 1) * PAUSE)  # noqa: S311  (not a secret)
            trouble, ignored = self._send(said)
        self._next = time.monotonic() + (REST if trouble else PAUSE)
        if trouble:
            print(f"The portal was not told how far this job is: {trouble}", file=sys.stderr, flush=True)
        return not trouble

    def _send(self, fields: dict[str, object]) -> tuple[str, str]:
        """Why it was not taken, and why it was taken and not kept; nothing if it was."""
        try:
            request = urllib.request.Request(  # noqa: S310  (the address is the portal's own)
                self.url,
                json.dumps(fields).encode(),
                {"Content-Type": "application/json", "Authorization": f"Bearer {self.token}"},
            )
            with urllib.request.build_opener(_StayHere).open(request, timeout=TIMEOUT) as answer:
                return "", _told(answer.read(10_000), "ignored")
        except urllib.error.HTTPError as error:
            with error:
                return f"{error.code} {_sentence(error)}", ""
        except (OSError, http.client.HTTPException, TypeError, ValueError) as error:
            return f"{self.url}: {getattr(error, 'reason', error)}", ""


def report(
    progress: float | None = None,
    message: str | None = None,
    *,
    progress_done: int | None = None,
    progress_total: int | None = None,
    status: str | None = None,
    part: str | None = None,
) -> bool:
    """Send a report with what the file ``jobsapi-report.json`` says, where the job runs. See ``Reporter``."""
    if not _KEPT:
        _KEPT.append(_found())
    reporter = _KEPT[0]
    return reporter is not None and reporter(
        progress,
        message,
        progress_done=progress_done,
        progress_total=progress_total,
        status=status,
        part=part,
    )


_KEPT: list[Reporter | None] = []
"""This program's reporter, once it was looked for."""


def _found() -> Reporter | None:
    places = [FILE, os.path.join(os.environ.get("_CONDOR_SCRATCH_DIR", "."), FILE)]
    path = next((place for place in places if os.path.exists(place)), FILE)
    try:
        with open(path, encoding="utf-8") as file:
            known = json.load(file)
        return Reporter(str(known["url"]), str(known["token"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        words = f"{FILE} cannot be read ({type(error).__name__}: {error})"
        print(f"The portal is not told how far this job is: {words}.", file=sys.stderr, flush=True)
        return None


def _sentence(error: urllib.error.HTTPError) -> str:
    try:
        return _told(error.read(10_000), "error") or str(error.reason)
    except (OSError, http.client.HTTPException):
        return str(error.reason)


def _told(answer: bytes, name: str) -> str:
    try:
        return str(json.loads(answer)[name])
    except (ValueError, KeyError, TypeError, RecursionError):
        return ""


def main(words: list[str]) -> int:
    """Send a report of ``name=value`` words. 0 if the portal has taken it."""
    fields = dict(word.split("=", 1) for word in words if "=" in word)
    numbers = ("progress", "progress_done", "progress_total")
    try:
        told = {name: float(value) if name in numbers else value for name, value in fields.items()}
        return 0 if report(**told) else 1  # type: ignore[arg-type]
    except (TypeError, ValueError) as error:
        print(f"usage: python3 {sys.argv[0]} progress=40 message=…  ({error})", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
