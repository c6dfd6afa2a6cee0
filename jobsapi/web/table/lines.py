"""A job in a table: what its row shows, and what can be done with it. All of it counts for the row's version."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from hashlib import blake2b
from typing import NamedTuple

from jobsapi.models import Job
from jobsapi.web.rows import Row
from jobsapi.web.table.actions import BUILT_IN, DIVIDER, CustomJobAction, address_of
from jobsapi.web.table.columns import Cell
from jobsapi.web.table.options import JobsTable
from jobsapi.web.table.versions import Glance, version_of

SHORT = 160
"""Characters of a message that is shown at once."""

AT_HAND = ("results", "resume", "terminate")
"""What is likely to be done next: it has a place beside the menu when it is possible."""


class Offer(NamedTuple):
    """Something that can be done with a job, or be read of it."""

    place: int
    """Its place among the table's actions: by this a button names it."""
    name: str
    label: str
    is_possible: bool
    hint: str
    """Why it is not possible now."""
    address: str
    """A page that is gone to; empty for what is done."""
    asks: str
    has_overlay: bool
    is_modal: bool
    is_divider: bool = False


class Line:
    """A row of the table, of a job that was read for it."""

    def __init__(self, job: Job, table: JobsTable, *, may_manage: bool, owner: str, place: str = "") -> None:
        self._enabled = enabled(job, table) if table.asks_the_app and may_manage else None
        self.version = version_of(job, with_heavy=table.with_heavy, place=place, more=self._enabled)
        """Differs when anything that is shown differs. What is offered follows from the rest."""
        self.row = Row.of(job, owner=owner, place=place)
        self.number: int = self.row.number
        self.id = str(self.number)
        self.cells: Sequence[Cell] = [
            column.cell(job)._replace(heading=column.heading, is_link=column is table.linked)
            for column in table.columns
        ]
        self.may_manage = may_manage
        self.is_selectable = may_manage and table.show_actions
        self._job, self._table = job, table

    @property
    def glance(self) -> Glance:
        """As a poll sees it."""
        has_ended, scheduler = self.row.ended_at is not None, self.row.scheduler if self.row.seen_at else None
        return Glance(self.number, self.version, has_ended, scheduler, self.row.seen_at)

    @cached_property
    def offers(self) -> Sequence[Offer]:
        """What can be done with the job; only rows that are sent to a page need it."""
        if not self._table.show_actions:
            return ()
        allowed = enabled(self._job, self._table) if self._enabled is None else self._enabled
        return offers_of(self._job, self.row, self._table, allowed, may_manage=self.may_manage)

    @property
    def at_hand(self) -> list[Offer]:
        """What stands beside the menu."""
        return [offer for name in AT_HAND for offer in self.offers if offer.name == name and offer.is_possible]

    @property
    def has_long_message(self) -> bool:
        """Whether the message is folded."""
        return len(self.row.message) > SHORT or self.row.message.count("\n") > 1

    @property
    def message_start(self) -> str:
        """The beginning of a message that is folded."""
        first = self.row.message.split("\n", 1)[0]
        return f"{first[: SHORT - 40].rstrip()} …"

    @property
    def message_mark(self) -> str:
        """Tells one message from another, so that an open one stays open until it changes."""
        return blake2b(self.row.message.encode("utf-8", "replace"), digest_size=4).hexdigest()


def enabled(job: Job, table: JobsTable) -> dict[int, bool]:
    """For each of the app's own actions that such a job has, by its place: whether the app allows it now."""
    return {
        place: action.is_enabled(job)
        for place, action in enumerate(table.actions)
        if isinstance(action, CustomJobAction) and action.suits(job)
    }


def offers_of(
    job: Job, row: Row, table: JobsTable, enabled: Mapping[int, bool], *, may_manage: bool
) -> tuple[Offer, ...]:
    """What of the table's actions such a job can do and the viewer may do, dividers where they part something."""
    offers: list[Offer] = []
    for index, action in enumerate(table.actions):
        if action == DIVIDER:
            if offers and not offers[-1].is_divider:
                offers.append(Offer(index, "", "", False, "", "", "", False, False, is_divider=True))
        elif isinstance(action, CustomJobAction):
            if may_manage and index in enabled:
                offers.append(_custom(index, action, job, enabled[index]))
        elif (offer := _built_in(index, action, job, row, table)) is not None and (may_manage or offer.address):
            offers.append(offer)
    while offers and offers[-1].is_divider:
        offers.pop()
    return tuple(offers)


def _built_in(index: int, name: str, job: Job, row: Row, table: JobsTable) -> Offer | None:
    action = BUILT_IN[name]
    if not action.suits(job):
        return None
    view = {"monitor": table.monitor_url, "results": table.results_url}.get(name, action.view)
    possible = action.possible(row)
    label = row.parts if name == "parts" else action.label
    return Offer(
        place=index,
        name=name,
        label=label,
        is_possible=possible,
        hint="" if possible else action.hint,
        address=address_of(view, job.pk) if view else "",
        asks=action.asks(job),
        has_overlay=False,
        is_modal=False,
    )


def _custom(index: int, action: CustomJobAction, job: Job, possible: bool) -> Offer:
    view = action.modal_url or (action.callback_or_url if isinstance(action.callback_or_url, str) else "")
    return Offer(
        place=index,
        name="",
        label=action.label,
        is_possible=possible,
        hint="" if possible else "Not possible now.",
        address=address_of(view, job.pk) if view else "",
        asks=action.confirmation_message or "",
        has_overlay=action.show_overlay,
        is_modal=bool(action.modal_url),
    )
