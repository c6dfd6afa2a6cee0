"""``/healthz``: whether this process answers and reaches its database. ``/readyz``: whether jobs are run as well.

The first is for what restarts or leaves out a web process, the second for what tells a person: without workers a web
process still takes jobs, and starting it again would help nobody.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from inspect import iscoroutinefunction
from typing import Any

from asgiref.sync import sync_to_async
from django.db import Error, connection
from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.utils.decorators import sync_and_async_middleware

from jobsapi.clock import database_time
from jobsapi.portal.readiness import Part, parts

logger = logging.getLogger(__name__)

TEXT, JSON = "text/plain", "application/json"
HEADERS = {"Cache-Control": "no-store"}


@sync_and_async_middleware
def health(get_response: Callable[[HttpRequest], Any]) -> Callable[[HttpRequest], Any]:
    """Answer ``PAGES`` before all else: a probe knows no name of the site, no HTTPS and no login."""
    if iscoroutinefunction(get_response):

        async def answer_async(request: HttpRequest) -> HttpResponseBase:
            if page := PAGES.get(request.path_info):
                return await sync_to_async(page)(request)
            response: Awaitable[HttpResponseBase] = get_response(request)
            return await response

        return answer_async

    def answer(request: HttpRequest) -> HttpResponseBase:
        page = PAGES.get(request.path_info)
        response: HttpResponseBase = page(request) if page else get_response(request)
        return response

    return answer


def live(request: HttpRequest) -> HttpResponse:
    """200 when the database has answered, otherwise 503; what is wrong is in the log, not in the answer."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except Error:
        logger.exception("The database does not answer.")
        return _text("the database does not answer", 503)
    return _text("ok")


def ready(request: HttpRequest) -> HttpResponse:
    """200 when every part of the portal is ready, otherwise 503; a line for each, or JSON for whoever asks for it."""
    try:
        found = list(parts(database_time()))
    except Error:
        logger.exception("The database does not answer.")
        found = [Part("database", False, "does not answer")]
    well = all(part.ready for part in found)
    if request.get_preferred_type([TEXT, JSON]) == JSON:
        listed = [{"name": part.name, "ready": part.ready, "says": part.says} for part in found]
        return JsonResponse({"ready": well, "parts": listed}, status=200 if well else 503, headers=HEADERS)
    lines = [f"{'ok  ' if part.ready else 'FAIL'} {part.name}: {part.says}" for part in found]
    return _text("\n".join(["ready" if well else "not ready", *lines]), 200 if well else 503)


PAGES: dict[str, Callable[[HttpRequest], HttpResponse]] = {"/healthz": live, "/readyz": ready}


def _text(said: str, status: int = 200) -> HttpResponse:
    return HttpResponse(f"{said}\n", status=status, headers={**HEADERS, "Content-Type": f"{TEXT}; charset=utf-8"})
