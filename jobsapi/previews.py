"""What pages show of a result: written by the worker that has it open, so that no page ever opens it."""

from __future__ import annotations

import reprlib
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from jobsapi.formats import is_array, is_table
from jobsapi.models.text import clean

LINE = 500
"""Characters of the line that a table of jobs shows."""
TEXT, CELL = 4_000, 120
ROWS, COLUMNS = 20, 20
POINTS, CELLS = 240, 40
"""How many points a line has at most, and how many cells a side of a picture."""


def line(value: Any) -> str:
    """``value`` in a few words."""
    return _safely(lambda: clean(_words(value), LINE), value)


def preview(value: Any) -> dict[str, Any]:
    """``value`` as JSON for a page.

    ``type``, ``text`` (its repr), and where it has them ``shape``, ``dtype``, ``table`` (``columns``, ``rows`` of its
    head, ``total`` rows) and ``plot``: ``{"line": [...]}`` or ``{"picture": [[...]]}``, numbers and None, with ``low``
    and ``high``, taken evenly from the whole.
    """
    shown: dict[str, Any] = {"type": type(value).__name__, "text": _safely(lambda: clean(_body(value), TEXT), value)}
    try:
        if is_array(value):
            shown |= {"shape": [*value.shape], "dtype": clean(str(value.dtype), CELL)}
            shown |= _of_fields(value) if value.dtype.names else _plot(value)
        elif is_table(value):
            shown |= _of_table(value)
        elif isinstance(value, Mapping):
            shown["table"] = _table(("name", "value"), [*value.items()][:ROWS], len(value))
        elif isinstance(value, list | tuple):
            shown["table"] = _table(("part", "value"), [*enumerate(value[:ROWS])], len(value))
    except Exception as error:  # noqa: BLE001  (a class of the app's own may do anything)
        shown["problem"] = clean(f"No more can be shown: {type(error).__name__}: {error}")
    return shown


def _safely(words: Callable[[], str], value: Any) -> str:
    try:
        return words()
    except Exception as error:  # noqa: BLE001  (a class of the app's own may not know how to show itself)
        return clean(f"{type(value).__name__} (its repr raised {type(error).__name__}: {error})", LINE)


def _words(value: Any) -> str:
    shape, dtype = getattr(value, "shape", None), getattr(value, "dtype", None)
    head = f"{type(value).__name__} {tuple(shape)} {dtype or ''}".strip() + ": " if shape else ""
    return head + _body(value)


def _body(value: Any) -> str:
    return str(value) if getattr(value, "shape", None) else _brief(value)


def _brief(value: Any) -> str:
    return value if isinstance(value, str) else Brief().repr(value)


class Brief(reprlib.Repr):
    """As ``reprlib`` has it, and without ever writing down all of a long ``bytes``."""

    def __init__(self) -> None:
        super().__init__()
        self.maxstring = self.maxother = 300
        self.maxlist = self.maxtuple = self.maxdict = self.maxset = 10

    def repr_bytes(self, value: bytes, level: int) -> str:
        return self.repr_instance(value[: self.maxother], level)

    repr_bytearray = repr_bytes


def _table(columns: Sequence[Any], rows: Sequence[Sequence[Any]], total: int) -> dict[str, Any]:
    """Cells as texts."""
    return {
        "columns": [clean(str(name), CELL) for name in columns],
        "rows": [[_safely(lambda cell=cell: clean(_cell(cell), CELL), cell) for cell in row] for row in rows],  # type: ignore[misc]
        "total": total,
    }


def _cell(value: Any) -> str:
    return str(value) if isinstance(value, str | float | int) or hasattr(value, "dtype") else _brief(value)


def _of_table(table: Any) -> dict[str, Any]:
    frame = (table.to_frame() if table.ndim == 1 else table).iloc[:, :COLUMNS]
    dtypes = [f"{name} ({dtype})" for name, dtype in frame.dtypes.items()]
    rows = [(label, *cells) for label, cells in zip(frame.index[:ROWS], frame.head(ROWS).to_numpy(object), strict=True)]
    return {"shape": [*table.shape], "table": _table(["", *dtypes], rows, len(frame))}


def _of_fields(array: Any) -> dict[str, Any]:
    """A structured array is a table."""
    flat, names = array.reshape(-1), array.dtype.names[:COLUMNS]
    return {"table": _table(names, [[row[name] for name in names] for row in flat[:ROWS]], len(flat))}


def _plot(array: Any) -> dict[str, Any]:
    if array.dtype.kind not in "biuf" or array.size < 2:
        return {}
    numpy = sys.modules["numpy"]
    plain = array if isinstance(array, numpy.ma.MaskedArray) else numpy.asarray(array)
    squeezed = plain.squeeze()
    while squeezed.ndim > 2:
        squeezed = squeezed[0]
    limit = POINTS if squeezed.ndim == 1 else CELLS
    sample = squeezed[tuple(slice(None, None, -(-length // limit)) for length in squeezed.shape)]
    sample = numpy.ma.filled(sample.astype(float), numpy.nan)
    if not numpy.isfinite(sample).any():
        return {}
    low, high = float(sample[numpy.isfinite(sample)].min()), float(sample[numpy.isfinite(sample)].max())
    numbers = numpy.where(numpy.isfinite(sample), sample, None).tolist()
    return {"plot": {"line" if squeezed.ndim == 1 else "picture": numbers, "low": low, "high": high}}
