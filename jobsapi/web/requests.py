"""How requests are read and answered, whichever page makes them."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse

NO_CONTENT = 204


def from_htmx(request: HttpRequest) -> bool:
    """Whether a page that is shown already asks for a piece of itself."""
    return request.headers.get("HX-Request") == "true"


def reload() -> HttpResponse:
    """Has htmx load the whole page anew."""
    return HttpResponse(status=NO_CONTENT, headers={"HX-Refresh": "true"})


def positive(text: str | None) -> int:
    """A page's number; the first one when it is none. Bounded, since databases bound an offset."""
    return min(max(int(text), 1), 1_000_000) if text and text.isdecimal() and len(text) < 10 else 1
