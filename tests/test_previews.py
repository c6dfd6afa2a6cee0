"""What pages show of a result: JSON, small, and never an error of the app's own classes."""

from __future__ import annotations

import json
import math
import tracemalloc

import numpy
import pandas
import pytest

from jobsapi.previews import CELLS, COLUMNS, LINE, POINTS, ROWS, TEXT, line, preview


def shown(value):
    """The preview, as it comes back from the database."""
    return json.loads(json.dumps(preview(value), allow_nan=False))


def test_an_array_shows_shape_dtype_and_a_line_through_its_values():
    seen = shown(numpy.arange(5.0))

    assert (seen["type"], seen["shape"], seen["dtype"]) == ("ndarray", [5], "float64")
    assert seen["plot"] == {"line": [0, 1, 2, 3, 4], "low": 0, "high": 4}


def test_a_long_array_is_sampled_evenly_from_the_whole():
    seen = shown(numpy.arange(1_000_000))

    assert POINTS / 2 < len(seen["plot"]["line"]) <= POINTS
    assert seen["plot"]["line"][0] == 0
    assert seen["plot"]["line"][-1] > 990_000


def test_an_array_of_two_dimensions_is_a_picture_and_one_of_more_its_first():
    flat, deep = shown(numpy.eye(100)), shown(numpy.ones((3, 1, 4, 5)))

    assert [len(flat["plot"]["picture"]), len(flat["plot"]["picture"][0])] <= [CELLS, CELLS]
    assert numpy.shape(deep["plot"]["picture"]) == (4, 5)


def test_gaps_are_shown_as_gaps():
    seen = shown(numpy.array([1.0, math.nan, math.inf, 4.0]))

    assert seen["plot"] == {"line": [1, None, None, 4], "low": 1, "high": 4}


@pytest.mark.parametrize(
    "array", [numpy.array(1.0), numpy.array([]), numpy.full(3, numpy.nan), numpy.array(["a", "b"])]
)
def test_what_cannot_be_plotted_is_not(array):
    assert "plot" not in shown(array)


def test_numbers_that_float_cannot_hold_do_no_harm():
    assert "plot" in shown(numpy.array([2**63, 1], dtype=numpy.uint64))
    assert shown(numpy.ma.array([1, 2], mask=[True, False]))["plot"]["line"] == [None, 2]


def test_a_table_shows_its_head_with_the_types_of_its_columns():
    frame = pandas.DataFrame({"river": ["Rhine"] * 50, "depth": [1.5] * 50})

    table = shown(frame)["table"]

    assert table["columns"][1:] == [f"river ({frame.river.dtype})", "depth (float64)"]
    assert table["rows"][0] == ["0", "Rhine", "1.5"]
    assert (len(table["rows"]), table["total"]) == (ROWS, 50)


def test_a_wide_table_shows_its_first_columns():
    assert len(shown(pandas.DataFrame({f"c{n}": [n] for n in range(500)}))["table"]["columns"]) == 1 + COLUMNS


def test_dicts_and_lists_show_their_first_parts():
    assert shown({"mean": 1.5, "name": "x"})["table"]["rows"] == [["mean", "1.5"], ["name", "x"]]
    assert shown(["a", None])["table"]["rows"] == [["0", "a"], ["1", "None"]]
    assert shown(list(range(1000)))["table"]["total"] == 1000


def test_a_structured_array_is_a_table():
    assert shown(numpy.array([(1, 2.0)], [("a", int), ("b", float)]))["table"]["rows"] == [["1", "2.0"]]


class Broken:
    def __repr__(self):
        raise RuntimeError("no repr")


def test_a_class_that_cannot_show_itself_is_told_so():
    assert shown(Broken())["text"].startswith("<Broken instance at")
    assert line([Broken()]).startswith("[<Broken instance at")
    assert shown({"a": Broken()})["table"]["rows"][0][0] == "a"


class LikeAnArray:
    shape = property(lambda self: 1 / 0)


def test_a_class_that_only_looks_like_an_array_does_no_harm():
    assert "ZeroDivisionError" in shown(LikeAnArray())["text"]


@pytest.mark.parametrize("value", [b"\x00" * 10**8, ["x" * 10**8], [bytearray(10**8)]], ids=["bytes", "text", "nested"])
def test_a_preview_takes_no_memory_to_speak_of(value):
    tracemalloc.start()
    preview(value)
    line(value)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert most < 1_000_000


@pytest.mark.parametrize("value", ["x" * 10**6, list(range(10**6)), {"a": "x" * 10**6}, "\x00\ud800", b"\x00" * 10**6])
def test_a_preview_is_small_and_fit_for_every_database(value):
    text = json.dumps(preview(value))

    assert len(text) < 3 * TEXT
    assert "\\u0000" not in text
    assert "\\ud800" not in text
    assert len(line(value)) <= LINE
