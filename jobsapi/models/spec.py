"""Attributes of a job type without a column of their own."""

from collections.abc import Callable
from typing import Any


class spec_property(property):
    """An attribute of a job type, kept in ``job.spec``.

    ``attributes = spec_property(dict)`` gives ``job.attributes`` an empty dict of its own; a plain default is given as
    it is: ``num_jobs = spec_property(1)``. The value must be JSON, or become it with ``convert``. It is a ``property``,
    so ``CondorJob(attributes={...})`` works through Django's own ``Model.__init__``; it cannot be used in a query.
    """

    def __init__(
        self, default: Any = None, doc: str | None = None, convert: Callable[[Any], Any] | None = None
    ) -> None:
        self.default: Callable[[], Any] = default if callable(default) else lambda: default
        self.convert = convert
        self.name = ""
        super().__init__(self._read, self._write)
        self.__doc__ = doc

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def _read(self, job: Any) -> Any:
        return job.spec.setdefault(self.name, self.default())

    def _write(self, job: Any, value: Any) -> None:
        job.spec[self.name] = self.convert(value) if self.convert else value
