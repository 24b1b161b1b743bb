"""The floor plan, and moves in charts and trace: their sums are those of the cost model, and what is drawn holds it."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from itertools import pairwise

import numpy as np
import pytest

from cimsolve.show.page.canvas import Chart, inline_svg
from cimsolve.show.page.floor import floor_chart
from cimsolve.show.page.gallery import cost_charts, floor_charts
from cimsolve.show.page.html import render_page
from cimsolve.show.page.palette import LIGHT
from cimsolve.show.page.trace import describe_trace
from cimsolve.show.seen.comparison import compare
from cimsolve.show.seen.floor import Floor, find_floor
from cimsolve.show.seen.judged import Judged, judge
from cimsolve.show.seen.kinds import find_kinds
from cimsolve.show.seen.occupancy import find_arrays
from cimsolve.show.seen.trace import find_moves
from cimsolve.show.seen.waterfall import (
    cycles_of_ways,
    energy_by_component,
    energy_by_stage,
    latency_by_component,
    latency_by_stage,
)
from makers.builders import TWO, answer, ask, mesh_chip, pieces_of
from makers.drawn_solutions import NETWORKS, on_network, tiny_solution


@pytest.fixture(params=NETWORKS)
def judged(request: pytest.FixtureRequest) -> Judged:
    return on_network(request.param)


@pytest.fixture
def floor(judged: Judged) -> Floor:
    found = find_floor(judged, find_arrays(judged))
    assert found is not None
    return found


def test_a_floor_by_hand() -> None:
    # Three matrices of 4 x 4, inputs of 2 bits and outputs of 4, on arrays 0 and 1, in one core, and 2.
    problem = ask(TWO, hardware=mesh_chip())
    rows = [(factor, 0, 0, 4, 0, 4, factor, 0, 0) for factor in range(3)]
    judged = judge(answer(problem, pieces_of(*rows)), "two")  # type: ignore[arg-type]
    floor = find_floor(judged, find_arrays(judged))
    assert floor is not None
    assert floor.arrays.tolist() == [2, 1, 0, 0]
    assert floor.filled.tolist() == [1 / 4, 1 / 4, 0, 0]
    names = {floor.interconnect.name_of_channel(channel): int(bits) for channel, bits in enumerate(floor.bits) if bits}
    # Down 4 elements of 2 bits to each core, up 8 outputs of 4 bits and 4.
    assert names == {
        "link hub to (0, 0)": 8,
        "link hub to (0, 1)": 8,
        "link (0, 0) to hub": 32,
        "link (0, 1) to hub": 16,
        "bus of the core at (0, 0)": 8 + 32,
        "bus of the core at (0, 1)": 8 + 16,
        "hub port down": 16,
        "hub port up": 48,
    }
    assert floor.describe_channel(floor.busiest) == "link (0, 0) to hub: 32 bit a token in 16 ns"
    assert floor.describe_place(3) == "place (1, 1): empty"


def test_a_floor_holds_what_the_metrics_count(judged: Judged, floor: Floor) -> None:
    metrics = judged.costs.metrics
    links = floor.interconnect.links
    assert floor.arrays.sum() == metrics["arrays"]
    assert (floor.arrays > 0).sum() == metrics["cores"]
    assert floor.bits[:links].sum() == metrics["link_bits"]
    assert floor.bits[:links].max() == metrics["link_bits_max"]
    assert floor.bits[:-2] @ floor.interconnect.pj_per_bit[:-2] == pytest.approx(metrics["network_energy_pj"])
    assert floor.times_ns[floor.busiest] == floor.times_ns.max()
    assert float(floor.busy @ floor.arrays) / metrics["arrays"] == pytest.approx(metrics["array_busy_share"])


def test_solutions_of_networks_are_set_side_by_side_in_what_they_move() -> None:
    titles = [column.title for column in compare([on_network("edge"), on_network("edge", "densemap")])]
    assert {"of the latency, moves", "of the energy, moves"} <= set(titles)
    flat = judge(tiny_solution(), "flat")
    assert "of the latency, moves" not in [column.title for column in compare([on_network("edge"), flat])]


def test_a_flat_chip_has_no_floor() -> None:
    flat = judge(tiny_solution(), "flat")
    assert floor_charts(flat, find_arrays(flat)) == []


def test_every_place_and_link_with_traffic_is_drawn_once(floor: Floor) -> None:
    chart = floor_chart(floor)
    (axes, *_) = chart.draw(LIGHT).axes
    drawn = {patch.get_gid(): patch for patch in axes.patches if patch.get_gid()}
    assert drawn.keys() >= {f"place.{place}" for place in range(4)}
    carrying = np.flatnonzero(floor.bits[: floor.interconnect.links])
    assert drawn.keys() >= {f"link.{link}" for link in carrying.tolist()}
    # Links that carry more are wider, and no two lie on each other.
    boxes = [drawn[f"link.{link}"].get_bbox() for link in carrying.tolist()]  # type: ignore[attr-defined]
    widths = [min(box.width, abs(box.height)) for box in boxes]
    order = np.argsort(floor.bits[carrying], kind="stable")
    assert (np.diff(np.array(widths)[order]) >= -1e-12).all()
    for index, box in enumerate(boxes):
        assert not any(_overlap(box, other) for other in boxes[:index])


def _overlap(one: object, other: object) -> bool:
    (left, top), (right, bottom) = np.sort(one.get_points(), axis=0)  # type: ignore[attr-defined]
    (others_left, others_top), (others_right, others_bottom) = np.sort(other.get_points(), axis=0)  # type: ignore[attr-defined]
    across = min(right, others_right) - max(left, others_left)
    down = min(bottom, others_bottom) - max(top, others_top)
    return bool(across > 1e-9 and down > 1e-9)


def test_a_floor_is_a_well_formed_picture_that_says_what_is_pointed_at(floor: Floor) -> None:
    svg = inline_svg(floor_chart(floor), "0")
    root = ET.fromstring(svg.replace("xlink:href", "href"))
    titles = [each.text for each in root.iter("{http://www.w3.org/2000/svg}title")]
    assert floor.describe_place(0) in titles
    assert floor.describe_channel(floor.busiest) in titles
    assert floor.describe_channel(floor.busiest) in " ".join(floor_texts(floor_chart(floor)))


def floor_texts(chart: Chart) -> list[str]:
    return [text.get_text() for axes in chart.draw(LIGHT, 10.0).axes for text in axes.texts]


@pytest.mark.parametrize("width", [3.0, 3.5, 12.0])
def test_a_floor_is_as_wide_as_it_is_asked_to_be(floor: Floor, width: float) -> None:
    figure = floor_chart(floor).draw(LIGHT, width)
    assert figure.get_figwidth() == width
    figure.draw_without_rendering()
    bottom = min(axes.get_position().y0 for axes in figure.axes)
    assert bottom > 0


def test_waterfalls_with_moves_sum_to_the_metrics(judged: Judged) -> None:
    metrics, kinds = judged.costs.metrics, find_kinds(judged.problem)
    for table in (latency_by_component(judged), latency_by_stage(judged, kinds)):
        assert table.total == pytest.approx(metrics["latency_ns"])
        assert table.parts["moves"].sum() == pytest.approx(metrics["network_latency_ns"])
    assert sum(cycles_of_ways(judged).values()) == judged.costs.latency_components_cycles["transfer"]
    for table in (energy_by_component(judged), energy_by_stage(judged, kinds)):
        assert table.total == pytest.approx(metrics["energy_pj"])
        moved = table.parts["moves"].sum() + table.parts.get("buses", np.zeros(1)).sum()
        assert moved == pytest.approx(metrics["network_energy_pj"])
    labels = (*latency_by_component(judged).labels, *energy_by_component(judged).labels)
    assert {"moves up to the hub", "moving on links", "core buses"} <= {*labels}
    assert {chart.name for chart in cost_charts(judged, kinds)} >= {"latency-components", "energy-components"}


def test_moves_lie_within_their_gaps(judged: Judged) -> None:
    moves = find_moves(judged)
    assert {move.way for move in moves} >= {"up", "down"}
    begins = judged.costs.stages.begins
    for move in moves:
        assert begins <= move.start < move.end <= begins + judged.costs.metrics["latency_cycles"]
    for way in ("up", "down"):
        own = sorted((move.start, move.end) for move in moves if move.way == way)
        assert all(end <= start for (_, end), (start, _) in pairwise(own))


def test_a_trace_has_a_lane_for_each_way(judged: Judged) -> None:
    events = describe_trace([judged], 1000)[0]["traceEvents"]
    lanes = {each["tid"]: each["args"]["name"] for each in events if each["name"] == "thread_name" and each["pid"] == 1}
    assert len(lanes) == len(set(lanes)) >= 5
    moved = [each for each in events if each.get("cat") == "move"]
    assert {lanes[each["tid"]] for each in moved} >= {"moves: up to the hub", "moves: down from the hub"}
    assert all(each["dur"] > 0 and each["args"]["binds"] for each in moved)


def test_the_page_has_the_floor_of_a_chip_that_has_one() -> None:
    page = render_page([on_network("edge"), judge(tiny_solution(), "flat")])
    assert page.count("Where the cores lie") == 1
    assert len(re.findall(r"moves take [0-9.]+ (?:ns|µs)", page)) == 1
