"""Which jobs a table is of, and the ones that a page of it shows: one query, however many jobs there are."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import or_
from typing import Any, Generic, NamedTuple, TypeVar

from django.contrib.auth import get_user_model
from django.db.models import BooleanField, Exists, F, OuterRef, Value
from django.db.models.query import ModelIterable
from django.db.models.sql.datastructures import BaseTable, Join

from jobsapi import policy
from jobsapi.manager import follow
from jobsapi.models import Job, JobShare, Right
from jobsapi.models.rows import JobQuerySet
from jobsapi.web.rows import readable
from jobsapi.web.table.state import Cursor, Order, State
from jobsapi.web.table.versions import Glance, glances

MOST = 10_000
"""Jobs in a list, which is read as a whole."""


@dataclass(frozen=True)
class Source:
    """The jobs of a table: a query; and their numbers, if they stand in an order that no column gives."""

    jobs: JobQuerySet
    order: Order
    numbers: Sequence[int] | None = None
    is_followed: bool = False
    """Whether these are the rows that a page shows already, whatever it was asked for when they were found."""

    @property
    def recipe(self) -> Mapping[str, Any] | None:
        """What makes the query again, if it came from ``list_jobs``."""
        return self.jobs.recipe if self.numbers is None else None

    def keeps_its_order(self, state: State) -> bool:
        """Whether the rows stand as the list has them, which no column tells."""
        return self.numbers is not None and not state.sort

    def mark(self, job: Job, state: State, order: Order) -> str:
        """A row, as an address names it. One of a list has its place there, in case that it is gone by then."""
        if self.keeps_its_order(state):
            return f"{job.pk}.{(self.numbers or []).index(job.pk)}"
        return order.mark(job)

    def is_all_of(self, user: Any) -> bool:
        """Whether these are the user's own jobs by definition."""
        return bool(self.recipe and "user" in self.recipe and self.recipe["user"] == user.pk)


class Viewer(NamedTuple):
    """Who looks at a table."""

    user: Any
    manages_all: bool
    """Whether they manage the jobs of everybody."""
    has_shares: bool = True
    """Whether anything may be shared with them. Each page that is read tells: ``Page.has_shares``."""


Item = TypeVar("Item", Job, Glance)


class Page(NamedTuple, Generic[Item]):
    """The jobs that are shown, or a glance at each, and whether there are more on either side."""

    jobs: list[Item]
    has_earlier: bool
    has_later: bool
    has_shares: bool


def source_of(jobs: Any, sort: bool | Callable[[Job], Any], reverse: bool) -> Source:
    """From what ``JobsTable`` was given. Raises ``TypeError`` or ``ValueError`` that says what to give instead."""
    if isinstance(jobs, JobQuerySet) and not issubclass(jobs._iterable_class, ModelIterable):
        raise TypeError("A table shows jobs, not values() of them: give the queryset itself.")
    simple = isinstance(jobs, JobQuerySet) and not (jobs.query.is_sliced or jobs.query.combinator)
    if simple and sort is True:
        return Source(_plain(jobs), Order("id", reverse))
    if simple and sort is False and (order := _simple_order(jobs)) is not None:
        return Source(_plain(jobs), Order(order.column, order.down is not reverse))
    listed = _listed(jobs)
    if callable(sort):
        listed.sort(key=sort, reverse=reverse)
    elif sort:
        listed.sort(key=lambda job: int(job.pk), reverse=reverse)
    elif reverse:
        listed.reverse()
    numbers = list(dict.fromkeys(int(job.pk) for job in listed))
    return Source(Job.objects.filter(pk__in=numbers), Order(), numbers)


def followed(recipe: Mapping[str, Any] | None, numbers: Sequence[int] | None, order: Order) -> Source:
    """The source of a table that a page shows already: made again, or the rows that it shows."""
    if recipe is not None:
        return Source(_plain(follow(recipe)), order)
    return Source(Job.objects.filter(pk__in=numbers or []), Order(), numbers or [], is_followed=True)


def read(
    source: Source, state: State, order: Order, viewer: Viewer, size: int, *, with_heavy: bool = False
) -> Page[Job]:
    """A page of the jobs that the viewer may see. One query; two for a list."""

    def take(jobs: JobQuerySet) -> list[Job]:
        return list(_shown(jobs, viewer, with_heavy))

    return _page(source, state, order, viewer, size, take, lambda job: int(job.pk))


def glance_at(
    source: Source, state: State, order: Order, viewer: Viewer, size: int, *, with_heavy: bool = False
) -> Page[Glance]:
    """The same page, as far as a poll has to know it."""

    def take(jobs: JobQuerySet) -> list[Glance]:
        return glances(_shown(jobs, viewer, with_heavy), with_heavy=with_heavy)

    return _page(source, state, order, viewer, size, take, lambda glance: glance.number)


def read_again(numbers: Collection[int], viewer: Viewer, *, with_heavy: bool) -> list[Job]:
    """Some of the jobs that this request has had a glance at, in no order. One query."""
    return list(_shown(Job.objects.filter(pk__in=numbers), viewer, with_heavy))


def _page(
    source: Source,
    state: State,
    order: Order,
    viewer: Viewer,
    size: int,
    take: Callable[[JobQuerySet], list[Item]],
    number: Callable[[Item], int],
) -> Page[Item]:
    if source.is_followed:
        state = State()
    if source.keeps_its_order(state):
        return _listed_page(source, state, viewer, size, take, number)
    cursor = state.cursor(order.column)
    jobs = state.filtered(source.jobs)
    is_free = viewer.manages_all or source.is_all_of(viewer.user)
    branches = [jobs] if is_free else policy.branches(viewer.user, jobs, has_shares=viewer.has_shares)
    if len(branches) > 1 or state.is_costly:
        # Each branch ends after a page of its own index; a condition on both would have all their jobs sorted.
        # And what has to be sorted is sorted by its numbers alone.
        first, *rest = (
            Job.objects.filter(pk__in=order.page(branch, cursor, size + 1).values("pk")).order_by().values("pk")
            for branch in branches
        )
        branches = [Job.objects.filter(pk__in=first.union(*rest) if rest else first)]
    found = take(order.page(branches[0], cursor, size + 1))
    more, is_before = len(found) > size, cursor is not None and cursor.is_before
    found = found[:size][::-1] if is_before else found[:size]
    return Page(found, more if is_before else cursor is not None, is_before or more, _has_shares(found))


def _listed_page(
    source: Source,
    state: State,
    viewer: Viewer,
    size: int,
    take: Callable[[JobQuerySet], list[Item]],
    number: Callable[[Item], int],
) -> Page[Item]:
    numbers, cursor = source.numbers or [], state.cursor("id")
    is_before = cursor is not None and cursor.is_before
    before, behind = _parted(numbers, cursor)
    if len(numbers) > size or state.is_filtered:
        found = set(_visible(state.filtered(source.jobs), viewer).values_list("pk", flat=True))
        before, behind = ([each for each in part if each in found] for part in (before, behind))
    shown = before[-size:] if is_before else behind[:size]
    rows = {number(item): item for item in take(_visible(Job.objects.filter(pk__in=shown), viewer))}
    listed = [rows[each] for each in shown if each in rows]
    has_earlier, has_later = (len(before) > size, bool(behind)) if is_before else (bool(before), len(behind) > size)
    return Page(listed, has_earlier, has_later, _has_shares(listed))


def _parted(numbers: Sequence[int], cursor: Cursor | None) -> tuple[Sequence[int], Sequence[int]]:
    """What stands before a page begins, or ends, and what behind."""
    if cursor is None:
        return [], numbers
    if cursor.number in numbers:
        place = numbers.index(cursor.number) + (not cursor.is_before)
    else:  # it is gone, and the one behind it has moved to its place
        place = max(cursor.value or 0, 0)
    return numbers[:place], numbers[place:]


def _has_shares(found: Sequence[Job | Glance]) -> bool:
    return bool(getattr(found[0], "has_shares", True)) if found else True


def _visible(jobs: JobQuerySet, viewer: Viewer) -> JobQuerySet:
    if viewer.manages_all:
        return jobs
    visible: JobQuerySet = reduce(or_, policy.branches(viewer.user, jobs))
    return visible


def _shown(jobs: JobQuerySet, viewer: Viewer, with_heavy: bool) -> JobQuerySet:
    shown: JobQuerySet = readable(jobs, with_heavy=with_heavy).annotate(
        owner_name=F(f"user__{get_user_model().USERNAME_FIELD}")
    )
    managed = JobShare.with_user(viewer.user, Right.MANAGE).filter(job=OuterRef("pk"))
    annotated: JobQuerySet = shown.annotate(
        is_shared_to_manage=Value(True, BooleanField()) if viewer.manages_all else Exists(managed),
        has_shares=Value(True, BooleanField()) if viewer.manages_all else policy.any_share(viewer.user),
    )
    return annotated


def owner_of(job: Job) -> str:
    """The name of the owner of a job that ``read`` gave."""
    return str(getattr(job, "owner_name", ""))


def may_manage(job: Job, viewer: Viewer) -> bool:
    """Whether the viewer may act on a job that ``read`` gave."""
    return viewer.manages_all or job.user_id == viewer.user.pk or bool(getattr(job, "is_shared_to_manage", False))


def _plain(jobs: JobQuerySet) -> JobQuerySet:
    """The same jobs, each once and not turned round: pages are cut out of them by an order of their own."""
    if any(_is_many(join) for alias, join in jobs.query.alias_map.items() if jobs.query.alias_refcount[alias]):
        plain: JobQuerySet = Job.objects.filter(pk__in=jobs.order_by().values("pk"))
    elif not jobs.query.standard_ordering:
        plain = jobs.reverse()
    else:
        return jobs
    plain.recipe = jobs.recipe
    return plain


def _is_many(join: BaseTable | Join) -> bool:
    field = getattr(join, "join_field", None)  # the table itself has none
    return bool(getattr(field, "one_to_many", False) or getattr(field, "many_to_many", False))


def _simple_order(jobs: JobQuerySet) -> Order | None:
    given = jobs.query.order_by or jobs.model._meta.ordering
    if len(given) != 1 or not isinstance(given[0], str):
        return None
    order = Order.of(given[0])
    order = Order(order.column, order.down is jobs.query.standard_ordering)
    names = {field.name for field in Job._meta.concrete_fields if not field.is_relation}
    return Order("id", order.down) if order.column == "pk" else order if order.column in names else None


def _listed(jobs: Any) -> list[Job]:
    if isinstance(jobs, str | bytes | Job) or not isinstance(jobs, Iterable):
        raise TypeError(f"JobsTable(jobs=...) takes a queryset or a list of jobs, not {type(jobs).__name__}.")
    listed = list(jobs[: MOST + 1] if isinstance(jobs, JobQuerySet) and not jobs.query.is_sliced else jobs)
    for job in listed:
        if not isinstance(job, Job):
            raise TypeError(f"JobsTable(jobs=...) takes jobs, and {job!r} is none.")
        if job.pk is None:
            raise ValueError(f"The job “{job.name}” is not saved, so a table cannot follow it: save() it first.")
    if len(listed) > MOST:
        raise ValueError(
            f"A table of a list, or in an order that is a function, reads all its jobs: at most {MOST:,}. "
            "Give a queryset, with sort=True or an order_by() of one column, for more."
        )
    return listed
