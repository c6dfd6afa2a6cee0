"""``/healthz``: whether this process answers and reaches its database. For load balancers and process managers."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from inspect import iscoroutinefunction
from typing import Any

from asgiref.sync import sync_to_async
from django.db import Error, connection
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.utils.decorators import sync_and_async_middleware

logger = logging.getLogger(__name__)

PATH = "/healthz"
HEADERS = {"Content-Type": "text/plain; charset=utf-8", "Cache-Control": "no-store"}


@sync_and_async_middleware
def health(get_response: Callable[[HttpRequest], Any]) -> Callable[[HttpRequest], Any]:
    """Answer ``PATH`` before all else: a probe knows no name of the site, no HTTPS and no login."""
    if iscoroutinefunction(get_response):

        async def answer_async(request: HttpRequest) -> HttpResponseBase:
            if request.path_info == PATH:
                return await sync_to_async(_report)()
            response: Awaitable[HttpResponseBase] = get_response(request)
            return await response

        return answer_async

    def answer(request: HttpRequest) -> HttpResponseBase:
        response: HttpResponseBase = _report() if request.path_info == PATH else get_response(request)
        return response

    return answer


def _report() -> HttpResponse:
    """200 when the database has answered, otherwise 503; what is wrong is in the log, not in the answer."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except Error:
        logger.exception("The database does not answer.")
        return HttpResponse("the database does not answer\n", status=503, headers=HEADERS)
    return HttpResponse("ok\n", headers=HEADERS)
