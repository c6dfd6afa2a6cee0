"""The sample jobs are submitted as a person would: through the site, with a login, a form and its token."""

from __future__ import annotations

import http.cookiejar
import urllib.parse
import urllib.request

from jobsapi.portal.demo import ON_HTCONDOR, SAMPLES, USER, DemoError


class Browser:
    """Just enough of one to log in and to press a button: cookies, redirects and CSRF tokens."""

    def __init__(self, site: str) -> None:
        self.site = site
        self._cookies = http.cookiejar.CookieJar()
        self._opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPCookieProcessor(self._cookies)
        )

    def get(self, path: str) -> str:
        """The address that answered, redirects followed. Raises ``DemoError`` for an error page."""
        return self._open(path, None)

    def post(self, path: str, **form: str) -> str:
        """Send a form of a page that was got before; otherwise as ``get``."""
        token = next((cookie.value or "" for cookie in self._cookies if cookie.name == "csrftoken"), "")
        return self._open(path, urllib.parse.urlencode({**form, "csrfmiddlewaretoken": token}).encode())

    def _open(self, path: str, data: bytes | None) -> str:
        try:
            with self._opener.open(self.site + path, data, timeout=30) as page:
                address: str = page.geturl()
                return address
        except OSError as error:  # urllib's own errors are OSErrors
            raise DemoError(f"The site answered {error} at {path}. See the log of the web server.") from error


def submit_samples(site: str, password: str, *, htcondor: bool) -> list[int]:
    """Log in, press the buttons, and return the numbers of the jobs that came of it."""
    from jobsapi.models import Job

    last = Job.objects.order_by("-pk").values_list("pk", flat=True).first() or 0
    browser = Browser(site)
    browser.get("/accounts/login/")
    if browser.post("/accounts/login/", username=USER, password=password).endswith("/accounts/login/"):
        raise DemoError("The site did not let the demo's user in.")
    browser.get("/demo/")
    browser.post("/demo/run/")
    if htcondor:
        browser.post("/demo/run-htcondor/")
    jobs = list(Job.objects.filter(pk__gt=last, user__username=USER).order_by("pk").values_list("pk", flat=True))
    expected = SAMPLES + ON_HTCONDOR * htcondor
    if len(jobs) != expected:
        raise DemoError(f"The sample page made {len(jobs)} jobs, not {expected}.")
    return jobs
