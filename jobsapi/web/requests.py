"""How requests are read and answered, whichever page makes them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import datetime

from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme

NO_CONTENT = 204


def from_htmx(request: HttpRequest) -> bool:
    """Whether a page that is shown already asks for a piece of itself."""
    return request.headers.get("HX-Request") == "true"


def reload() -> HttpResponse:
    """Has htmx load the whole page anew."""
    return HttpResponse(status=NO_CONTENT, headers={"HX-Refresh": "true"})


def when_seen(schedulers: Iterable[tuple[int | None, datetime | None]]) -> dict[str, str]:
    """Headers that tell an open page when schedulers last told how their jobs are: at once for all rows that say so.

    https://htmx.org/headers/hx-trigger/
    """
    seen = {str(number): moment.isoformat() for number, moment in schedulers if number is not None and moment}
    return {"HX-Trigger": json.dumps({"jobs-seen": seen})} if seen else {}


def way_back(request: HttpRequest) -> str:
    """Where a form says that it came from (``next``), if that lies on this site; else the table of jobs."""
    address = request.POST.get("next", "")
    if url_has_allowed_host_and_scheme(address, {request.get_host()}, require_https=request.is_secure()):
        return address
    return reverse("jobsapi:jobs")


def positive(text: str | None) -> int:
    """A page's number; the first one when it is none. Bounded, since databases bound an offset."""
    return min(max(int(text), 1), 1_000_000) if text and text.isdecimal() and len(text) < 10 else 1
