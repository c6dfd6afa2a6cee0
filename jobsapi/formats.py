"""Results in formats that everybody can read: NPY, NPZ, Parquet, CSV, JSON, text. No pickle, and nothing to install.

numpy and pandas are used when they are loaded already: without them no value can be theirs.
"""

from __future__ import annotations

import codecs
import json
import math
import re
import shutil
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, is_dataclass
from datetime import date, time, timedelta
from decimal import Decimal
from enum import Enum
from importlib.util import find_spec
from pathlib import PurePath
from typing import Any
from uuid import UUID

Write = Callable[[Any], None]
"""Writes to what has a ``write`` method for bytes."""


@dataclass(frozen=True, slots=True)
class Format:
    """One way to write a value down."""

    suffix: str
    """Ends the file's name: ``.npy``."""
    write: Write


def formats(value: Any) -> Iterator[Format]:
    """The formats that ``value`` may be written in, the best one first.

    A writer raises anything when its value turns out not to fit; then the next one is to be tried.
    """
    if isinstance(value, str):
        yield Format(".txt", lambda out: _letters(out, value))
    elif isinstance(value, bytes | bytearray):
        yield Format(".bin", lambda out: out.write(value))
    elif is_array(value):
        yield from _of_array(value)
    elif is_table(value):
        yield from _of_table(value)
    elif holds_data(value):
        parts = dict(_named(value))
        arrays = all(_fits_array(part) for part in parts.values())
        yield Format(".npz" if arrays else ".zip", lambda out: _archive(out, parts, arrays=arrays))
        return  # as JSON it would take many times as much
    if not is_table(value) and not isinstance(value, str | bytes | bytearray):
        yield Format(".json", lambda out: _json(out, value))
        yield Format(".json", lambda out: _json(out, finite(value)))


def is_array(value: Any) -> bool:
    """Whether it is a numpy array."""
    numpy = sys.modules.get("numpy")
    return numpy is not None and isinstance(value, numpy.ndarray)


def is_table(value: Any) -> bool:
    """Whether it is a pandas DataFrame or Series."""
    pandas = sys.modules.get("pandas")
    return pandas is not None and isinstance(value, pandas.DataFrame | pandas.Series)


def holds_data(value: Any) -> bool:
    """Whether it is a dict or a list with an array or a table in it."""
    items = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ()
    return any(is_array(item) or is_table(item) for item in items)


def plain(value: Any) -> Any:
    """A value that JSON does not know, in words that it does. Raises ``TypeError``."""
    if is_array(value) or hasattr(value, "dtype"):
        return _plain_numbers(value)
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, UUID | PurePath | Decimal):
        return str(value)
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, set | frozenset):
        return list(value)
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    raise TypeError(f"{type(value).__name__} is not JSON")


def _plain_numbers(value: Any) -> Any:
    """An array, or a number of NumPy's, in numbers and texts of Python's."""
    numpy = sys.modules["numpy"]
    if value.dtype.kind == "M":
        return numpy.datetime_as_string(value).tolist()
    if value.dtype.kind == "m":
        return (value / numpy.timedelta64(1, "s")).tolist()
    if value.dtype.kind == "f":
        return value.astype(float).tolist()
    return value.tolist()


def finite(value: Any) -> Any:
    """``value`` for JSON, which has no NaN and no infinity: they become null."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    return value if value is None or isinstance(value, str | int) else finite(plain(value))


def _of_array(array: Any) -> Iterator[Format]:
    numpy = sys.modules["numpy"]
    if isinstance(array, numpy.ma.MaskedArray):
        parts = {"data": array.data, "mask": numpy.ma.getmaskarray(array)}
        yield Format(".npz", lambda out: _archive(out, parts, arrays=True))
    elif not array.dtype.hasobject:
        yield Format(".npy", lambda out: numpy.save(out, array, allow_pickle=False))


def _of_table(table: Any) -> Iterator[Format]:
    frame = table.to_frame() if table.ndim == 1 else table
    if find_spec("pyarrow"):
        yield Format(".parquet", lambda out: _parquet(out, frame))
    yield Format(".csv", lambda out: frame.to_csv(_text(out)))


ROWS = 250_000
"""Rows of a table that are turned into Parquet at a time: all at once would take the table's size again."""


LETTERS = 1024**2
"""Characters of a text that are encoded at a time."""
SPOOLED = 1024**2
"""Bytes of a part of an archive that are kept in memory; what is more goes through a temporary file."""


def _parquet(out: Any, frame: Any) -> None:
    import pyarrow
    import pyarrow.parquet

    names = [str(name) for name in frame.columns]
    frame = frame.set_axis(names, axis="columns") if names != list(frame.columns) else frame
    schema = pyarrow.Schema.from_pandas(frame)
    with pyarrow.parquet.ParquetWriter(out, schema) as writer:
        for start in range(0, max(len(frame), 1), ROWS):
            writer.write_table(pyarrow.Table.from_pandas(frame.iloc[start : start + ROWS], schema=schema))


def _json(out: Any, value: Any) -> None:
    text = _text(out)
    for piece in json.JSONEncoder(default=plain, allow_nan=False, ensure_ascii=False).iterencode(value):
        text.write(piece)


def _letters(out: Any, text: str) -> None:
    for start in range(0, len(text), LETTERS):
        _text(out).write(text[start : start + LETTERS])


def _text(out: Any) -> Any:
    return codecs.getwriter("utf-8")(out, "replace")


def _fits_array(part: Any) -> bool:
    """Whether NPY has all of it. A mask it would lose, and for an integer of any length it has no word."""
    numpy = sys.modules["numpy"]
    if isinstance(part, bool | int | float | complex):
        return not numpy.asarray(part).dtype.hasobject
    return is_array(part) and not isinstance(part, numpy.ma.MaskedArray) and not part.dtype.hasobject


def _named(value: Mapping[Any, Any] | Sequence[Any]) -> Iterator[tuple[str, Any]]:
    """The parts of a result with names that are safe in an archive; parts that failed are None, and left out."""
    pairs = value.items() if isinstance(value, Mapping) else enumerate(value)
    for number, (key, part) in enumerate(pairs):
        if part is not None:
            fits = isinstance(key, str) and re.fullmatch(r"(?!part_\d)[\w=+-][\w .=+-]{0,99}", key)
            yield (key if fits else f"part_{number}"), part


def _archive(out: Any, parts: Mapping[str, Any], *, arrays: bool) -> None:
    """A ZIP with one file for each part; one of NPY files alone is what numpy calls NPZ."""
    left_out = []
    with zipfile.ZipFile(out, "w") as archive:
        for name, part in parts.items():
            if arrays or _fits_array(part):
                with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
                    sys.modules["numpy"].save(file, part, allow_pickle=False)
            elif not _add(archive, name, part):
                left_out.append(name)
        if left_out:
            archive.writestr("left_out.txt", "".join(f"No format fits {name}.\n" for name in left_out))
        if len(left_out) == len(parts):
            raise ValueError("no format fits any part")


def _add(archive: zipfile.ZipFile, name: str, part: Any) -> bool:
    """Add a part in the first format that fits; whether there is one shows only when it has been written."""
    for each in formats(part):
        with tempfile.SpooledTemporaryFile(SPOOLED) as whole:
            try:
                each.write(whole)
            except Exception as error:
                if isinstance(error, OSError):
                    raise
                continue
            whole.seek(0)
            with archive.open(f"{name}{each.suffix}", "w", force_zip64=True) as file:
                shutil.copyfileobj(whole, file, SPOOLED)
            return True
    return False
