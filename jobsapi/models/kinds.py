"""One table for many types: a row's ``kind`` names the proxy class that its instances get."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any, ClassVar, Self

from django.db import models


class Kinded(models.Model):
    """A table whose rows become instances of the proxy class that ``kind`` names.

    Defining a proxy class registers it; no list has to be kept. A row whose class is not installed any more becomes an
    instance of the class that was asked for.
    """

    kind = models.CharField(max_length=100, editable=False)

    registry: ClassVar[dict[str, type[Any]]]

    class Meta:
        abstract = True

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "registry" in vars(cls) or not hasattr(cls, "registry"):  # the table itself, or a part that it is made of
            return
        known = cls.registry.setdefault(cls.__name__, cls)
        if (known.__module__, known.__qualname__) != (cls.__module__, cls.__qualname__):
            raise TypeError(
                f"{cls.__module__}.{cls.__name__}: {known.__module__} has a {cls.__name__} already. "
                "Choose another class name; it is what the table stores."
            )
        cls.registry[cls.__name__] = cls

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if not args:
            kwargs.setdefault("kind", type(self).__name__)
        super().__init__(*args, **kwargs)

    @classmethod
    def from_db(cls, db: str | None, field_names: Collection[str], values: Collection[Any]) -> Self:
        """An instance of the class that the row's ``kind`` names."""
        kind = cls
        if "kind" in field_names:
            kind = cls.registry.get(list(values)[list(field_names).index("kind")], cls)
        make = super(Kinded, kind).from_db.__func__  # type: ignore[attr-defined]
        return make(kind, db, field_names, values)  # type: ignore[no-any-return]

    @classmethod
    def kinds(cls) -> Iterator[str]:
        """What ``kind`` may be for a row to be of this class."""
        return (name for name, known in cls.registry.items() if issubclass(known, cls))
