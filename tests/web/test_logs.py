"""The page of a job's logs: by name, its end first, whatever there are and however long they are."""

from __future__ import annotations

import html
import json
import os
import random
import re
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar

import pytest
from django.urls import reverse
from django.utils import timezone

from jobsapi.models import JobBlob, Purpose
from jobsapi.models.logs import PIECE
from jobsapi.status import Status
from jobsapi.web.job import following, logs, search

pytestmark = pytest.mark.django_db


@pytest.fixture
def browser(client, ada):
    client.force_login(ada)
    return client


class Recorder:
    """A dispatcher that keeps the messages that workers would get."""

    sent: ClassVar = []

    def send(self, verb, pk, label):
        self.sent.append((verb, pk))


@pytest.fixture
def flood(condor_row):
    """A job of HTCondor that runs on this machine: its logs are files."""
    return condor_row("flood", backend_state={"logs": ["**/logs/*"]})


@pytest.fixture
def write(flood):
    """Write a log of it."""

    def log(name, content):
        path = flood.folder / "flood" / "logs" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return f"flood/logs/{name}"

    return log


def page_of(job) -> str:
    return reverse("jobsapi:job-logs", args=[job.pk])


def text(response) -> str:
    return html.unescape(response.content.decode())


def link(page: str, words: str) -> str | None:
    """Where a link leads."""
    found = re.search(rf'<a [^>]*href="([^"]*)"[^>]*>{words}<', page)
    return found and found[1]


@contextmanager
def at_most_read(limit):
    """This process reads no more than ``limit`` bytes meanwhile: proc(5) counts them."""

    def count():
        return int(re.search(r"rchar: (\d+)", Path("/proc/self/io").read_text())[1])

    before = count()
    yield
    assert count() - before < limit


def listed(page: str) -> list[str]:
    found = re.search(r'<nav aria-label="Logs">.*?</nav>', page, re.S)
    return re.findall(r"<li><a [^>]*>([^<]*)</a>", found[0]) if found else []


def shown(page: str) -> list[str]:
    """The texts of the logs, without the history."""
    return [
        re.sub("</?mark[^>]*>", "", log)
        for log in re.findall(r'<pre id="log-\d+-text"><span [^>]*>(.*?)</span></pre>', page, re.S)
    ]


def test_the_history_is_there_and_is_escaped(browser, row):
    job = row(status=Status.RUNNING)
    job.event("worker", "Accepted by <cluster>.", "Traceback: <line 7>").save()
    page = browser.get(page_of(job)).content.decode()
    assert "Accepted by &lt;cluster&gt;." in page
    assert "Traceback: &lt;line 7&gt;" in page


def test_few_logs_are_shown_together_with_it(browser, row):
    job = row(status=Status.COMPLETE)
    stored = {name: {"text": f"{name} says <hi>", "offset": 0, "size": 20} for name in ("scheduler", "worker")}
    JobBlob.store(job, Purpose.LOGS, json.dumps(stored).encode())

    page = text(browser.get(page_of(job)))

    assert shown(page) == ["scheduler says <hi>", "worker says <hi>"]
    assert listed(page) == []
    assert "<hi>" not in browser.get(page_of(job)).content.decode()


def test_a_long_log_opens_at_its_end_and_is_read_backwards_and_forwards(browser, flood, write):
    lines = b"".join(b"line %07d\n" % number for number in range(20_000))
    name = write("flood.13.0.out", lines)

    end = text(browser.get(page_of(flood), {"log": name}))
    earlier = text(browser.get(page_of(flood) + link(end, "← Earlier")))
    later = text(browser.get(page_of(flood) + link(earlier, "Later →")))
    first = text(browser.get(page_of(flood) + link(end, "Beginning")))

    assert shown(end) == [lines[-PIECE:].decode()]
    assert shown(earlier) == [lines[-2 * PIECE : -PIECE].decode()]
    assert shown(later) == shown(end)
    assert shown(first) == [lines[:PIECE].decode()]
    assert link(end, "Later →") is None
    assert link(first, "← Earlier") is None
    assert link(first, "End") == link(end, "flood.13.0.out")
    assert "Bytes 0 to 65,536 of 260,000." in first


def test_a_log_of_a_gigabyte_opens_at_its_end_and_is_never_read_as_a_whole(browser, flood, write):
    name = write("huge.out", b"")
    path = flood.folder / name
    os.truncate(path, 2**30)
    with path.open("ab") as log:
        log.write(b"the end")
    browser.get(page_of(flood))  # what is read only once, like templates, is not counted below

    with at_most_read(2**20):
        page = browser.get(page_of(flood), {"log": name})

    assert "the end" in text(page)
    assert len(page.content) < 200_000


def test_three_thousand_logs_are_listed_by_folder_and_found_by_name(
    browser, flood, write, django_assert_max_num_queries
):
    for number in range(3_000):
        write(f"flood.13.{number}.out", b"x" * number)

    with django_assert_max_num_queries(6):
        page = text(browser.get(page_of(flood)))
    found = text(browser.get(page_of(flood), {"find": ".13.2999."}))
    chosen = text(browser.get(page_of(flood) + link(found, "flood.13.2999.out")))

    assert listed(page)[:4] == ["History", "flood.13.0.out", "flood.13.1.out", "flood.13.2.out"]
    assert len(listed(page)) == 1 + logs.LISTED
    assert page.count('class="folder"') == 1
    assert "The first 200 of 3000 logs." in page
    assert shown(page) == []
    assert listed(found) == listed(chosen) == ["History", "flood.13.2999.out"]
    assert shown(chosen) == ["x" * 2999]


NOTHING = "204 without a body"


class Reader:
    """A page of logs that is open: it keeps where it is in each, and what it shows, as a browser does."""

    def __init__(self, browser, job, **query):
        self.browser, self.address = browser, reverse("jobsapi:job-log-follow", args=[job.pk])
        page = browser.get(page_of(job), query).content.decode()
        self.at = dict(re.findall(r'id="(log-\d+-at)" name="at" value="([^"]*)"', page))
        self.names = re.findall(r"follow/\?names=(\w+)", page)
        self.follows = 'hx-trigger="every 2s" hx-swap="none" hx-include="[name=at]"' in page

    def look(self) -> str:
        """What is sent."""
        query = {"at": [html.unescape(at) for at in self.at.values()], **({"names": self.names} if self.names else {})}
        answer = self.browser.get(self.address, query)
        page = answer.content.decode()
        self.at |= dict(re.findall(r'id="(log-\d+-at)" name="at" value="([^"]*)"', page))
        return NOTHING if (answer.status_code, page) == (204, "") else html.unescape(page)


def test_a_page_is_sent_what_was_written_since(browser, flood, write):
    name = write("flood.out", b"begun\n")
    reader = Reader(browser, flood, log=name)
    path = flood.folder / name

    assert reader.look() == NOTHING
    path.write_bytes(b"begun\n<more>\n")
    assert '<div hx-swap-oob="beforeend:#log-0-chunk-0"><more>\n</div>' in reader.look()
    assert reader.look() == NOTHING


def test_what_is_written_is_escaped(browser, flood, write):
    name = write("flood.out", b"")
    reader = Reader(browser, flood, log=name)
    (flood.folder / name).write_bytes(b"<script>alert(1)</script>")
    query = {"at": [html.unescape(at) for at in reader.at.values()]}
    assert b"<script>" not in browser.get(reader.address, query).content


def test_all_logs_of_a_page_are_followed_with_one_request(browser, flood, write):
    one, two = write("one.out", b"1"), write("two.out", b"2")
    reader = Reader(browser, flood)
    for name in (one, two):
        with (flood.folder / name).open("ab") as log:
            log.write(b" and more")
    assert reader.look().count(" and more") == 2
    assert reader.look() == NOTHING
    write("three.out", b"3")
    found = reader.look()
    assert "There are other logs by now." in found
    assert "?names=" not in found


def test_a_log_that_was_cut_or_replaced_is_shown_anew(browser, flood, write):
    name = write("flood.out", b"x" * 1000)
    reader = Reader(browser, flood, log=name)
    path = flood.folder / name

    os.truncate(path, 0)
    with path.open("ab") as log:
        log.write(b"after the cut")
    cut = reader.look()
    (flood.folder / "next").write_bytes(b"y" * 2000 + b"after the rotation")
    (flood.folder / "next").rename(path)
    rotated = reader.look()

    assert "was cut" in cut
    assert "after the cut" in cut
    assert "Another file" in rotated
    assert "after the rotation" in rotated
    assert reader.look() == NOTHING


def test_of_a_log_that_grows_too_fast_the_end_is_sent(browser, flood, write):
    name = write("flood.out", b"")
    reader = Reader(browser, flood, log=name)
    os.truncate(flood.folder / name, 2**30)
    with (flood.folder / name).open("ab") as log:
        log.write(b"the end")

    with at_most_read(2**20):
        sent = reader.look()

    assert "More was written than can be shown at once" in sent
    assert sent.count("\x00") < 70_000
    assert "the end" in sent


def test_the_oldest_goes_from_a_page_that_would_grow_without_end(browser, flood, write):
    name = write("flood.out", b"")
    reader, shown = Reader(browser, flood, log=name), {0}
    most = 0
    for _ in range(60):
        with (flood.folder / name).open("ab") as log:
            log.write(b"x" * 50_000)
        sent = reader.look()
        shown |= {int(number) for number in re.findall(r'<span id="log-0-chunk-(\d+)">', sent)}
        shown -= {int(number) for number in re.findall(r'<span id="log-0-chunk-(\d+)" hx-swap-oob="delete">', sent)}
        most = max(most, len(shown))
    assert most == following.CHUNKS


def test_no_letter_is_cut_in_two(browser, flood, write):
    name = write("flood.out", b"")
    reader = Reader(browser, flood, log=name)
    path = flood.folder / name
    whole = "Rhône 𝄞".encode()

    path.write_bytes(whole[:3])
    first = reader.look()
    path.write_bytes(whole[:-1])
    second = reader.look()
    path.write_bytes(whole)
    third = reader.look()

    assert "�" not in first + second + third
    assert "ône" in second
    assert "𝄞" in third


def test_following_ends_with_the_job_and_not_before_its_last_words(browser, flood, write, change):
    name = write("flood.out", b"")
    reader = Reader(browser, flood, log=name)
    (flood.folder / name).write_bytes(b"last words")
    change(flood, _status=Status.COMPLETE, completion_time=timezone.now())

    words, end = reader.look(), reader.look()

    assert "last words" in words
    assert "nothing more is written" not in words
    assert "nothing more is written" in end
    assert not Reader(browser, flood, log=name).follows


def test_a_page_that_says_it_began_long_ago_is_sent_the_end_and_not_all_that_would_have_to_go(browser, flood, write):
    name = write("flood.out", b"")
    os.truncate(flood.folder / name, 16 * 2**30)
    reader = Reader(browser, flood, log=name)
    number, offset, _, identity, *_ = reader.at["log-0-at"].split(".")
    with (flood.folder / name).open("ab") as log:
        log.write(b"news")

    for last in ("0", str(2 * int(offset))):
        reader.at = {"log-0-at": f"{number}.{offset}.{last}.{identity}.{name}"}
        sent = reader.look()
        assert 'hx-swap-oob="delete"' not in sent
        assert "this is the end of it" in sent


@pytest.mark.parametrize(
    "at", ["", "x", "0.0.0", "0.0.0..", "0.0.0..../../etc/passwd", "0.0.0.a./etc/passwd", "-1.0.0..good.out", "9" * 99]
)
def test_where_a_page_says_it_is_may_be_anything(browser, flood, write, at):
    write("good.out", b"good")
    answer = browser.get(reverse("jobsapi:job-log-follow", args=[flood.pk]), {"at": at})
    assert (answer.status_code, answer.content) == (204, b"")


def test_a_worker_is_asked_for_what_is_newer_while_somebody_reads(
    browser, row, settings, django_capture_on_commit_callbacks
):
    settings.JOBSAPI = {**settings.JOBSAPI, "DISPATCHER": f"{__name__}.Recorder"}
    job = row(status=Status.RUNNING)
    JobBlob.store(job, Purpose.LOGS, json.dumps({"far.out": {"text": "end", "offset": 997, "size": 1000}}).encode())
    reader = Reader(browser, job, log="far.out")

    with django_capture_on_commit_callbacks(execute=True):
        assert reader.look() == NOTHING
    JobBlob.store(job, Purpose.LOGS, json.dumps({"far.out": {"text": "end+", "offset": 997, "size": 1001}}).encode())

    assert Recorder.sent == [("fetch_logs", job.pk)]
    assert ">+</div>" in reader.look()


def test_a_text_is_found_with_the_lines_around_it(browser, flood, write):
    lines = "".join(f"line {number}: {'Überlauf' if number == 700 else 'calm'}\n" for number in range(9_000))
    name = write("flood.out", lines.encode())

    page = text(browser.get(page_of(flood), {"log": name, "search": "überlauf"}))
    found = text(browser.get(page_of(flood) + link(page, "Byte .*?")))

    assert "1 place in the whole log." in page
    assert "line 698: calm" in page
    assert "<mark>Überlauf</mark>" in page
    assert "line 703" not in page
    assert '<mark id="hit">Überlauf</mark>' in found
    assert "Nothing in the whole log." in text(
        browser.get(page_of(flood), {"log": name, "search": "überlauf", "case": "yes"})
    )


@pytest.mark.parametrize(
    ("written", "wanted"),
    [
        ("ÄRGER", "ärger"),
        ("ΟΔΟΣ", "οδος"),
        ("οδος", "ΟΔΟΣ"),
        ("İZMİR ğ", "izmir Ğ"),
        ("GROẞ", "groß"),
        ("5 \u212b", "5 å"),
        ("Ⱥ", "ⱥ"),
        ("𐐀", "𐐨"),
    ],
)
def test_capitals_and_small_letters_of_all_scripts_are_alike(written, wanted):
    data = b"\xff\xc3" + f"{wanted[:-1]} {written} ".encode() + b"\xe2\x82"
    hits = search.Needle.of(wanted, ignores_case=True).hits_in(data)
    assert [data[begin:end].decode() for begin, end in hits] == [written]


@pytest.mark.parametrize("wanted", ["ab", "äb", "É", "Σ", "å", "aÅ", "𐐨"])
@pytest.mark.parametrize("ignores_case", [True, False])
def test_no_hit_is_lost_or_found_twice_where_two_blocks_meet(monkeypatch, wanted, ignores_case):
    monkeypatch.setattr(search, "BLOCK", 16)
    monkeypatch.setattr(search, "BUDGET", 64)
    monkeypatch.setattr(search, "MOST", 3)
    dice, needle = random.Random(5), search.Needle.of(wanted, ignores_case=ignores_case)
    for _ in range(100):
        letters = dice.choices([*"abAB äéÉåÅ\u212bσςΣ𐐀𐐨\n", b"\xff", b"\xc3"], k=300)
        data = b"".join(letter if isinstance(letter, bytes) else letter.encode() for letter in letters)
        every = [begin for begin, _ in needle.hits_in(data)]

        def read(offset, limit, data=data):
            return data[offset : offset + limit]

        forwards, position = [], 0
        while position < len(data):
            found = search.forwards(read, needle, position, len(data))
            forwards += [hit.start for hit in found.hits]
            position = found.end
        backwards, position = [], len(data)
        while position > 0:
            found = search.backwards(read, needle, 0, position)
            backwards = [hit.start for hit in found.hits] + backwards
            position = found.start
        assert forwards == backwards == every


def test_what_is_found_is_escaped(browser, flood, write):
    name = write("flood.out", b"<b>bold</b>")
    page = browser.get(page_of(flood), {"log": name, "search": "<b>"}).content.decode()
    assert "<mark>&lt;b&gt;</mark>bold&lt;/b&gt;" in page
    assert "<b>" not in page


def test_many_places_are_shown_page_by_page_forwards_and_back(browser, flood, write):
    name = write("flood.out", b"".join(b"%04d hit%s\n" % (number, b"." * 2_000) for number in range(50)))
    query = {"log": name, "search": "hit"}

    first = text(browser.get(page_of(flood), query))
    second = text(browser.get(page_of(flood) + link(first, "Search on from here →")))
    third = text(browser.get(page_of(flood) + link(second, "Search on from here →")))
    back = text(browser.get(page_of(flood) + link(third, "← Search what is before")))
    last = text(browser.get(page_of(flood) + link(first, "Search backwards from the end")))

    def places(page):
        return [int(number) for number in re.findall(r"(\d{4}) <mark>", page)]

    assert places(first) + places(second) + places(third) == list(range(50))
    assert places(back) == places(second)
    assert places(last) == list(range(30, 50))
    assert link(third, "Search on from here →") is None


def test_a_search_in_a_log_of_a_gigabyte_takes_it_bit_by_bit(browser, flood, write):
    name = write("huge.out", b"")
    os.truncate(flood.folder / name, 2**30)
    with (flood.folder / name).open("ab") as log:
        log.write(b"needle")

    with at_most_read(search.BUDGET + 4 * 2**20):
        first = text(browser.get(page_of(flood), {"log": name, "search": "needle"}))
    second = text(browser.get(page_of(flood) + link(first, "Search on from here →")))
    last = text(browser.get(page_of(flood) + link(first, "Search backwards from the end")))

    assert f"Nothing in bytes 0 to {search.BUDGET:,} of" in first
    assert f"Nothing in bytes {search.BUDGET:,} to {2 * search.BUDGET:,} of" in second
    assert "<mark>needle</mark>" in last


def test_a_download_is_the_whole_log_as_an_attachment(browser, flood, write):
    content = os.urandom(300_000)
    name = write('<b>"odd".out', content)

    answer = browser.get(reverse("jobsapi:job-log-download", args=[flood.pk]), {"log": name})

    assert answer.getvalue() == content
    assert answer["Content-Type"] == "application/octet-stream"
    assert answer["Content-Disposition"].startswith("attachment")
    assert "flood-" in answer["Content-Disposition"]


def test_of_a_log_that_was_fetched_its_end_is_downloaded(browser, row):
    job = row(status=Status.RUNNING)
    JobBlob.store(job, Purpose.LOGS, json.dumps({"far.out": {"text": "end", "offset": 997, "size": 1000}}).encode())
    assert browser.get(reverse("jobsapi:job-log-download", args=[job.pk]), {"log": "far.out"}).getvalue() == b"end"


@pytest.mark.parametrize(
    "name", ["../../../etc/passwd", "/etc/passwd", "flood/logs", "flood/secret", "history", "\x00"]
)
def test_no_path_of_a_browsers_is_downloaded(browser, flood, write, name):
    write("good.out", b"good")
    (flood.folder / "flood" / "secret").write_text("secret")
    assert browser.get(reverse("jobsapi:job-log-download", args=[flood.pk]), {"log": name}).status_code == 404


@pytest.mark.parametrize(
    ("status", "native_id", "sentence"),
    [
        (Status.PENDING, "", "the job has not been run yet"),
        (Status.SUBMITTED, "", "no scheduler has accepted the job"),
        (Status.RUNNING, "13", "They show up here when"),
        (Status.COMPLETE, "13", "No logs were kept"),
    ],
)
def test_without_logs_it_says_why(browser, row, status, native_id, sentence):
    assert sentence in text(browser.get(page_of(row(status=status, native_id=native_id))))


@pytest.mark.parametrize(
    "pattern", ["**/logs/*", "*.out", "A/logs/A.*.[0-9].out", "flood.log", "A/**/*.out", "[[]x].out"]
)
def test_a_log_is_known_by_its_name_as_by_looking_through_the_folder(condor_row, pattern):
    job = condor_row(backend_state={"logs": [pattern]})
    names = ["logs/x", "A/logs/A.1.2.out", "A/logs/A.1.22.out", "x.out", "[x].out", ".out", "A/B/C/y.out", "flood.log"]
    for name in names:
        (job.folder / name).parent.mkdir(parents=True, exist_ok=True)
        (job.folder / name).touch()

    known = {name: path for name in names if (path := job.log_path(name))}

    assert known == job.log_files() != {}
    for odd in ("", "./x.out", "A//logs/x", "../x.out", "/x.out", "a/" * 5_000 + "x.out"):
        assert job.log_path(odd) is None


@pytest.mark.parametrize("pattern", ["**/logs/*", "*/logs/*", "A/logs/x.out", "A/*/x.out"])
@pytest.mark.parametrize("link", ["A/logs", "A", ""])
def test_what_lies_behind_a_link_is_not_even_named(browser, condor_row, tmp_path, pattern, link):
    job = condor_row(backend_state={"logs": [pattern, "own.out"]})
    outside = tmp_path / "outside"
    (outside / Path("A/logs").relative_to(link or ".")).mkdir(parents=True)
    (outside / Path("A/logs/x.out").relative_to(link or ".")).write_text("secret")
    (job.folder / link).parent.mkdir(parents=True, exist_ok=True)
    (job.folder / link).symlink_to(outside)
    if link:
        (job.folder / "own.out").write_text("own")

    assert job.log_files().keys() == ({"own.out"} if link else set())
    assert "x.out" not in text(browser.get(page_of(job)))


def test_those_of_a_node_are_found_by_its_folder(browser, condor_row):
    flow = condor_row("flow", nodes=("A", "BA"), backend_state={"logs": ["*/logs/*"]})
    for node in ("A", "BA"):
        (flow.folder / node / "logs").mkdir(parents=True)
        for number in range(4):
            (flow.folder / node / "logs" / f"{node}.14.{number}.out").write_text("x")
    assert [name[0] for name in listed(text(browser.get(page_of(flow), {"find": "/A/"})))[1:]] == ["A"] * 4


@pytest.mark.parametrize("name", ["ü b&c=1#?.out", "100%.out", "a+b;c.out", '"><script>.out'])
def test_names_may_be_odd(browser, flood, write, name):
    full = write(name, b"it is here")
    for number in range(logs.FEW):
        write(f"other.{number}", b"")

    overview = browser.get(page_of(flood)).content.decode()
    address = next(
        html.unescape(href)
        for href in re.findall(r'<li><a href="([^"]*)"', overview)
        if shown(text(browser.get(page_of(flood) + html.unescape(href)))) == ["it is here"]
    )

    assert "<script>.out" not in overview
    assert full in text(browser.get(page_of(flood) + address))


def test_a_name_that_is_no_text_is_left_out(browser, flood, write):
    write("good.out", b"good")
    for name in (b"\xff.out", b"two\nlines.out"):
        (flood.folder / "flood" / "logs" / os.fsdecode(name)).write_text("odd")

    assert shown(text(browser.get(page_of(flood)))) == ["good"]


@pytest.mark.parametrize(
    "name", ["../../../etc/passwd", "/etc/passwd", "flood/logs", "flood/secret", "flood/logs/link", "\x00", "history"]
)
def test_no_path_of_a_browsers_is_believed(browser, flood, write, name):
    write("good.out", b"good")
    (flood.folder / "flood" / "secret").write_text("secret")
    (flood.folder / "flood" / "logs" / "link").symlink_to("/etc/passwd")

    assert browser.get(page_of(flood), {"log": name}).status_code == 404


@pytest.mark.parametrize("offset", ["-1", "x", "", "²", "9" * 5_000, "9" * 19])
def test_an_offset_may_be_anything(browser, flood, write, offset):
    name = write("good.out", b"good")
    assert browser.get(page_of(flood), {"log": name, "offset": offset}).status_code == 200


def test_what_is_no_text_is_shown_as_far_as_it_is(browser, flood, write):
    name = write("odd.out", b"\xff\x00\x1b[31mred " + "Rhône".encode())
    assert "red Rhône" in text(browser.get(page_of(flood), {"log": name}))


def test_of_a_log_whose_beginning_was_not_fetched_nothing_earlier_is_offered(browser, row):
    job = row(status=Status.RUNNING)
    JobBlob.store(job, Purpose.LOGS, json.dumps({"far.out": {"text": "end", "offset": 997, "size": 1000}}).encode())

    page = text(browser.get(page_of(job), {"log": "far.out"}))

    assert "Bytes 997 to 1,000 of 1,000, the end." in page
    assert link(page, "← Earlier") is None
    assert "of which a worker has fetched the end" in page


def test_logs_that_cannot_be_opened_are_told_of(browser, row):
    job = row(status=Status.COMPLETE)
    JobBlob.store(job, Purpose.LOGS, b"{}")
    JobBlob.objects.filter(job=job, purpose=Purpose.LOGS).update(sealed=b"forged")

    page = browser.get(page_of(job))

    assert page.status_code == 200
    assert "notice error" in text(page)


def test_the_logs_of_others_are_not_there(client, flood, write, bob):
    name = write("good.out", b"good")
    client.force_login(bob)
    assert client.get(page_of(flood), {"log": name}).status_code == 404
    client.logout()
    assert client.get(page_of(flood)).status_code == 302
