"""What a reader has chosen: order, filters, page. It lives in the address, so that it can be reloaded and passed on."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any, NamedTuple, Self
from urllib.parse import urlencode

from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError
from django.db.models import CharField, F, Field, Q, TextField
from django.db.models.expressions import OrderBy
from django.db.models.functions import Left
from django.http import QueryDict

from jobsapi.models import Job
from jobsapi.models.rows import JobQuerySet
from jobsapi.status import ACTIVE, TERMINAL, Status

LONGEST = 200
"""Characters of a value in the address."""
COUNTS = 100
"""Characters of a text that count for the order: an address names the row that a page begins behind by its value."""

GROUPS: Mapping[str, tuple[str, Q]] = {
    "active": ("Under way", Q(_status__in=sorted(ACTIVE)) | Q(_status=Status.OTHER, completion_time=None)),
    "ended": ("Ended", Q(completion_time__isnull=False)),
    "failed": ("Failed", Q(_status__in=sorted(TERMINAL - {Status.COMPLETE}))),
}
"""Statuses that are looked for together: words, and which jobs these are."""


class Cursor(NamedTuple):
    """Where a page begins: behind, or before, the row with this value and number."""

    value: Any
    number: int
    is_before: bool


@dataclass(frozen=True)
class State:
    """The choices of a reader. The default is what the app's own order is, without a filter, at its beginning."""

    sort: str = ""
    """The column that it is sorted by; empty for the order of the table itself."""
    down: bool = False
    search: str = ""
    status: str = ""
    type: str = ""
    owner: str = ""
    after: str = ""
    """The last row of the page before this one."""
    before: str = ""

    @classmethod
    def read(cls, query: QueryDict, prefix: str, sorts: Collection[str]) -> Self:
        """From an address. What makes no sense is left out; ``sorts`` are the columns that may be sorted by."""
        given = {name: query.get(f"{prefix}{name}", "") for name in NAMES if name != "down"}
        found = {name: value[:LONGEST].strip().replace("\x00", "") for name, value in given.items()}
        # Spaces at the end of a value count. It is never cut: then it would name another row.
        found |= {name: given[name] if len(given[name]) <= LONGEST else "" for name in ("after", "before")}
        if found["status"] not in (*GROUPS, *Status.values):
            found["status"] = ""
        if found["type"] not in Job.registry:
            found["type"] = ""
        if found["sort"] not in sorts:
            found["sort"] = ""
        return cls(**found, down=query.get(f"{prefix}down") == "1")

    @property
    def is_filtered(self) -> bool:
        """Whether some jobs may be left out."""
        return bool(self.search or self.status or self.type or self.owner)

    @property
    def is_costly(self) -> bool:
        """Whether no index finds these jobs in this order, so that it costs a look at all of them."""
        return bool(self.search or self.type or self.sort not in ("", "id"))

    @property
    def is_at_start(self) -> bool:
        """Whether this is the first page."""
        return not (self.after or self.before)

    def query(self, prefix: str, others: Mapping[str, Any] | None = None, **changes: Any) -> str:
        """The end of an address with these choices, changed so, and with what else stands there."""
        state = replace(self, **changes)
        own = {f"{prefix}{name}": "1" if value is True else value for name, value in asdict(state).items() if value}
        return "?" + urlencode({**(others or {}), **own}, doseq=True)

    def others(self, query: QueryDict, prefix: str) -> dict[str, list[str]]:
        """What stands in an address beside the choices of this table."""
        own = {f"{prefix}{name}" for name in NAMES}
        return {name: values for name, values in query.lists() if name not in own}

    def filtered(self, jobs: JobQuerySet) -> JobQuerySet:
        """Those of the jobs that are looked for."""
        if self.search:
            found = Q(name__icontains=self.search) | Q(description__icontains=self.search)
            if self.search.isdecimal() and len(self.search) < 19:
                found |= Q(pk=int(self.search))
            jobs = jobs.filter(found)
        if self.status:
            jobs = jobs.filter(GROUPS[self.status][1] if self.status in GROUPS else Q(_status=self.status))
        if self.type:
            jobs = jobs.filter(kind=self.type)
        if self.owner:
            jobs = jobs.filter(user=_user(self.owner))
        return jobs

    def cursor(self, column: str) -> Cursor | None:
        """Where the page begins in an order by ``column``; None at the beginning, and for nonsense."""
        number, has_value, text = (self.after or self.before).partition(".")
        if not number.isdecimal() or len(number) > 18:
            return None
        try:
            value = _checked(_field(column).to_python(text)) if has_value else None
        except (ValueError, ValidationError):
            return None
        return Cursor(value, int(number), is_before=not self.after)


NAMES = tuple(State.__dataclass_fields__)


def _checked(value: Any) -> Any:
    """A value that every database takes. Raises ``ValueError`` for others."""
    if isinstance(value, str):
        value.encode()
        if "\x00" in value:
            raise ValueError("No text has a NUL.")
    elif isinstance(value, int) and not abs(value) < 2**63:
        raise ValueError("No number is that large.")
    elif isinstance(value, datetime) and (value.tzinfo is None or not 1 < value.year < 9999):
        raise ValueError("No moment is at the ends of time, where a time zone leads beyond.")
    return value


def _user(name: str) -> Any:
    # One number, not a set of them: then the index of a user's jobs gives them in their order.
    model = get_user_model()
    return model._default_manager.filter(**{model.USERNAME_FIELD: name}).values("pk")[:1]


def _is_long(field: Field[Any, Any]) -> bool:
    return isinstance(field, CharField | TextField) and (field.max_length or COUNTS + 1) > COUNTS


def _field(name: str) -> Field[Any, Any]:
    field = Job._meta.get_field(name)
    assert isinstance(field, Field)
    return field


@dataclass(frozen=True)
class Order:
    """By a column of the database, then by number, both in one direction. What has no value comes last."""

    column: str = "id"
    down: bool = False

    @classmethod
    def of(cls, text: str) -> Self:
        """From a name as ``order_by`` takes it."""
        return cls(text.removeprefix("-"), text.startswith("-"))

    def mark(self, job: Job) -> str:
        """A row, as an address names it: its number, and behind a point the value that it is sorted by."""
        field = _field(self.column)
        if field.primary_key or getattr(job, field.attname) is None:
            return str(job.pk)
        value: str = field.value_to_string(job)
        return f"{job.pk}.{value[:COUNTS] if _is_long(field) else value}"

    def page(self, jobs: JobQuerySet, cursor: Cursor | None, size: int) -> JobQuerySet:
        """The first ``size`` of the jobs behind the cursor; before it, in the opposite order."""
        turned = cursor is not None and cursor.is_before
        if cursor is not None:
            jobs = jobs.alias(sorted_by=self._value()).filter(self._beyond(cursor))
        page: JobQuerySet = jobs.order_by(*self._orders(turned))[:size]
        return page

    def _orders(self, turned: bool) -> list[OrderBy]:
        down = self.down is not turned
        if self.column in ("id", "pk"):
            return [F("pk").desc() if down else F("pk").asc()]
        ends: dict[str, Any] = {}
        if _field(self.column).null:
            ends = {"nulls_first": True} if turned else {"nulls_last": True}
        column = self._value()
        return [column.desc(**ends) if down else column.asc(**ends), F("pk").desc() if down else F("pk").asc()]

    def _value(self) -> Any:
        return Left(self.column, COUNTS) if _is_long(_field(self.column)) else F(self.column)

    def _beyond(self, cursor: Cursor) -> Q:
        side = "lt" if self.down is not cursor.is_before else "gt"
        number = Q(**{f"pk__{side}": cursor.number})
        if self.column in ("id", "pk"):
            return number
        if cursor.value is None:
            same = Q(sorted_by__isnull=True) & number
            return same | Q(sorted_by__isnull=False) if cursor.is_before else same
        beyond = Q(**{f"sorted_by__{side}": cursor.value}) | (Q(sorted_by=cursor.value) & number)
        if _field(self.column).null and not cursor.is_before:
            beyond |= Q(sorted_by__isnull=True)
        return beyond
