"""The results are what the comments of the page say."""

import hashlib


def holds(page):
    assert (page.file.name, page.file.size) == ("result.npy", 8128)
    assert (page.array == page.depths.result).all()
    with page.file.open() as opened:
        assert hashlib.sha256(opened.read()).hexdigest() == page.file.sha256
    assert page.depths.result_preview["shape"] == [1000]

    assert [(output.name, output.size) for output in page.report.find_outputs()] == [("map", 4), ("log", 5)]
