"""The table of edges, as data: nothing here needs a database."""

import pytest

from jobsapi.status import (
    ACTIVE,
    AT_SCHEDULER,
    EDGES,
    NON_TERMINAL,
    PRE_RUNNING,
    REVIVES,
    RUNNING,
    SENTENCES,
    SOURCES,
    TERMINAL,
    Status,
    combine,
    parse,
)

COM, ERR, ABT, VCP = Status.COMPLETE, Status.ERROR, Status.ABORTED, Status.VARIOUS_COMPLETE
PEN, SUB, RUN, VAR = Status.PENDING, Status.SUBMITTED, Status.RUNNING, Status.VARIOUS


def test_codes_and_names_are_those_of_the_reference():
    assert dict(Status.choices) == {
        "PEN": "Pending",
        "SUB": "Submitted",
        "RUN": "Running",
        "VAR": "Various",
        "PAS": "Paused",
        "COM": "Complete",
        "ERR": "Error",
        "ABT": "Aborted",
        "VCP": "Various-Complete",
        "RES": "Results-Ready",
        "OTH": "Other",
    }


def test_every_status_can_be_reached_from_pending():
    reached = {Status.PENDING}
    while more := {edge.to for edge in EDGES if edge.sources & reached} - reached:
        reached |= more

    assert reached == set(Status)


def test_every_status_that_has_not_ended_can_end():
    for status in NON_TERMINAL | {Status.OTHER}:
        assert any(status in edge.sources and edge.to in TERMINAL for edge in EDGES), status


def test_only_a_cause_that_revives_leaves_a_terminal_status():
    leaving = {edge.by for edge in EDGES if edge.sources & TERMINAL}

    assert leaving == REVIVES


def test_nothing_becomes_pending_again():
    assert not [edge for edge in EDGES if edge.to is Status.PENDING]


def test_every_edge_has_a_sentence_and_a_source():
    for edge in EDGES:
        assert edge.sources, edge
        assert edge.sentence[0].isupper(), edge
        assert edge.sentence.endswith("."), edge


def test_a_cause_has_one_edge_to_each_status():
    assert len(SOURCES) == len(SENTENCES) == len(EDGES)


def test_the_sets_divide_all_statuses():
    assert NON_TERMINAL | TERMINAL | {Status.OTHER} == set(Status)
    assert not NON_TERMINAL & TERMINAL
    assert PRE_RUNNING < NON_TERMINAL
    assert RUNNING < AT_SCHEDULER < ACTIVE < NON_TERMINAL


@pytest.mark.parametrize(
    ("parts", "whole"),
    [
        ({}, PEN),
        ({RUN: 0}, PEN),
        ({COM: 3}, COM),
        ({ERR: 2}, ERR),
        ({ABT: 2}, ABT),
        ({RUN: 1}, RUN),
        ({SUB: 7, RUN: 0}, SUB),
        ({COM: 1, ERR: 1}, VCP),
        ({COM: 1, ABT: 1}, VCP),
        ({VCP: 1, ERR: 4}, VCP),
        ({COM: 1, VCP: 1}, VCP),
        ({ERR: 1, ABT: 1}, ERR),
        ({COM: 9, RUN: 1}, VAR),
        ({SUB: 1, RUN: 1}, VAR),
        ({Status.PAUSED: 1, RUN: 1}, VAR),
        ({ERR: 5, SUB: 1}, VAR),
    ],
)
def test_parts_combine(parts, whole):
    assert combine(parts) is whole


@pytest.mark.parametrize("status", list(Status))
def test_a_code_and_a_display_name_are_parsed_to_their_status(status):
    assert parse(status.value) == (status, "")
    assert parse(str(status.label)) == (status, "")


@pytest.mark.parametrize("text", ["Preparing data", "running", "complete", " Running"])
def test_any_other_text_is_a_custom_label(text):
    assert parse(text) == (Status.OTHER, text)
