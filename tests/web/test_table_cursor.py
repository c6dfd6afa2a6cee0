"""The pages of a table: every job is on one of them, once, whatever the order, and whatever has gone meanwhile."""

from __future__ import annotations

import json
from itertools import chain

import pytest
from django.contrib.auth.models import Group
from django.db import connection
from django.http import QueryDict
from django.test.utils import CaptureQueriesContext

from jobsapi.gizmos import JobsTable
from jobsapi.manager import follow
from jobsapi.models import Job
from jobsapi.status import Status
from jobsapi.web.table.columns import Column, possible
from jobsapi.web.table.showing import contents_of, viewer_of
from jobsapi.web.table.source import glance_at
from jobsapi.web.table.state import State
from jobsapi.web.table.tokens import Shown

pytestmark = [pytest.mark.django_db]

SORTABLE = sorted({column for field in possible() if (column := Column.of(field).sorts_by)})
"""All columns that some table may be sorted by."""


NONSENSE = [
    "0001-01-01T00:00:00+23:59",
    "9999-12-31T23:59:59-23:59",
    "0001-01-01T00:00:00",
    "2026-01-01",
    *("9" * 90, "-1", "nan", "1e400", "True", "\ud800", "\x00", "", "[1]", "{}"),
]
"""Values that somebody may write into an address."""


def shown(table, query=""):
    return Shown(table, State.read(QueryDict(query), "", table.sorts), "job", "/app/")


def contents(user, table, query=""):
    return contents_of(shown(table, query), viewer_of(user))


def numbers(page):
    return [line.number for line in page.lines]


def walked(user, table, query=""):
    """The numbers on all pages, from the first to the last by “Next”; and from there back by “Previous”."""
    page = contents(user, table, query)
    there = [numbers(page)]
    while page.later:
        assert len(page.later) < 2000
        page = contents(user, table, page.later.partition("?")[2])
        there.append(numbers(page))
        assert len(there) < 20, "the pages never end"
    back = [numbers(page)]
    while page.earlier:
        page = contents(user, table, page.earlier.partition("?")[2])
        back.insert(0, numbers(page))
        assert len(back) < 20, "the pages never end"
    assert list(chain(*back)) == list(chain(*there))
    return list(chain(*there))


@pytest.mark.parametrize("down", ["", "&down=1"])
@pytest.mark.parametrize("start", ["Grundwasserstände " * 50, "見" * 1000, "", "x" * 99 + " "])
def test_long_names_in_any_script_are_paged_through(ada, row, start, down):
    rows = [row(f"{start}{number}"[:1024]).pk for number in range(7)]
    assert sorted(walked(ada, JobsTable(Job.objects.all(), page_size=2), f"sort=name{down}")) == rows


@pytest.mark.parametrize("down", ["", "&down=1"])
@pytest.mark.parametrize("column", SORTABLE)
def test_pages_can_be_turned_in_every_order_there_is(ada, row, column, down):
    statuses = [Status.RUNNING, Status.COMPLETE, Status.PENDING, Status.ERROR]
    for number in range(9):
        texts = {"description": "d" * (number % 2), "status_message": "m" * (number % 3) * 300}
        row(f"n{number % 3}", statuses[number % 4], priority=number % 2, progress_done=number % 3, **texts)
    field = next(field for field in sorted(possible()) if Column.of(field).sorts_by == column)
    table = JobsTable(Job.objects.all(), [field], page_size=2)
    assert sorted(walked(ada, table, f"sort={column}{down}")) == sorted(Job.objects.values_list("pk", flat=True))


@pytest.mark.parametrize("sort", [True, False])
def test_a_queryset_that_is_turned_round_loses_no_job(ada, row, sort):
    rows = [row(name).pk for name in "abcdefg"]
    expected = rows if sort else rows[::-1]
    assert walked(ada, JobsTable(Job.objects.order_by("name").reverse(), sort=sort, page_size=3)) == expected
    assert walked(ada, JobsTable(Job.objects.reverse(), sort=sort, page_size=3)) == expected


def test_a_job_that_a_filter_finds_several_times_is_shown_once(ada, bob, row):
    groups = [Group.objects.create(name=f"lab {number}") for number in range(3)]
    bob.groups.add(*groups)
    rows = []
    for number in range(5):
        job = row(f"n{number}")
        rows.append(job.pk)
        for group in groups:
            job.share(group)
    filters = {"groups__name__startswith": "lab"}
    own = follow({"user": ada.pk, "filters": filters})
    assert walked(ada, JobsTable(own, page_size=2)) == rows
    assert walked(bob, JobsTable(Job.objects.filter(**filters), page_size=2)) == rows
    assert JobsTable(own).source.recipe == own.recipe


@pytest.mark.parametrize("column", SORTABLE)
def test_a_page_that_begins_behind_nonsense_is_a_page_all_the_same(ada, row, column):
    row()
    table, viewer = JobsTable(Job.objects.all()), viewer_of(ada)
    for value in NONSENSE:
        state = State(sort=column, after=f"1.{value}")
        glance_at(table.source, state, Shown(table, state, "job", "/app/").order, viewer, 5)


@pytest.mark.parametrize("after", ["[" * 150, json.dumps([None, 1]), "x.1", "-1", "1" * 19, "1" * 300, ".", "²"])
def test_what_names_no_row_leads_to_the_first_page(ada, row, after):
    job = row()
    assert numbers(contents(ada, JobsTable(Job.objects.all()), f"after={after}")) == [job.pk]


@pytest.mark.parametrize("is_known", [True, False])
def test_a_list_goes_on_where_a_deleted_job_was(ada, row, is_known):
    rows = [row(name) for name in "abcdefg"]
    first, second, third, *others = (job.pk for job in rows)
    later = contents(ada, JobsTable(rows, sort=False, page_size=3)).later.partition("?")[2]
    rows[2].delete()
    left = JobsTable(rows if is_known else [job for job in rows if job.pk != third], sort=False, page_size=3)
    page = contents(ada, left, later)
    assert numbers(page) == others[:3]
    assert numbers(contents(ada, left, page.earlier.partition("?")[2])) == [first, second]


@pytest.mark.skipif("connection.vendor != 'sqlite'", reason="the plan is read in the words of SQLite")
def test_the_jobs_of_an_owner_are_found_by_their_index(ada, bob, row):
    row()
    bob.is_staff = True
    with CaptureQueriesContext(connection) as queries:
        contents(bob, JobsTable(Job.objects.all()), "owner=ada")
    sql = next(query["sql"] for query in queries if "LIMIT 51" in query["sql"])
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN QUERY PLAN {sql}")
        plan = " / ".join(step[3] for step in cursor.fetchall())
    assert "USING INDEX jobsapi_job_user" in plan
    assert "ORDER BY" not in plan
