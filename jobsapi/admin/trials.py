"""The test of a scheduler: asked for here, done by a worker, and shown as far as it has come."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.options import csrf_protect_m
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html

from jobsapi.clock import database_time
from jobsapi.exceptions import JobsApiError
from jobsapi.models import Heartbeat, Scheduler
from jobsapi.models.reports import Stage

EVERY = 2
"""Seconds after which the page of a test that is under way loads itself again."""


class TestedAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """Adds "Test connection" to the admin of a kind of scheduler: a page, and an action of the list."""

    __test__ = False  # for pytest: it is none of its tests

    def get_urls(self) -> list[URLPattern]:
        name = f"{self.opts.app_label}_{self.opts.model_name}_test"
        test = path("<int:pk>/test/", self.admin_site.admin_view(self.test_view), name=name)
        return [test, *super().get_urls()]

    def test_page(self, scheduler: Scheduler) -> str:
        """The address of the page that shows the test."""
        return reverse(f"{self.admin_site.name}:{self.opts.app_label}_{self.opts.model_name}_test", args=[scheduler.pk])

    @csrf_protect_m  # type: ignore[untyped-decorator]
    def test_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """What the last test has found; with POST, ask for another one."""
        scheduler = self.get_queryset(request).filter(pk=pk).first()
        if scheduler is None:
            raise Http404("There is no such scheduler.")
        if not self.has_change_permission(request, scheduler):
            raise PermissionDenied("Who may change a scheduler may test it.")
        if request.method == "POST":
            self._request(request, scheduler)
            return redirect(self.test_page(scheduler))
        return self._shown(request, scheduler)

    @admin.action(description="Test the connection of the selected schedulers", permissions=["change"])
    def test_connection(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse | None:
        """Ask for a test of each; of one alone, show it."""
        chosen = list(queryset)
        for scheduler in chosen:
            if self._request(request, scheduler) and len(chosen) > 1:
                page = format_html('<a href="{}">“{}”</a>', self.test_page(scheduler), scheduler)
                self.message_user(request, format_html("The test of {} is asked for.", page), messages.SUCCESS)
        return redirect(self.test_page(chosen[0])) if len(chosen) == 1 else None

    def _request(self, request: HttpRequest, scheduler: Scheduler) -> bool:
        try:
            asked = scheduler.request_check()
        except JobsApiError as error:
            self.message_user(request, str(error), messages.ERROR)
            return False
        if asked:
            self.log_change(request, scheduler, "Asked for a test.")
        else:
            message = f"A test of “{scheduler}” is asked for, or under way, already."
            self.message_user(request, message, messages.WARNING)
        return asked

    def _shown(self, request: HttpRequest, scheduler: Scheduler) -> HttpResponse:
        report = scheduler.report
        opts = self.opts
        context = {
            **self.admin_site.each_context(request),
            "title": f"Test of “{scheduler}”",
            "opts": opts,
            "scheduler": scheduler,
            "report": report,
            "every": EVERY if report.is_live else None,
            "silent": Heartbeat.silent(database_time()) if report.stage == Stage.WAITING else [],
            "change_page": reverse(
                f"{self.admin_site.name}:{opts.app_label}_{opts.model_name}_change", args=[scheduler.pk]
            ),
        }
        answer = TemplateResponse(request, "admin/jobsapi/test.html", context)
        answer["Cache-Control"] = "no-store"
        return answer
