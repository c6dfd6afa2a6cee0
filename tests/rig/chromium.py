"""A real Chromium, and readers who look at a site in it. What their pages complain of is an error of the test."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.test import Client
from playwright.sync_api import expect, sync_playwright

from tests.rig.services import missing

OPTIONS = ("--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking")
GRAVE = ("serious", "critical")
WIDEST = "Math.max(document.documentElement.scrollWidth, document.body.scrollWidth)"
"""How wide a page is, in pixels: not more than its window unless it scrolls sideways."""


@contextmanager
def browser() -> Iterator[Any]:
    """Chromium, for as long as the block runs."""
    program = shutil.which("chromium")
    if program is None:
        missing("Chromium is not installed: run scripts/install-test-services")
    expect.set_options(timeout=15_000)  # pages ask every two seconds, and a busy machine takes its time
    # Playwright keeps an event loop in this thread, which Django takes for an async caller of the database.
    with pytest.MonkeyPatch.context() as patch, sync_playwright() as playwright:
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
        chromium = playwright.chromium.launch(executable_path=program, args=[*OPTIONS])
        yield chromium
        chromium.close()


class Readers:
    """``readers.page(ada)`` is a page that ada looks at, logged in. Each has a browser of their own."""

    def __init__(self, chromium: Any, site: str) -> None:
        self.chromium, self.site = chromium, site
        self.complaints: list[str] = []
        self._contexts: list[Any] = []

    def page(self, user: Any = None, client: Client | None = None, **options: Any) -> Any:
        """A page for ``user``, through the session of ``client`` if one is given; for a stranger without a user."""
        context = self.chromium.new_context(base_url=self.site, **options)
        self._contexts.append(context)
        if user is not None:
            client = client or Client()
            client.force_login(user)
            session = client.cookies["sessionid"].value
            context.add_cookies([{"name": "sessionid", "value": session, "url": self.site}])
        page = context.new_page()
        page.on("console", self._heard)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        return page

    def _heard(self, said: Any) -> None:
        # A browser asks for this icon by itself where a page, as those of Django's admin, names none.
        if said.type == "error" and not said.location["url"].endswith("/favicon.ico"):
            self.complaints.append(f"{said.text} ({said.location['url']})")

    def close(self) -> None:
        """They go. Raises ``AssertionError`` when a page has complained, of its Content-Security-Policy for one."""
        for context in self._contexts:
            for page in context.pages:
                page.unroute_all(behavior="ignoreErrors")
            context.close()
        assert not self.complaints, self.complaints


def untouched(page: Any) -> None:
    """Mark the document, so that ``assert_not_reloaded`` can tell it from another."""
    page.evaluate("document.documentElement.dataset.mark = 'same'")


def assert_not_reloaded(page: Any) -> None:
    """The document is still the one that was marked."""
    assert page.evaluate("document.documentElement.dataset.mark") == "same"


def assert_accessible(page: Any, place: str = "") -> None:
    """An accessibility check finds nothing grave, in the light; nor do its colours in the dark.

    It is made of the page as it stands, with what is open in it. ``place`` is named when something is found.
    """
    page.emulate_media(color_scheme="light", reduced_motion="reduce")
    found = Axe().run(page).response
    assert len(found["passes"]) > 5, place
    assert not _grave(found), f"{place or page.url}, light: {_grave(found)}"
    page.emulate_media(color_scheme="dark")
    colours = {"runOnly": {"type": "rule", "values": ["color-contrast"]}}
    found = Axe().run(page, options=colours).response
    assert not _grave(found), f"{place or page.url}, dark: {_grave(found)}"
    page.emulate_media(color_scheme="light")


def _grave(found: dict[str, Any]) -> list[str]:
    return [
        f"{each['id']} ({each['impact']}): {node['target']} {node['html'][:200]} {node.get('failureSummary', '')}"
        for each in found["violations"]
        if each["impact"] in GRAVE
        for node in each["nodes"]
    ]
