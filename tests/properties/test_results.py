"""Whatever a job computes: it is shown somehow, and written in a format that fits or in none."""

from __future__ import annotations

import io
import json
import math
from dataclasses import dataclass
from typing import Any

import numpy
import pandas
from hypothesis import example, given
from hypothesis import strategies as st

from jobsapi.exceptions import SealBroken
from jobsapi.formats import formats
from jobsapi.models.text import clean, clean_json, storable
from jobsapi.previews import line, preview
from jobsapi.sealing import SealReader, SealWriter
from tests.properties import a_part_of
from tests.properties.texts import json_values, texts


class Unshowable:
    """Says nothing of itself."""

    def __repr__(self) -> str:
        raise RuntimeError("no")

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:  # for Hypothesis, which asks this first
        printer.text("Unshowable()")


class Liar:
    """Claims to be an array."""

    shape, dtype = (3, "x"), object()

    def __str__(self) -> str:
        raise ValueError


class ShapedLikeNothing:
    """Has a shape that nobody can ask for."""

    @property
    def shape(self) -> Any:
        raise RuntimeError("no shape")


@dataclass
class Box:
    inside: Any


class Deep(list[Any]):
    """A list of lists of lists."""

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        printer.text("deep")


circle: dict[Any, Any] = {}
circle["self"] = circle
deep = Deep()
for _ in range(5_000):
    deep = Deep([deep])

DTYPES = ["?", "i1", "u8", "f2", "f4", "f8", "c16", "U3", "S3", "O", "M8[s]", "m8[D]", "V4", "i4,f8", "f8,O"]
SHAPES = [(), (0,), (1,), (7,), (0, 3), (2, 3), (1, 1, 1, 5), (3, 0, 2)]
arrays = st.builds(lambda dtype, shape: numpy.zeros(shape, dtype), st.sampled_from(DTYPES), st.sampled_from(SHAPES))
ODD: list[Any] = [
    *(Unshowable(), Liar(), ShapedLikeNothing(), Box(1), Box(circle), 10**5_000, -math.inf, math.nan, 1j, b"\xff", ...),
    *({1: 2, "1": 3}, {(1, 2): numpy.float32("nan")}, {None: numpy.arange(3)}, frozenset([1]), range(10**9), int),
    *(numpy.float64("nan"), numpy.datetime64("NaT"), numpy.str_("\ud800"), numpy.full(5, numpy.nan)),
    *(numpy.ma.masked, numpy.ma.masked_all((2, 2)), numpy.array([numpy.inf, -numpy.inf, 1.0]), numpy.array(circle)),
    pandas.DataFrame({"a": [1, None], "b": [Unshowable(), {}]}),
    pandas.DataFrame([[1, 2]], columns=["x", "x"]),
    pandas.DataFrame({("a", 1): [1], ("b", 2): [2]}),
    pandas.DataFrame(),
    pandas.Series([1, 2], index=pandas.MultiIndex.from_tuples([(1, "a"), (2, "b")]), name=("n", 3)),
    pandas.Series(["a\x00"], dtype="category"),
    pandas.DataFrame({"t": pandas.to_datetime(["2026-01-01"], utc=True), "p": pandas.period_range("2026", periods=1)}),
]
odd = st.integers(0, len(ODD) - 1).map(lambda place: ODD[place])  # some of them have no repr
values = st.recursive(
    json_values | odd | arrays,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3) | st.tuples(inner, inner),
    max_leaves=4,
)


@a_part_of(0.8)
@given(values)
@example(circle)
@example(deep)
@example({"a": numpy.arange(3), "b": Unshowable(), "": circle})
@example(ShapedLikeNothing())
def test_every_result_is_shown(value):
    shown = json.dumps(preview(value), allow_nan=False)

    assert storable(line(value))
    assert storable(shown)
    assert len(line(value)) <= 500


class Unwritable(io.RawIOBase):
    """A file that takes so much and no more: what writes must not run on."""

    def __init__(self) -> None:
        self.size = 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self.size += len(memoryview(data).cast("B"))
        if self.size > 10 * 1024**2:
            raise OSError("larger than what it was made of")
        return len(memoryview(data).cast("B"))


@a_part_of(0.8)
@given(values)
@example(circle)
@example({"a": numpy.arange(3), "b": Unshowable(), "": circle})
def test_every_result_is_written_or_fits_no_format(value):
    for each in iterated(value):
        try:
            each.write(Unwritable())
        except Exception:  # noqa: BLE001  (a format that does not fit may raise anything; the next one is tried)
            continue


def iterated(value: Any) -> list[Any]:
    try:
        return list(formats(value))
    except Exception:  # noqa: BLE001  (as jobsapi.results has it)
        return []


@given(texts, st.integers(1, 60))
def test_text_that_was_cleaned_is_taken_by_every_database(text, limit):
    cleaned = clean(text, limit)

    assert storable(cleaned)
    assert len(cleaned) <= limit
    assert clean(cleaned, limit) == cleaned


@given(json_values)
@example({"a\x00": ["\ud800", {"\x00": "\x00"}]})
def test_json_that_was_cleaned_is_taken_by_every_database(value):
    written = json.dumps(clean_json(value), ensure_ascii=False)

    assert "\\u0000" not in written.replace("\\\\", "")
    written.encode()


SEALED = io.BytesIO()
writer = SealWriter(SEALED, "job", "attempt")
writer.write(b"0123456789" * 20)
writer.finish()


@given(st.integers(0, 400), st.integers(0, 400), st.binary(max_size=8))
def test_a_sealed_stream_that_was_changed_in_any_way_gives_no_byte(start, end, more):
    whole = SEALED.getvalue()
    changed = whole[:start] + more + whole[end:]
    if changed == whole:
        return
    given_out = b""
    try:
        with io.BufferedReader(SealReader(io.BytesIO(changed), "job", "attempt")) as file:
            given_out = file.read()
    except SealBroken:
        return
    raise AssertionError(f"opened: {given_out!r}")
