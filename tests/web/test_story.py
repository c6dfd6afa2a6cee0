"""The pages as their users meet them, in a real Chromium. What runs on a real pool is told in ``tests/htcondor``."""

from __future__ import annotations

import re

import pytest
from django.contrib.auth.models import Group
from playwright.sync_api import expect

from jobsapi.models import Job
from jobsapi.status import Status
from jobsapi.web.urls import urlpatterns
from tests.rig.chromium import WIDEST, assert_not_reloaded, untouched

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

MENU_IN_WINDOW = """menu => {
  const { left, right } = menu.querySelector("div").getBoundingClientRect();
  return left >= 0 && right <= innerWidth;
}"""
CSRF = re.compile(r'value="\w{64}"')
FOCUSED = "document.activeElement.id"
HAS_RING = "getComputedStyle(document.activeElement).outlineStyle !== 'none'"
GROUND_AND_INK = "each => [getComputedStyle(each).backgroundColor, getComputedStyle(each).color]"


@pytest.fixture
def team(ada, bob):
    made = Group.objects.create(name="Team Rhône")
    ada.groups.add(made)
    bob.groups.add(made)
    return made


def tab_to(page, id):
    """Press Tab until the element has the focus, and shows it."""
    for _ in range(100):
        page.keyboard.press("Tab")
        if page.evaluate(FOCUSED) == id:
            assert page.evaluate(HAS_RING), f"nobody sees that {id} has the focus"
            return
    raise AssertionError(f"Tab does not reach {id}")


CALLBACKS = ("update-job-status", "report-job-status")
"""What jobs call, which have no account; ``test_callbacks`` has how they are answered."""


def addresses_of(job):
    """Every address of the site that names a job."""
    for pattern in urlpatterns:
        if "<int:job_id>" in str(pattern.pattern) and pattern.name not in CALLBACKS:
            known = {"job_id": str(job), "index": "5", "name": "report"}
            yield "/" + re.sub(r"<\w+:(\w+)>", lambda found: known[found[1]], str(pattern.pattern))  # noqa: B023


def test_to_a_second_user_the_jobs_of_the_first_are_not_there(readers, ada, bob, row, condor_row):
    row("secret one", Status.RUNNING, progress_total=4)
    job = condor_row("secret two", progress_total=4)
    mine, theirs = readers.page(ada), readers.page(bob)
    mine.goto("/jobs/")
    expect(mine.locator(".title")).to_have_text(["secret two", "secret one"])
    theirs.goto("/jobs/?search=secret")
    expect(theirs.get_by_text("Nothing found")).to_be_visible()
    theirs.goto("/jobs/")
    expect(theirs.get_by_text("No jobs yet")).to_be_visible()

    csrf = theirs.locator("#job-form [name=csrfmiddlewaretoken]").input_value()
    stolen = mine.locator("#job-form [name=token]").input_value()

    def answers(number):
        """What the second user is told at each address of a job, whether it is asked for or acted on."""
        for address in addresses_of(number):
            form = {"csrfmiddlewaretoken": csrf, "token": stolen, "part": "1", "right": "", "group": "1"}
            asked = theirs.request.get(address, max_redirects=0)
            acted = theirs.request.post(address, form=form, headers={"Referer": theirs.url}, max_redirects=0)
            yield address, asked.status, asked.text(), acted.status, CSRF.sub("", acted.text())

    guessed = [answer[1:] for answer in answers(10**6)]
    assert [answer[1:] for answer in answers(job.pk)] == guessed
    assert {status for answer in guessed for status in answer[::2]} <= {204, 404, 405, 410}
    assert set(Job.objects.values_list("requested", flat=True)) == {""}


def test_a_group_first_looks_at_a_job_and_then_manages_it(readers, ada, bob, team, row):
    job = row("flood", Status.RUNNING, progress_done=1, progress_total=4)
    mine, theirs = readers.page(ada), readers.page(bob)
    theirs.goto("/jobs/")
    expect(theirs.get_by_text("No jobs yet")).to_be_visible()
    untouched(theirs)

    mine.goto(f"/jobs/{job.pk}/")
    mine.get_by_label("Group").select_option(team.name)
    mine.get_by_role("button", name="Share").click()
    shown = theirs.locator(f"#job-{job.pk}")
    expect(shown).to_contain_text("flood")
    expect(shown).to_contain_text("of ada")
    assert shown.locator("button:not(:disabled), input[type=checkbox]").all() == []
    other = readers.page(bob)
    other.goto(f"/jobs/{job.pk}/")
    expect(other.get_by_role("heading", level=1)).to_have_text("flood")
    assert other.locator("main button:visible, main select").all() == []

    mine.get_by_role("button", name="Let act, too").click()
    shown.get_by_role("button", name="Stop", exact=True).click()
    theirs.get_by_role("dialog").get_by_role("button", name="Stop").click()
    expect(shown).to_contain_text("stopping …")
    expect(mine.locator("#job-head")).to_contain_text("stopping …")

    mine.get_by_role("button", name="Stop sharing").click()
    expect(shown).to_have_count(0)
    assert_not_reloaded(theirs)
    assert other.request.get(f"/jobs/{job.pk}/").status == 404


def test_dark_pages_are_dark(page, row, condor_row):
    failed = row("bad", Status.ERROR, status_message="ValueError: bad depth")
    flow = condor_row("flow", nodes=["A"])
    for address, piece in (
        ("/jobs/", "body"),
        ("/jobs/", "table.jobs"),
        (f"/jobs/{failed.pk}/", ".notice"),
        (f"/jobs/{flow.pk}/parts/", "table.jobs"),
    ):
        page.emulate_media(color_scheme="light")
        page.goto(address)
        light = [brightness(colour) for colour in page.locator(piece).first.evaluate(GROUND_AND_INK)]
        page.emulate_media(color_scheme="dark")
        dark = [brightness(colour) for colour in page.locator(piece).first.evaluate(GROUND_AND_INK)]
        assert light[0] > 200 > 100 > light[1], (address, piece)
        assert dark[0] < 60 < 150 < dark[1], (address, piece)


def brightness(colour):
    """Of a colour as a browser computes it: 0 to 255."""
    return sum(float(number) for number in re.findall(r"[\d.]+", colour)[:3]) / 3


def test_the_keyboard_alone_logs_in_finds_opens_selects_and_stops(readers, ada, row, change):
    first, second = (row(name, Status.RUNNING, progress_done=1, progress_total=9) for name in ("flood", "drought"))
    tasks = [["count_hits", 3, 1, 2, 0, 1]]
    change(first, backend_state={"tasks": tasks})
    page = readers.page()
    page.goto("/jobs/")
    page.keyboard.type("ada")  # the field has the focus
    page.keyboard.press("Tab")
    page.keyboard.type("pw")
    page.keyboard.press("Enter")
    expect(page.locator(".title")).to_have_text(["drought", "flood"])
    tab_to(page, "job-search")
    page.keyboard.type("flood")
    page.keyboard.press("Enter")
    expect(page.locator(".title")).to_have_text(["flood"])
    untouched(page)

    tab_to(page, f"job-{first.pk}-inside-summary")
    page.keyboard.press("Enter")
    expect(page.locator("dl.tasks")).to_contain_text("count_hits")
    change(first, progress_done=5)
    expect(page.locator(f"#job-{first.pk}")).to_contain_text("5 of 9")
    assert page.evaluate(FOCUSED) == f"job-{first.pk}-inside-summary"
    expect(page.locator("dl.tasks")).to_be_visible()

    page.locator("body").evaluate("() => document.activeElement.blur()")
    tab_to(page, f"job-{first.pk}-select")
    page.keyboard.press("Space")
    tab_to(page, "job-selected-stop")
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog").get_by_role("button", name="Cancel")).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.locator("#job-selected-stop")).to_be_focused()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.locator(f"#job-{first.pk}")).to_contain_text("stopping …")
    assert_not_reloaded(page)
    assert list(Job.objects.filter(requested="").values_list("pk", flat=True)) == [second.pk]


def test_on_a_phone_every_page_fits_and_a_menu_opens_to_a_finger(readers, ada, row, condor_row, workflow_row, change):
    long = "a_word_without_spaces_" * 9
    rows = [
        row(long, Status.RUNNING, progress_done=3, progress_total=7, backend_state={"tasks": [[long, 3, 1, 2, 0, 1]]}),
        row("bad", Status.ERROR, status_message=long * 3, backend_state={"traceback": f"{long * 3}\n" * 9}),
        condor_row("many", Status.VARIOUS, progress_total=800, backend_state={"ended": {"ok": "0-399"}}),
        workflow_row("flow", **{f"{long[:60]}{n}": {"status": "RUN", "native_id": str(n)} for n in range(9)}),
    ]
    page = readers.page(ada, viewport={"width": 390, "height": 844}, is_mobile=True, has_touch=True)
    for address in ("/jobs/", "/demo/", *(f"/jobs/{job.pk}/" for job in rows), f"/jobs/{rows[3].pk}/parts/"):
        page.goto(address)
        if address not in ("/jobs/", "/demo/"):
            expect(page.locator(".inside, .inside").first).to_be_visible()
        assert page.evaluate(WIDEST) <= 390, address
    page.goto("/jobs/")
    for word in ("Graph", "Parts", "Tasks"):
        page.locator("tr.more summary", has_text=word).last.tap()
    expect(page.locator("svg.graph")).to_be_visible()
    page.locator(f"#job-{rows[0].pk}-menu-summary").tap()
    menu = page.locator(f"#job-{rows[0].pk}-menu")
    assert menu.evaluate(MENU_IN_WINDOW)
    assert page.evaluate(WIDEST) <= 390
    menu.get_by_role("button", name="Stop").tap()
    page.get_by_role("dialog").get_by_role("button", name="Stop").tap()
    expect(page.locator(f"#job-{rows[0].pk}")).to_contain_text("stopping …")


def test_fifty_jobs_are_stopped_at_once(page, row):
    for number in range(55):
        row(f"job {number}", Status.RUNNING)
    page.goto("/jobs/")
    untouched(page)
    page.get_by_label("Select all on this page").check()
    page.get_by_role("group", name="Selected jobs").get_by_role("button", name="Stop").click()
    expect(page.get_by_role("dialog")).to_contain_text("Stop the selected jobs (50)?")
    page.get_by_role("dialog").get_by_role("button", name="Stop").click()
    expect(page.locator("#job-said")).to_contain_text("50 jobs asked to stop.")
    expect(page.get_by_text("stopping …")).to_have_count(50)
    assert_not_reloaded(page)
    assert Job.objects.filter(requested="cancel").count() == 50


def test_the_sites_policy_stands_between_a_page_and_what_gets_into_it(readers, page, row):
    job = row("<img src=x onerror=hit()>", Status.ERROR, status_message="<script>hit()</script>")
    for address in ("/jobs/", f"/jobs/{job.pk}/", f"/jobs/{job.pk}/logs/", f"/jobs/{job.pk}/result/"):
        assert "default-src 'none'" in page.goto(address).headers["content-security-policy"]
        expect(page.get_by_text(job.name).first).to_be_visible()
        assert readers.complaints == []
    page.evaluate("document.body.insertAdjacentHTML('beforeend', '<b onclick=\"window.hit = true\">Press</b>')")
    page.get_by_text("Press").click()
    assert page.evaluate("window.hit") is None
    assert "Content Security Policy" in readers.complaints.pop()


def test_after_a_session_has_ended_a_login_leads_back_to_where_one_was(page, client, row):
    row("flood", Status.RUNNING)
    row("drought", Status.COMPLETE)
    page.goto("/jobs/?search=flood")
    client.logout()
    expect(page.get_by_role("heading", name="Log in")).to_be_visible()
    page.get_by_label("Username").fill("ada")
    page.get_by_label("Password").fill("pw")
    page.get_by_role("button", name="Log in").click()
    expect(page.locator(".title")).to_have_text(["flood"])
