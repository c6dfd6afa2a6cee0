"""JobsTable as an app makes it: what it takes, what it refuses, how it is sorted, filtered and paged."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from django.contrib.auth.models import Group
from django.db import connection
from django.http import QueryDict
from django.test.utils import CaptureQueriesContext

from jobsapi.gizmos import CustomJobAction, JobsTable
from jobsapi.manager import JobManager, follow
from jobsapi.models import Job
from jobsapi.status import Status
from jobsapi.web.bars import segments
from jobsapi.web.table.changes import Changes
from jobsapi.web.table.columns import Column, possible
from jobsapi.web.table.showing import contents_of, viewer_of
from jobsapi.web.table.state import Order, State
from jobsapi.web.table.tokens import Expired, Shown
from tests.web import host

SORTS = frozenset({"id", "name", "completion_time", "_status"})


def shown(table, query="", key="job"):
    state = State.read(QueryDict(query), "", table.sorts)
    return Shown(table, state, key, f"/app/?{query}")


def names(user, jobs, query="", **options):
    """What a user sees of a table, from top to bottom."""
    contents = contents_of(shown(JobsTable(jobs, **options), query), viewer_of(user))
    return [line.row.name for line in contents.lines]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"column_fields": ["nmae"]}, "no field “nmae”"),
        ({"column_fields": "name"}, 'column_fields=\\("name",\\)'),
        ({"column_fields": [("Heading",)]}, "Heading"),
        ({"column_fields": ["execute"]}, "no field “execute”"),
        ({"column_fields": ["result"]}, "no field “result”"),
        ({"column_fields": ["scheduler.password"]}, "no field “scheduler.password”"),
        ({"actions": ["explode"]}, "no action “explode”"),
        ({"actions": "run"}, 'actions=\\["run"\\]'),
        ({"actions": [7]}, "not 7"),
        ({"actions": [("Do", lambda job: None)]}, "top of a module"),
        ({"actions": [("Do", host.Actions().__init__)]}, "top of a module"),
        ({"actions": [("Nothing",)]}, "does nothing"),
        ({"actions": [("", "closer")]}, "label"),
        ({"actions": [CustomJobAction]}, "An action is"),
        ({"refresh_interval": "5s"}, "refresh_interval is a number"),
    ],
)
@pytest.mark.django_db
def test_a_wrong_argument_is_refused_where_it_is_written_and_says_what_to_do(options, words):
    with pytest.raises((TypeError, ValueError), match=words):
        JobsTable(Job.objects.all(), **options)


@pytest.mark.parametrize("jobs", ["jobs", None, 5, [1, 2]])
def test_only_jobs_make_a_table(jobs):
    with pytest.raises(TypeError, match="jobs"):
        JobsTable(jobs)


@pytest.mark.django_db
def test_values_and_unsaved_jobs_make_no_table(ada):
    with pytest.raises(TypeError, match="queryset itself"):
        JobsTable(Job.objects.values("id"))
    with pytest.raises(ValueError, match=r"save\(\) it first"):
        JobsTable([JobManager(host.App).create_job("new", ada, job_type="BASIC")])


def test_all_arguments_of_the_predecessor_are_taken_in_their_order():
    table = JobsTable(
        Job.objects.all(), ("id",), True, False, "monitor", "results", True, True, True, True, {"data-x": "<1>"},
        "mine", 250, False, True, ["monitor"], True, {"pageLength": 7}, False, True,
    )  # fmt: skip
    assert table.classes == "hover striped bordered condensed mine"
    assert str(table.attributes_as_html) == ' data-x="&lt;1&gt;"'
    assert (table.refresh_interval, table.page_size, table.actions) == (500, 7, ("monitor",))


def test_monitor_and_results_are_there_only_with_an_address():
    assert "monitor" not in JobsTable(Job.objects.all()).actions
    assert "results" in JobsTable(Job.objects.all(), results_url="x").actions


def test_headings_are_made_from_names():
    given = ["creation_time", "extended_properties.max_depth", "id", ("Mine", "name")]
    assert [Column.of(each).heading for each in given] == ["Creation time", "Max depth", "No.", "Mine"]


def test_the_possible_columns_are_fields_and_properties_of_all_types_of_jobs():
    assert {"name", "status", "run_time", "num_jobs", "attributes", "key", "user", "custom_status"} <= possible()
    assert not {"execute", "result", "client", "leased_until", "_status", "objects"} & possible()


@pytest.mark.django_db
def test_no_column_asks_the_database_for_each_row(ada, row, condor_row, workflow_row):
    for number in range(3):
        row(f"dask {number}", Status.COMPLETE, backend_state={"preview": "1"})
        condor_row(f"pool {number}", Status.COMPLETE)
        workflow_row(f"flow {number}", A={"status": "COM"})

    viewer = viewer_of(ada)

    def queries(field):
        with CaptureQueriesContext(connection) as found:
            assert len(contents_of(shown(JobsTable(Job.objects.all(), [field])), viewer).lines) == 9
        return len(found)

    assert {field: count for field in sorted(possible()) if (count := queries(field)) > 1} == {}


def test_what_is_for_a_job_alone_is_no_column():
    assert not {"report_token", "report_url"} & possible()


@pytest.mark.django_db
def test_values_are_shown_as_text(row):
    job = row(extended_properties={"depth": {"max": 1.25}, "tags": ["a", "b"], "ok": True}, progress_total=3)
    fields = ("extended_properties.depth.max", "extended_properties.tags", "extended_properties.ok", "user", "status")
    cells = [Column.of(field).cell(job).text for field in (*fields, "completion_time", "num_jobs")]
    assert cells == ["1.25", "a, b", "yes", "ada", "Running", "", ""]
    assert Column.of("creation_time").cell(job).moment == job.creation_time
    assert Column.of("run_time").cell(job).since == job.start_time


@pytest.mark.django_db
def test_a_table_is_in_the_order_in_which_its_jobs_were_made_unless_it_is_told_otherwise(ada, row):
    for name in "bca":
        row(name)
    jobs = JobManager(host.App).list_jobs(ada)
    assert names(ada, jobs) == ["b", "c", "a"]
    assert names(ada, jobs, reverse_sort=True) == ["a", "c", "b"]
    assert names(ada, jobs, sort=lambda job: job.name) == ["a", "b", "c"]
    assert names(ada, jobs.order_by("name"), sort=False) == ["a", "b", "c"]
    assert names(ada, sorted(jobs, key=lambda job: job.name), sort=False, reverse_sort=True) == ["c", "b", "a"]
    assert names(ada, jobs[:2], sort=False) == ["b", "c"]


@pytest.mark.django_db
@pytest.mark.parametrize("as_list", [False, True])
@pytest.mark.parametrize("column", ["id", "name", "completion_time", "_status"])
@pytest.mark.parametrize("down", ["", "&down=1"])
def test_every_job_is_on_one_page_whatever_it_is_sorted_by(ada, row, column, down, as_list):
    for number in range(11):
        ended = {"completion_time": datetime(2026, 1, 1 + number // 3, tzinfo=UTC)}
        row(f"job {number % 4}", *((Status.COMPLETE,) if number % 2 else ()), **(ended if number % 2 else {}))
    jobs = JobManager(host.App).list_jobs(ada)
    jobs = list(jobs) if as_list else jobs
    query, found, pages = f"sort={column}{down}", [], []
    while query:
        page = contents_of(shown(JobsTable(jobs, page_size=4), query), viewer_of(ada))
        found += [line.number for line in page.lines]
        pages.append([line.number for line in page.lines])
        query = page.later.partition("?")[2]
        assert len(pages) < 5
    assert sorted(found) == sorted(Job.objects.values_list("pk", flat=True))
    before = contents_of(shown(JobsTable(jobs, page_size=4), page.earlier.partition("?")[2]), viewer_of(ada))
    assert [line.number for line in before.lines] == pages[-2]


@pytest.mark.django_db
def test_the_pages_of_a_list_keep_its_order(ada, row):
    jobs = [row(name) for name in "abcde"]
    table = JobsTable([jobs[2], jobs[4], jobs[0], jobs[1], jobs[3]], sort=False, page_size=2)
    first = contents_of(shown(table), viewer_of(ada))
    second = contents_of(shown(table, first.later.partition("?")[2]), viewer_of(ada))
    third = contents_of(shown(table, second.later.partition("?")[2]), viewer_of(ada))
    assert [[line.row.name for line in page.lines] for page in (first, second, third)] == [
        ["c", "e"],
        ["a", "b"],
        ["d"],
    ]
    assert (first.earlier, third.later) == ("", "")


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("search=RIVER", {"river", "lake"}),
        ("search=100%25", set()),
        ("status=ERR", {"lake"}),
        ("status=active", {"river"}),
        ("status=ended", {"lake", "pond"}),
        ("status=failed", {"lake"}),
        ("status=nonsense", {"river", "lake", "pond", "raft"}),
        ("type=CondorJob", {"raft"}),
        ("type=DaskJob&status=COM", {"pond"}),
        ("owner=ada", {"river", "lake", "pond", "raft"}),
        ("owner=bob", set()),
        ("sort=password&after=[1", {"river", "lake", "pond", "raft"}),
        ("after=%5B%22x%22,%22y%22%5D&before=5", {"river", "lake", "pond", "raft"}),
        ("after=%5Bnull,-1%5D&search=%00", {"river", "lake", "pond", "raft"}),
    ],
)
def test_what_is_looked_for_is_in_the_address_and_nonsense_is_not(ada, row, condor_row, query, found):
    row("river")
    row("lake", Status.ERROR, description="a river ends here")
    row("pond", Status.COMPLETE)
    condor_row("raft", Status.PENDING)
    assert set(names(ada, Job.objects.all(), query)) == found


@pytest.mark.django_db
def test_a_number_finds_its_job(ada, row):
    row("a")
    job = row("b")
    assert names(ada, Job.objects.all(), f"search={job.pk}") == ["b"]


@pytest.mark.django_db
def test_what_the_viewer_may_not_see_is_in_no_table(ada, bob, row):
    group = Group.objects.create(name="rivers")
    ada.groups.add(group)
    row("bobs", user=bob)
    shared, managed = row("to see", user=bob), row("to manage", user=bob)
    shared.share(group)
    managed.share(group, right="manage")
    row("adas")
    for jobs in (Job.objects.all(), list(Job.objects.all()), JobManager(host.App).list_jobs()):
        contents = contents_of(shown(JobsTable(jobs)), viewer_of(ada))
        rights = {line.row.name: (line.row.owner, line.is_selectable) for line in contents.lines}
        assert rights == {"to see": ("bob", False), "to manage": ("bob", True), "adas": ("", True)}
    seen = next(line for line in contents.lines if line.row.name == "to see")
    assert {offer.label for offer in seen.offers if not offer.is_divider} == {"Logs"}
    assert names(ada, JobManager(host.App).list_jobs(bob)) == ["to see", "to manage"]


@pytest.mark.django_db
def test_those_who_manage_all_see_whose_jobs_they_are(bob, row):
    bob.is_staff = True
    row("adas")
    row("bobs", user=bob)
    contents = contents_of(shown(JobsTable(Job.objects.all())), viewer_of(bob))
    assert [line.row.owner for line in contents.lines] == ["ada", "bob"]


@pytest.mark.django_db
def test_a_page_is_one_query_and_walks_no_more_rows_than_it_shows(ada, bob, row):
    group = Group.objects.create(name="rivers")
    ada.groups.add(group)
    for number in range(6):
        row(f"bobs {number}", user=bob).share(group)
        row(f"adas {number}")
    viewer = viewer_of(ada)
    with CaptureQueriesContext(
        connection,
    ) as queries:
        contents = contents_of(shown(JobsTable(Job.objects.all(), reverse_sort=True, page_size=3)), viewer)
    assert [line.row.name for line in contents.lines] == ["adas 5", "bobs 5", "adas 4"]
    (query,) = queries.captured_queries
    assert query["sql"].count("LIMIT 4") == 3  # two branches, and what they make together
    assert "OFFSET" not in query["sql"]
    assert "COUNT" not in query["sql"]


@pytest.mark.django_db
def test_what_list_jobs_gives_can_be_made_again_until_it_is_changed(ada, manager):
    jobs = manager.list_jobs(ada, filters={"priority__gt": 3}, order_by="-name")
    assert jobs.recipe == {"label": "tests", "filters": {"priority__gt": 3}, "order_by": "-name", "user": ada.pk}
    assert str(follow(jobs.recipe).query) == str(jobs.query)
    assert jobs.filter(name="x").recipe is None
    assert manager.list_jobs(filters={"creation_time__gt": datetime(2026, 1, 1, tzinfo=UTC)}).recipe is None


@pytest.mark.django_db
def test_a_token_brings_the_table_back_and_only_to_its_user(ada, bob, row):
    job = row("a")
    table = JobsTable(Job.objects.filter(name="a"), ["name"], actions=host.ACTIONS)
    before = shown(table, "search=a&sort=name")
    token = before.sealed(ada, [job.pk])
    after = Shown.opened(token, ada)
    assert (after.state, after.key, after.path) == (before.state, before.key, before.path)
    assert after.table.columns == table.columns
    assert after.table.actions == table.actions
    assert list(after.table.source.jobs) == [job]
    for text, user in ((token, bob), (token[:-3], ada), ("", ada), ("nonsense", ada)):
        with pytest.raises(Expired):
            Shown.opened(text, user)


@pytest.mark.django_db
def test_a_token_from_before_a_change_of_keys_or_of_code_has_expired(ada, settings, monkeypatch):
    token = shown(JobsTable(Job.objects.all(), actions=[("Archive", host.archive)])).sealed(ada, [])
    monkeypatch.delattr(host, "archive")
    with pytest.raises(Expired):
        Shown.opened(token, ada)
    monkeypatch.undo()
    assert Shown.opened(token, ada)
    settings.JOBSAPI = {**settings.JOBSAPI, "SEALING_KEYS": ("another key " * 5,)}
    with pytest.raises(Expired):
        Shown.opened(token, ada)


@pytest.mark.django_db
def test_a_token_whose_filter_is_of_a_column_that_is_gone_has_expired(ada):
    jobs = follow({"user": ada.pk})
    jobs.recipe = {"filters": {"was_there_once": 1}}
    token = shown(JobsTable(jobs)).sealed(ada, [])
    with pytest.raises(Expired):
        Shown.opened(token, ada)


class Told:
    """A row, as far as changes look at it."""

    def __init__(self, number, version):
        self.number, self.version = number, version


@pytest.mark.parametrize(
    ("seen", "now", "gone", "changed", "arrived"),
    [
        ("a1 b1", "a1 b1", [], [], []),
        ("a1 b1", "a1 b2", [], [2], []),
        ("b1 c1", "a1 b1 c1", [], [], [(0, 1)]),
        ("a1 c1", "a1 b1 c1 d1", [], [], [(1, 2), (3, 4)]),
        ("a1 b1 c1", "b1", [1, 3], [], []),
        ("a1 b1 c1", "b1 c1 a2", [1], [], [(3, 1)]),
        ("a1 b1 c1 d1", "d1 a1 b2 c1", [4], [2], [(0, 4)]),
    ],
)
def test_what_a_page_has_to_do_is_as_little_as_possible(seen, now, gone, changed, arrived):
    def pairs(text):
        return [("abcd".index(each[0]) + 1, each[1]) for each in text.split()]

    found = Changes.between(dict(pairs(seen)), [Told(*pair) for pair in pairs(now)])
    assert (found.gone, found.changed) == (gone, changed)
    assert [tuple(arrival) for arrival in found.arrived] == arrived


def test_a_list_that_has_nothing_in_common_is_shown_anew():
    assert Changes.between({1: "a"}, []) is None
    assert Changes.between({}, [Told(1, "a")]) is None
    assert Changes.between({1: "a"}, [Told(2, "a")]) is None
    assert not any(Changes.between({}, []))


def test_a_bar_has_a_segment_for_each_state_of_the_parts():
    bar = segments(8, '{"ok": "0-1,5", "bad": "2"}', "1", under_way=True)
    assert [(each.tone, each.words, each.x, each.width) for each in bar] == [
        ("good", "3 complete", 0, 37.5),
        ("bad", "1 failed", 37.5, 12.5),
        ("held", "1 held", 50, 12.5),
        ("running", "3 running or waiting", 62.5, 37.5),
    ]


@pytest.mark.parametrize("ended", [None, "", "nonsense", "[]", {}, '{"ok": "0-7"}', '{"ok": "0-99"}'])
def test_parts_in_one_state_need_no_segments(ended):
    assert segments(8, ended, None, under_way=True) == ()


def test_an_order_turned_round_is_its_own_mirror():
    order = Order("completion_time", down=True)
    assert [str(each) for each in order._orders(False)] != [str(each) for each in order._orders(True)]
    assert Order.of("-name") == Order("name", True)


def test_the_address_keeps_what_is_not_the_tables():
    table = JobsTable(Job.objects.none())
    view = Shown(table, State(search="x"), "job2", "/app/?a=1&a=2&search=other&job2-search=x")
    assert view.address(sort="name", down=True) == "/app/?a=1&a=2&search=other&job2-sort=name&job2-down=1&job2-search=x"
