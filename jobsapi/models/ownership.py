"""Two writers, disjoint columns: ``save()`` writes what the user owns, and never undoes what a worker wrote."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any, ClassVar, Self

from django.db import models

from jobsapi.exceptions import WorkerOwned


class TwoWriters(models.Model):
    """A row that the user and the worker write at the same time, each its own columns."""

    user_columns: ClassVar[frozenset[str]]
    """Attribute names of the columns that ``save()`` writes on an existing row; all others are the worker's."""
    worker_hint: ClassVar[str]
    """What to call instead of assigning a column of the worker's."""

    _seen: dict[str, Any]
    """What the columns held when the row was last read or written."""

    class Meta:
        abstract = True

    @classmethod
    def from_db(cls, db: str | None, field_names: Collection[str], values: Collection[Any]) -> Self:
        instance = super().from_db(db, field_names, values)
        instance._seen = dict(zip(field_names, values, strict=False))
        return instance

    def refresh_from_db(
        self,
        using: str | None = None,
        fields: Iterable[str] | None = None,
        from_queryset: models.QuerySet[Self] | None = None,
    ) -> None:
        """Read the row again, or some of its columns."""
        fields = None if fields is None else list(fields)
        super().refresh_from_db(using=using, fields=fields, from_queryset=from_queryset)
        self._remember(fields)

    def save(self, *, force_insert: Any = False, update_fields: Iterable[str] | None = None, **kwargs: Any) -> None:
        """Insert the row, or write the user's columns of an existing one.

        Raises ``WorkerOwned`` when another column was assigned since the row was read, instead of dropping that in
        silence.
        """
        if self._state.adding:
            super().save(force_insert=True, **kwargs)
            self._remember()
            return
        if assigned := self._assigned_worker_columns():
            raise WorkerOwned(f"{', '.join(assigned)}: written by the worker alone, not by save(). {self.worker_hint}")
        wanted = self.user_columns if update_fields is None else self._user_part(update_fields)
        wanted = wanted - self.get_deferred_fields()
        if wanted:
            super().save(update_fields=wanted, **kwargs)
            self._remember(wanted)

    def absorb(self, changes: Mapping[str, Any]) -> None:
        """Make this instance show what has just been written to its row."""
        seen = self.__dict__.setdefault("_seen", {})
        for name, value in changes.items():
            setattr(self, name, value)
            seen[name] = value

    def _remember(self, names: Collection[str] | None = None) -> None:
        """Take what the columns (those of ``names``, or all) hold now for what the row holds."""
        read = {
            field.attname: self.__dict__[field.attname]
            for field in self._meta.concrete_fields
            if field.attname in self.__dict__ and (names is None or field.name in names or field.attname in names)
        }
        self._seen = read if names is None else {**self._seen, **read}

    def _user_part(self, names: Iterable[str]) -> frozenset[str]:
        """Columns of the user's among ``names``; also names of no column at all, for Django to refuse."""
        columns = {field.name: field.attname for field in self._meta.concrete_fields}
        asked = {columns.get(name, name) for name in names}
        return frozenset(asked - (set(columns.values()) - self.user_columns))

    def _assigned_worker_columns(self) -> list[str]:
        return [
            name
            for name, seen in self._seen.items()
            if name not in self.user_columns and name in self.__dict__ and self.__dict__[name] != seen
        ]
