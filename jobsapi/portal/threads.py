"""How many threads a request runs through."""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest, HttpResponseBase
from django.utils.decorators import sync_only_middleware


@sync_only_middleware
def in_one_thread(get_response: Callable[[HttpRequest], HttpResponseBase]) -> Callable[[HttpRequest], HttpResponseBase]:
    """The innermost middleware: has all others of a request run in the thread of its view.

    An ASGI server otherwise hands each of them to a thread and back, twice, which takes longer than most of our views.
    https://docs.djangoproject.com/en/5.2/topics/http/middleware/#asynchronous-support
    """
    return get_response
