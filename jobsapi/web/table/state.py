"""What a reader has chosen: order, filters, page. It lives in the address, so that it can be reloaded and passed on."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, NamedTuple, Self
from urllib.parse import urlencode

from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError
from django.db.models import F, Field, Q
from django.db.models.expressions import OrderBy
from django.http import QueryDict

from jobsapi.models import Job
from jobsapi.models.rows import JobQuerySet
from jobsapi.status import ACTIVE, TERMINAL, Status

LONGEST = 200
"""Characters of a value in the address."""

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
        found = {name: query.get(f"{prefix}{name}", "")[:LONGEST].strip() for name in NAMES if name != "down"}
        found = {name: value.replace("\x00", "") for name, value in found.items()}
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
            jobs = jobs.filter(user__in=_users(self.owner))
        return jobs

    def cursor(self, column: str) -> Cursor | None:
        """Where the page begins in an order by ``column``; None at the beginning, and for nonsense."""
        try:
            value, number = json.loads(self.after or self.before)
            if value is not None:
                value = _field(column).to_python(value)
            return Cursor(value, int(number), is_before=not self.after) if 0 <= int(number) < 2**63 else None
        except (ValueError, TypeError, ValidationError, OverflowError):
            return None


NAMES = tuple(State.__dataclass_fields__)


def _users(name: str) -> Any:
    model = get_user_model()
    return model._default_manager.filter(**{model.USERNAME_FIELD: name}).values("pk")


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
        """A row, as an address names it."""
        value = getattr(job, _field(self.column).attname)
        return json.dumps([value.isoformat() if hasattr(value, "isoformat") else value, job.pk], separators=(",", ":"))

    def page(self, jobs: JobQuerySet, cursor: Cursor | None, size: int) -> JobQuerySet:
        """The first ``size`` of the jobs behind the cursor; before it, in the opposite order."""
        turned = cursor is not None and cursor.is_before
        if cursor is not None:
            jobs = jobs.filter(self._beyond(cursor))
        page: JobQuerySet = jobs.order_by(*self._orders(turned))[:size]
        return page

    def _orders(self, turned: bool) -> list[OrderBy]:
        down = self.down is not turned
        if self.column in ("id", "pk"):
            return [F("pk").desc() if down else F("pk").asc()]
        ends: dict[str, Any] = {}
        if _field(self.column).null:
            ends = {"nulls_first": True} if turned else {"nulls_last": True}
        column = F(self.column)
        return [column.desc(**ends) if down else column.asc(**ends), F("pk").desc() if down else F("pk").asc()]

    def _beyond(self, cursor: Cursor) -> Q:
        side = "lt" if self.down is not cursor.is_before else "gt"
        number = Q(**{f"pk__{side}": cursor.number})
        if self.column in ("id", "pk"):
            return number
        if cursor.value is None:
            same = Q(**{f"{self.column}__isnull": True}) & number
            return same | Q(**{f"{self.column}__isnull": False}) if cursor.is_before else same
        beyond = Q(**{f"{self.column}__{side}": cursor.value}) | (Q(**{self.column: cursor.value}) & number)
        if _field(self.column).null and not cursor.is_before:
            beyond |= Q(**{f"{self.column}__isnull": True})
        return beyond
