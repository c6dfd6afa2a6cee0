"""Results in formats that everybody can read: what is read back is what was computed, and nothing needs a pickle."""

from __future__ import annotations

import datetime
import decimal
import io
import json
import math
import pathlib
import uuid
import zipfile
from dataclasses import dataclass

import numpy
import pandas
import pytest

from jobsapi.formats import formats


class Sink(io.RawIOBase):
    """Takes bytes, and can do nothing else: no seek, no tell, no read."""

    def __init__(self):
        self.data = bytearray()

    def writable(self):
        return True

    def write(self, data):
        view = memoryview(data).cast("B")
        self.data += view
        return len(view)


def written(value):
    """What the first format that fits makes of ``value``: its suffix, and its bytes in a file."""
    for each in formats(value):
        sink = Sink()
        try:
            each.write(sink)
        except Exception:  # noqa: BLE001
            continue
        return each.suffix, io.BytesIO(bytes(sink.data))
    return None


def strict(file):
    """JSON as the standard has it."""

    def refuse(word):
        raise AssertionError(f"{word} is not JSON")

    return json.loads(file.read().decode(), parse_constant=refuse)


@pytest.mark.parametrize(
    "array",
    [
        numpy.arange(12.0).reshape(3, 4),
        numpy.asfortranarray(numpy.arange(12).reshape(3, 4)),
        numpy.arange(20)[::2],
        numpy.array(3.5),
        numpy.zeros((0, 3)),
        numpy.array([1 + 2j]),
        numpy.array(["2026-01-01"], "M8[D]"),
        numpy.array(["grün", ""]),
        numpy.array([(1, 2.0)], [("a", int), ("b", float)]),
    ],
    ids=["2d", "fortran", "strided", "scalar", "empty", "complex", "dates", "text", "fields"],
)
def test_an_array_is_written_as_npy(array):
    suffix, file = written(array)

    back = numpy.load(file, allow_pickle=False)
    assert suffix == ".npy"
    assert back.dtype == array.dtype
    assert numpy.array_equal(back, array)


def test_an_array_with_a_mask_keeps_it():
    suffix, file = written(numpy.ma.array([1, 2, 3], mask=[False, True, False]))

    back = numpy.load(file, allow_pickle=False)
    assert suffix == ".npz"
    assert back["data"].tolist() == [1, 2, 3]
    assert back["mask"].tolist() == [False, True, False]


@pytest.mark.parametrize("many", [[numpy.arange(3), numpy.eye(2)], {"part_0": numpy.arange(3), "part_1": numpy.eye(2)}])
def test_several_arrays_are_written_as_npz(many):
    suffix, file = written(many)

    back = numpy.load(file, allow_pickle=False)
    assert suffix == ".npz"
    assert back["part_0"].tolist() == [0, 1, 2]
    assert back["part_1"].tolist() == [[1, 0], [0, 1]]


def test_a_part_that_failed_is_left_out_and_the_others_keep_their_numbers():
    _, file = written([numpy.arange(2), None, numpy.arange(3)])

    assert numpy.load(file, allow_pickle=False).files == ["part_0", "part_2"]


def test_numbers_beside_arrays_go_with_them():
    _, file = written({"mean": 1.5, "grid": numpy.eye(2)})

    assert numpy.load(file, allow_pickle=False)["mean"] == 1.5


def test_a_mixture_is_written_as_zip_with_each_part_in_its_own_format():
    suffix, file = written({"grid": numpy.eye(2), "table": pandas.DataFrame({"a": [1]}), "note": "hello", "n": [1]})

    with zipfile.ZipFile(file) as archive:
        assert suffix == ".zip"
        assert archive.testzip() is None
        assert archive.namelist() == ["grid.npy", "table.parquet", "note.txt", "n.json"]
        assert archive.read("note.txt") == b"hello"


@pytest.mark.parametrize(
    "key", ["../../etc/passwd", "/etc/passwd", "a/b", "a\\b", "..", ".hidden", "", "x" * 200, "a\nb", 7, (1, 2)]
)
def test_no_name_in_an_archive_leads_out_of_its_folder(key):
    _, file = written({key: numpy.eye(2)})

    with zipfile.ZipFile(file) as archive:
        assert archive.namelist() == ["part_0.npy"]


@pytest.mark.parametrize(
    "frame",
    [
        pandas.DataFrame({"a": [1, 2], "b": ["x", None]}),
        pandas.DataFrame({"a": pandas.to_datetime(["2026-01-01"])}, index=["first"]),
        pandas.DataFrame({"a": []}),
    ],
)
def test_a_table_is_written_as_parquet(frame):
    suffix, file = written(frame)

    assert suffix == ".parquet"
    pandas.testing.assert_frame_equal(pandas.read_parquet(file), frame, check_column_type=False)


def test_a_table_of_more_rows_than_are_written_at_a_time_arrives_whole(monkeypatch):
    monkeypatch.setattr("jobsapi.formats.ROWS", 10)
    frame = pandas.DataFrame({"a": range(25), "b": [str(n) if n > 12 else None for n in range(25)]})

    _, file = written(frame)

    pandas.testing.assert_frame_equal(pandas.read_parquet(file), frame, check_index_type=False)


def test_columns_without_text_for_a_name_get_one():
    _, file = written(pandas.DataFrame({2026: [1], ("a", "b"): [2]}))

    assert list(pandas.read_parquet(file).columns) == ["2026", "('a', 'b')"]


def test_a_table_that_parquet_does_not_take_is_written_as_csv():
    suffix, file = written(pandas.DataFrame({"a": [1, "one", object]}))

    assert suffix == ".csv"
    assert file.read().startswith(b",a\n0,1\n1,one\n")


def test_without_pyarrow_a_table_is_written_as_csv(monkeypatch):
    monkeypatch.setattr("jobsapi.formats.find_spec", lambda name: None)

    suffix, file = written(pandas.Series([1.5, 2.5], name="depth"))

    assert suffix == ".csv"
    assert file.read() == b",depth\n0,1.5\n1,2.5\n"


@pytest.mark.parametrize(
    "value",
    [{"a": [1, 2.5, None, True, "grün"]}, [], 0, False, "", 1e300, [[1], {"b": {}}]],
)
def test_what_json_can_say_comes_back_the_same(value):
    suffix, file = written(value)

    assert (file.read().decode() if suffix == ".txt" else strict(file)) == value


def test_values_that_json_has_no_word_for_are_said_in_words_that_it_has():
    @dataclass
    class Gauge:
        name: str
        depth: float

    value = {
        "numpy": [numpy.float64(1.5), numpy.int32(2), numpy.bool_(True)],
        "day": datetime.date(2026, 11, 22),
        "moment": numpy.datetime64("2026-11-22T01:02:03", "ns"),
        "span": numpy.timedelta64(90, "s").astype("m8[ns]"),
        "long": numpy.longdouble(1.5),
        "took": datetime.timedelta(minutes=1),
        "id": uuid.UUID(int=1),
        "path": pathlib.PurePosixPath("a/b"),
        "price": decimal.Decimal("1.10"),
        "gauge": Gauge("Rhine", 2.5),
        "set": {1},
    }

    assert strict(written(value)[1]) == {
        "numpy": [1.5, 2, True],
        "day": "2026-11-22",
        "moment": "2026-11-22T01:02:03.000000000",
        "span": 90.0,
        "long": 1.5,
        "took": 60.0,
        "id": "00000000-0000-0000-0000-000000000001",
        "path": "a/b",
        "price": "1.10",
        "gauge": {"name": "Rhine", "depth": 2.5},
        "set": [1],
    }


def test_what_is_not_a_number_becomes_null_since_json_has_no_word_for_it():
    value = {"a": math.nan, "b": [math.inf, 1.0, numpy.float64("nan")], "c": (1, -math.inf)}

    assert strict(written(value)[1]) == {"a": None, "b": [None, 1.0, None], "c": [1, None]}


def test_an_array_of_objects_is_written_as_json_if_json_can_say_it():
    suffix, file = written(numpy.array([{"a": 1}, None], dtype=object))

    assert suffix == ".json"
    assert strict(file) == [{"a": 1}, None]


@pytest.mark.parametrize(("value", "name"), [("grün\n", ".txt"), (b"\x00\xff", ".bin"), (bytearray(b"x"), ".bin")])
def test_text_and_bytes_are_written_as_they_are(value, name):
    suffix, file = written(value)

    assert suffix == name
    assert file.read() == (value.encode() if isinstance(value, str) else bytes(value))


def loop():
    value: list = []
    value.append(value)
    return value


@pytest.mark.parametrize("value", [object(), {(1, 2): 3}, loop(), {"f": print}, [object()]], ids=str)
def test_what_no_format_fits_is_written_in_none(value):
    assert written(value) is None
