"""What a page knows of its table: sealed, so that a poll or a button brings it back as the server made it.

No session, no cache and no process has to remember a table, and a browser can change nothing in it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

from django.core.exceptions import FieldError
from django.http import QueryDict

from jobsapi import sealing
from jobsapi.exceptions import SealBroken
from jobsapi.web.table.actions import Unresolved
from jobsapi.web.table.options import JobsTable
from jobsapi.web.table.source import followed
from jobsapi.web.table.state import Order, State

PURPOSE = "jobs table 1"


class Expired(Exception):
    """Raised when a page shows a table that cannot be opened any more: keys or code have changed, or the user."""


@dataclass(frozen=True)
class Shown:
    """A table as it stands on somebody's page."""

    table: JobsTable
    state: State
    key: str
    """What the ids of the page begin with."""
    path: str
    """The address of the page."""

    def sealed(self, user: Any, numbers: Sequence[int]) -> str:
        """The token of a page that shows the jobs with these numbers."""
        # What only a look at all jobs finds is not looked for every two seconds: then the rows shown are followed.
        recipe = None if self.state.is_costly else self.table.source.recipe
        order = self.table.source.order
        written = {
            "for": [PURPOSE, str(user.pk)],
            "table": self.table.written(),
            "state": asdict(self.state),
            "order": [order.column, order.down],
            "jobs": {"numbers": list(numbers)} if recipe is None else {"recipe": recipe},
            "key": self.key,
            "path": self.path,
        }
        return sealing.encrypt(json.dumps(written, separators=(",", ":")), PURPOSE)

    @classmethod
    def opened(cls, token: str, user: Any) -> Self:
        """What ``sealed`` was made of. Raises ``Expired``, also for a token that was made for another user."""
        try:
            found = json.loads(sealing.decrypt(token, PURPOSE))
            if found["for"] != [PURPOSE, str(user.pk)]:
                raise Expired("It was made for somebody else.")
            source = followed(found["jobs"].get("recipe"), found["jobs"].get("numbers"), Order(*found["order"]))
            table = JobsTable.rebuilt(found["table"], source)
            return cls(table, State(**found["state"]), found["key"], found["path"])
        except (SealBroken, Unresolved, FieldError, ValueError, KeyError, TypeError) as error:
            raise Expired(str(error)) from error

    @property
    def prefix(self) -> str:
        """What the choices of this table begin with in the address: nothing for the first one of a page."""
        return "" if self.key == FIRST else f"{self.key}-"

    def address(self, **changes: Any) -> str:
        """The address of the page with other choices."""
        path, _, query = self.path.partition("?")
        return path + self.state.query(self.prefix, self.state.others(QueryDict(query), self.prefix), **changes)

    @property
    def order(self) -> Order:
        """The order of the rows: the reader's, else that of the table."""
        return Order(self.state.sort, self.state.down) if self.state.sort else self.table.source.order


FIRST = "job"
"""The key of the first table of a page."""


def key_of(number: int) -> str:
    """The key of the table that is the ``number``-th of its page."""
    return FIRST if number == 1 else f"{FIRST}{number}"
