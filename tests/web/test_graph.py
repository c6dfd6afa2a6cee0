"""Where the boxes of a graph stand: pure, on graphs of all sorts."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest

from jobsapi.web.inside import graph
from jobsapi.web.inside.graph import BESIDE, HEIGHT, WIDTH, alike, layers, layout

DIAMOND = {"a": [], "b": ["a"], "c": ["a"], "d": ["b", "c"]}


def woven(size: int, seed: int = 3) -> dict[str, list[str]]:
    """A graph without a pattern: each node waits for up to three of the forty before it."""
    dice = random.Random(seed)
    names = [f"n{number}" for number in range(size)]
    return {
        name: dice.sample(names[max(number - 40, 0) : number], min(number, dice.randint(0, 3)))
        for number, name in enumerate(names)
    }


@pytest.mark.parametrize(
    "parents",
    [{}, {"a": []}, DIAMOND, woven(60), woven(300), {"a": [], **{f"b{n}": ["a"] for n in range(200)}}],
    ids=["nothing", "one", "diamond", "woven", "woven and large", "fan"],
)
def test_no_box_is_over_another_and_none_is_outside(parents):
    drawn = layout(parents)
    assert drawn.places.keys() == parents.keys()
    for row in by_height(drawn):
        assert all(right - left >= WIDTH + BESIDE - 0.2 for left, right in pairwise(row))
        assert row[0] >= 0
        assert row[-1] + WIDTH <= drawn.width
    assert all(0 <= place.y <= drawn.height - HEIGHT for place in drawn.places.values())


def by_height(drawn):
    rows: dict[float, list[float]] = {}
    for place in drawn.places.values():
        rows.setdefault(place.y, []).append(place.x)
    return [sorted(row) for row in rows.values()]


def test_lines_run_downwards_from_a_parent_to_its_child():
    parents = woven(120)
    drawn = layout(parents)
    assert drawn.lines.keys() == {(parent, child) for child, of_child in parents.items() for parent in of_child}
    for (parent, child), points in drawn.lines.items():
        assert points[0].y == drawn.places[parent].y + HEIGHT
        assert points[-1].y == drawn.places[child].y
        assert points[0].x == pytest.approx(drawn.places[parent].x + WIDTH / 2)
        assert all(upper.y < lower.y for upper, lower in pairwise(points))


def test_a_long_line_goes_around_the_boxes_that_it_passes():
    chain = {"a": [], "b": ["a"], "c": ["b"], "d": ["c", "a"]}
    drawn = layout(chain)
    for point in drawn.lines["a", "d"][1:-1]:
        for name in ("b", "c"):
            place = drawn.places[name]
            assert not (place.x < point.x < place.x + WIDTH and place.y <= point.y <= place.y + HEIGHT)


def test_the_same_graph_is_always_drawn_the_same():
    assert layout(woven(200)) == layout(woven(200))


def test_a_graph_that_can_be_drawn_without_crossings_is():
    crossed = {"a": [], "b": [], "c": [], "x": ["c"], "y": ["b"], "z": ["a"]}
    lines = layout(crossed).lines
    ends = sorted((points[0].x, points[-1].x) for points in lines.values())
    assert all(upper[1] < lower[1] for upper, lower in pairwise(ends))


def test_a_chain_is_straight_and_siblings_stand_around_the_middle_of_their_parent():
    chain = layout({"a": [], "b": ["a"], "c": ["b"]})
    assert len({place.x for place in chain.places.values()}) == 1
    fan = layout({"a": [], "b": ["a"], "c": ["a"], "d": ["a"]})
    assert fan.places["a"].x == fan.places["c"].x


def test_a_node_without_parents_stands_right_above_what_waits_for_it():
    assert layers({"a": [], "b": ["a"], "late": [], "c": ["b", "late"]}) == {"a": 0, "b": 1, "late": 1, "c": 2}


def test_what_runs_last_stands_below_all_others():
    assert layers({"end": [], **DIAMOND}, ["end"])["end"] == 3
    assert layers({"end": []}, ["end"]) == {"end": 0}


def test_parents_that_are_not_there_and_circles_do_no_harm():
    assert layout({"a": ["gone"], "b": ["a"]}).lines.keys() == {("a", "b")}
    drawn = layout({"a": ["b"], "b": ["a"], "c": []})
    assert set(drawn.places) == {"a", "b", "c"}


def test_nodes_that_only_their_names_tell_apart_are_alike():
    parents = {
        "start": [],
        **{f"run{n}": ["start"] for n in range(5)},
        **{f"check{n}": [f"run{n}"] for n in range(5)},
        "end": [f"check{n}" for n in range(5)],
    }
    groups = alike(parents, {}, most=20)
    assert len(set(groups.values())) == 4
    assert len({groups[f"check{n}"] for n in range(5)}) == 1

    groups = alike({**parents, "check3": ["run3", "start"]}, {}, most=20)
    assert groups["check3"] != groups["check1"] == groups["check0"]
    assert groups["run3"] != groups["run1"]


def test_nodes_of_another_type_are_not_alike():
    assert len(set(alike({"a": [], "b": []}, {"a": "JOB", "b": "SUBDAG"}, most=2).values())) == 2


class Name(str):
    """A name that counts how often one of them is looked up."""

    looked_up = 0

    def __hash__(self):
        Name.looked_up += 1
        return super().__hash__()


def chains(many: int, length: int) -> dict[str, list[str]]:
    return {Name(f"{c}.{n}"): [Name(f"{c}.{n - 1}")] if n else [] for c in range(many) for n in range(length)}


def test_nodes_that_differ_far_away_are_told_apart_without_looking_at_all_again_and_again():
    parents = chains(40, 100)
    Name.looked_up = 0

    groups = alike(parents, {"0.99": "SUBDAG"}, most=250)

    assert len(set(groups.values())) == 200
    assert groups["0.0"] != groups["1.0"] == groups["39.0"]
    assert Name.looked_up < 50 * len(parents)


def test_a_graph_with_more_groups_than_are_drawn_is_given_up_as_soon_as_that_is_known():
    assert alike(chains(40, 100), {"0.99": "SUBDAG"}, most=150) is None
    parents = chains(1, 4_000)
    Name.looked_up = 0
    assert alike(parents, {}, most=250) is None
    assert Name.looked_up < 25 * len(parents)


def test_a_node_that_runs_last_stands_below_what_is_said_to_wait_for_it():
    parents = {"end": [], "a": ["end"], "b": ["a"]}
    assert layers(parents, ["end"]) == {"a": 0, "b": 1, "end": 2}
    assert layout(parents, ["end"]).lines.keys() == {("a", "b")}


def test_no_graph_takes_more_bends_than_can_be_drawn_in_time():
    names = [f"n{number}" for number in range(1000)]
    parents = {name: names[max(number - 1, 0) : number] for number, name in enumerate(names)}
    parents["n999"] = names[:-1]  # lines of all lengths, half a million bends

    drawn = layout(parents)

    assert len(drawn.lines) == 999 + 998
    assert sum(len(points) - 2 for points in drawn.lines.values()) <= 2 * graph.MOST_BENDS
