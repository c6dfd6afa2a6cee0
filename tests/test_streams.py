"""Sealed streams of any size: read from any place, and refused as soon as a frame is not what was sealed."""

from __future__ import annotations

import io
import random

import numpy
import pandas
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobsapi.exceptions import SealBroken
from jobsapi.sealing import SealReader, SealWriter
from jobsapi.sealing.streams import FRAME

DATA = random.Random(1).randbytes(3 * FRAME + 12_345)
FRAME_IN_FILE = 1 + 4 + 32 + FRAME
HEADER = 32


def sealed(data, *context, pieces=None):
    out = io.BytesIO()
    writer = SealWriter(out, *context)
    for start in range(0, len(data), pieces or max(len(data), 1)):
        writer.write(data[start : start + (pieces or len(data))])
    writer.finish()
    return out.getvalue()


def opened(stream, *context):
    return io.BufferedReader(SealReader(io.BytesIO(stream), *context))


STREAM = sealed(DATA, "job")


@pytest.mark.parametrize("size", [0, 1, FRAME - 1, FRAME, FRAME + 1, 2 * FRAME, len(DATA)])
@pytest.mark.parametrize("pieces", [None, 700_001, FRAME])
def test_what_was_written_is_read_however_it_came(size, pieces):
    assert opened(sealed(DATA[:size], "job", pieces=pieces), "job").read() == DATA[:size]


@given(st.lists(st.tuples(st.integers(-10, len(DATA) + 10), st.integers(0, 2), st.integers(0, 2 * FRAME)), max_size=5))
def test_reading_from_any_place_is_as_in_a_plain_file(steps):
    ours, plain = opened(STREAM, "job"), io.BytesIO(DATA)

    for offset, whence, count in steps:
        here = {0: 0, 1: plain.tell(), 2: len(DATA)}[whence]
        if here + offset < 0:
            continue
        assert ours.seek(offset, whence) == plain.seek(offset, whence)
        assert ours.read(count) == plain.read(count)
        assert ours.tell() == plain.tell()


def swapped(stream):
    first, second = HEADER, HEADER + FRAME_IN_FILE
    return (
        stream[:first]
        + stream[second : second + FRAME_IN_FILE]
        + stream[first:second]
        + stream[second + FRAME_IN_FILE :]
    )


SPOILED = {
    "the last frame cut off": lambda stream: stream[: HEADER + 3 * FRAME_IN_FILE],
    "a frame left out": lambda stream: stream[: HEADER + FRAME_IN_FILE] + stream[HEADER + 2 * FRAME_IN_FILE :],
    "two frames swapped": swapped,
    "a frame of another stream": lambda stream: (
        stream[:HEADER] + sealed(DATA, "job")[HEADER : HEADER + FRAME_IN_FILE] + stream[HEADER + FRAME_IN_FILE :]
    ),
    "extended": lambda stream: stream + b"x",
    "a bit in the third frame": lambda stream: stream[:-FRAME] + bytes([stream[-FRAME] ^ 1]) + stream[-FRAME + 1 :],
    "the first frame called the last": lambda stream: stream[:HEADER] + b"\x01" + stream[HEADER + 1 :],
    "nothing but the header": lambda stream: stream[:HEADER],
    "nothing": lambda stream: b"",
}


@pytest.mark.parametrize("spoil", SPOILED.values(), ids=SPOILED.keys())
def test_a_spoiled_stream_is_refused_and_gives_nothing_that_was_not_sealed(spoil):
    reader, read = SealReader(io.BytesIO(spoil(STREAM)), "job"), bytearray()

    with pytest.raises(SealBroken):
        read.extend(piece for pieces in iter(lambda: reader.read(100_000), b"") for piece in pieces)
    assert DATA.startswith(bytes(read))


@pytest.mark.parametrize("spoil", ["the last frame cut off", "extended", "a frame left out", "nothing"])
def test_what_was_cut_or_extended_is_refused_before_anything_is_sought_in_it(spoil):
    with pytest.raises(SealBroken):
        opened(SPOILED[spoil](STREAM), "job").seek(0, io.SEEK_END)


def test_libraries_that_seek_can_read_it():
    table, out = pandas.DataFrame({"a": range(1000)}), io.BytesIO()
    table.to_parquet(out)
    numbers = io.BytesIO()
    numpy.save(numbers, numpy.arange(500_000.0))

    assert pandas.read_parquet(opened(sealed(out.getvalue(), "job"), "job")).equals(table)
    assert numpy.load(opened(sealed(numbers.getvalue(), "job"), "job"), allow_pickle=False)[-1] == 499_999
