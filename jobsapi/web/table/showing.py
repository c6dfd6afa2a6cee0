"""A table on a page: read for its viewer, and put into what the templates show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from django.core.cache import cache
from django.http import HttpRequest
from django.template.loader import render_to_string
from django.utils import timezone
from django.utils.safestring import SafeString

from jobsapi import policy
from jobsapi.models import Job
from jobsapi.status import Status
from jobsapi.web.rows import places_of
from jobsapi.web.table.lines import Line
from jobsapi.web.table.missing import missing_schedulers
from jobsapi.web.table.options import JobsTable
from jobsapi.web.table.source import Viewer, glance_at, may_manage, owner_of, read, read_again
from jobsapi.web.table.state import GROUPS, State
from jobsapi.web.table.tokens import FIRST, Shown, key_of
from jobsapi.web.table.versions import Glance, summary

REMEMBERED = 30
"""Seconds for which a poll believes what was said of a user's permission. What changes something asks anew."""


class Heading(NamedTuple):
    """The head of a column."""

    words: str
    address: str
    """What sorts by it; empty if nothing does."""
    sorted: str
    """``ascending`` or ``descending``, as ``aria-sort`` says it; empty if the table is sorted by something else."""


@dataclass(frozen=True)
class Contents:
    """The rows of a page, and how to get to the pages beside it."""

    lines: Sequence[Line]
    earlier: str
    later: str
    has_owners: bool

    @property
    def summary(self) -> str:
        """What screen readers are told of it."""
        return summary([line.glance for line in self.lines])


def viewer_of(user: Any, *, remembered: bool = False) -> Viewer:
    """Who looks. ``remembered``: believe what was said of the permission half a minute ago, which costs two queries."""
    manages, shares = _known_of(user)
    known = cache.get_many([manages, shares]) if remembered and not getattr(user, "is_staff", False) else {}
    if manages not in known:
        known[manages] = policy.manages_all(user)
        cache.set(manages, known[manages], REMEMBERED)
    return Viewer(user, known[manages], has_shares=known.get(shares, True))


def _remember_shares(viewer: Viewer, has_shares: bool) -> None:
    """For the polls that follow. Each tells it anew."""
    cache.set(_known_of(viewer.user)[1], has_shares, REMEMBERED)


def _known_of(user: Any) -> tuple[str, str]:
    return f"jobsapi-manages-all-{user.pk}", f"jobsapi-has-shares-{user.pk}"


def contents_of(shown: Shown, viewer: Viewer) -> Contents:
    """What a page of the table shows. One query; another one if some of its jobs wait at a limited scheduler."""
    table, order = shown.table, shown.order
    page = read(table.source, shown.state, order, viewer, table.page_size, with_heavy=table.with_heavy)

    def mark(job: Job) -> str:
        return table.source.mark(job, shown.state, order)

    def beside(**at: str) -> str:
        return shown.address(**{"after": "", "before": "", **at})

    _remember_shares(viewer, page.has_shares)
    lines = _lines(page.jobs, shown, viewer)
    return Contents(
        lines,
        earlier=beside(before=mark(page.jobs[0])) if page.has_earlier and page.jobs else "",
        later=beside(after=mark(page.jobs[-1])) if page.has_later and page.jobs else "",
        has_owners=_names_owners(shown, viewer) or any(line.row.owner for line in lines),
    )


def glances_of(shown: Shown, viewer: Viewer) -> list[Glance]:
    """Whether the rows of a page are as they were. One query, which most polls end with.

    Another one if some of the jobs wait at a limited scheduler: they move up.
    """
    table = shown.table
    if table.asks_the_app:
        return [line.glance for line in contents_of(shown, viewer).lines]
    page = glance_at(table.source, shown.state, shown.order, viewer, table.page_size, with_heavy=table.with_heavy)
    if page.has_shares is not viewer.has_shares:
        _remember_shares(viewer, page.has_shares)
    return page.jobs


def lines_of(shown: Shown, viewer: Viewer, numbers: Sequence[int]) -> dict[int, Line]:
    """Some rows of a page, by number: those that a poll has found to be other than they were. One query."""
    jobs = read_again(numbers, viewer, with_heavy=shown.table.with_heavy)
    return {line.number: line for line in _lines(jobs, shown, viewer)}


def _lines(jobs: Sequence[Job], shown: Shown, viewer: Viewer) -> list[Line]:
    names_owners, places = _names_owners(shown, viewer), places_of(jobs)
    return [
        Line(
            job,
            shown.table,
            may_manage=may_manage(job, viewer),
            owner=_owner(job, viewer, names_owners),
            place=places.get(job.pk, ""),
        )
        for job in jobs
    ]


def _names_owners(shown: Shown, viewer: Viewer) -> bool:
    return viewer.manages_all and not shown.table.source.is_all_of(viewer.user)


def rendered(request: HttpRequest, table: JobsTable, number: int, *, heading_level: int = 2) -> SafeString:
    """The whole table, as the ``number``-th of a page."""
    key = key_of(number)
    blank = Shown(table, State(), key, request.get_full_path())
    shown = replace(blank, state=State.read(request.GET, blank.prefix, table.sorts))
    viewer = viewer_of(request.user)
    contents = contents_of(shown, viewer)
    token = shown.sealed(viewer.user, [line.number for line in contents.lines])
    context = {
        **parts_of(shown, contents),
        "token": token,
        "state": shown.state,
        "prefix": shown.prefix,
        "others": [
            (name, value) for name, values in shown.state.others(request.GET, shown.prefix).items() for value in values
        ],
        "statuses": [(name, words) for name, (words, _) in GROUPS.items()],
        "every_status": [(status.value, status.label) for status in Status],
        "types": sorted(Job.registry),
        "asks_for_owner": contents.has_owners or bool(shown.state.owner),
        "is_first": number == 1,
        "now": timezone.now(),
        "heading_level": heading_level,
    }
    return render_to_string("jobsapi/table/table.html", context, request=request)


def row_parts_of(shown: Shown) -> dict[str, Any]:
    """What the template of a row needs, beside the row."""
    return {"key": shown.key, "table": shown.table, "width": len(headings_of(shown)) + 2 * shown.table.show_actions}


def parts_of(shown: Shown, contents: Contents) -> dict[str, Any]:
    """What the templates of a list, its rows and the pages need."""
    label = (shown.table.source.recipe or {}).get("label", "")
    is_empty = not (contents.lines or shown.state.is_filtered) and shown.state.is_at_start
    return {
        **row_parts_of(shown),
        "which": "" if shown.key == FIRST else f", table {shown.key.removeprefix(FIRST)}",
        "contents": contents,
        "summary": contents.summary,
        "headings": headings_of(shown),
        "is_filtered": shown.state.is_filtered,
        "is_at_start": shown.state.is_at_start,
        "unfiltered": shown.address(after="", before="", search="", status="", type="", owner=""),
        "start": shown.address(after="", before=""),
        "label": label,
        "missing": missing_schedulers(label) if is_empty else [],
    }


def headings_of(shown: Shown) -> list[Heading]:
    """The heads of the columns, from left to right, without those of the checkboxes and of the actions."""
    table = shown.table
    columns = [(column.heading, column.sorts_by) for column in table.columns]
    if not columns:
        columns = [("No.", "id"), ("Job", "name"), ("Time", "execute_time")]
    if table.show_status:
        columns.insert(len(columns) if table.columns else 2, ("Status", "_status"))
    return [_heading(shown, words, column) for words, column in columns]


def _heading(shown: Shown, words: str, column: str) -> Heading:
    order = shown.order
    is_by_column = column == order.column and (bool(shown.state.sort) or shown.table.source.numbers is None)
    address = shown.address(
        sort=column, down=not order.down if is_by_column else column in ("id", "execute_time"), after="", before=""
    )
    sorted_as = ("descending" if order.down else "ascending") if is_by_column else ""
    return Heading(words, address if column else "", sorted_as)


def _owner(job: Job, viewer: Viewer, names_owners: bool) -> str:
    return owner_of(job) if names_owners or job.user_id != viewer.user.pk else ""
