"""What is packed for a submit host, and in how many archives."""

from __future__ import annotations

import io
import tarfile

from jobsapi.backends.condor.transport.sources import Source
from jobsapi.backends.condor.transport.upload import PACKED_MAX, Upload, room


def source(size: int, name: str = "file", **how: bool) -> Source:
    return Source(name, size, how.pop("executable", False), b"x" * size, **how)


def members(archive: bytes) -> dict[str, tarfile.TarInfo]:
    with tarfile.open(fileobj=io.BytesIO(archive), mode="r:") as packed:
        return {member.name: member for member in packed}


def test_what_only_the_account_may_read_is_packed_so() -> None:
    upload = Upload([source(1), source(1, executable=True), source(1, private=True)], [])
    modes = {name: member.mode for name, member in members(upload.packed([0, 1, 2])).items()}
    assert modes == {"0": 0o666, "1": 0o777, "2": 0o600}


def test_names_are_no_names_of_members_but_stand_in_the_last_archive() -> None:
    upload = Upload([source(1, "../it's\n")], ["a b"])
    archive = upload.packed_last([0])
    assert set(members(archive)) == {"0", "places", "checksums"}
    assert b"d:a b\0f:0:../it's\n\0" in archive


def test_archives_are_filled_in_order_and_large_files_are_left_out() -> None:
    half, large = PACKED_MAX // 2 - tarfile.BLOCKSIZE, PACKED_MAX
    upload = Upload([source(half), source(large), source(half), source(1), source(0)], [])
    assert upload.batches() == [[0, 2], [3, 4]]
    assert [number for number, _ in upload.large] == [1]
    assert Upload([], []).batches() == [[]]


def test_an_archive_is_as_long_as_its_files_need() -> None:
    files = [source(size) for size in (0, 1, 511, 512, 513, 100_000)]
    longest = sum(map(room, files)) + 2 * tarfile.BLOCKSIZE
    assert longest <= len(Upload(files, []).packed(range(6))) < longest + tarfile.RECORDSIZE
