"""The page, the files and the trace: what is in them, that nothing is loaded, and that names stay names."""

from __future__ import annotations

import base64
import dataclasses
import json
import re
import xml.etree.ElementTree as ET
import zlib
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.text import Text

from cimsolve.problem.solution import Solution
from cimsolve.show.page import write_figures
from cimsolve.show.page.canvas import inline_svg, write_chart
from cimsolve.show.page.charts import draw_bounds, draw_comparison
from cimsolve.show.page.embed import describe_solution, pack
from cimsolve.show.page.gallery import array_charts, comparison_charts, cost_charts, schedule_charts, stems_of
from cimsolve.show.page.html import render_page
from cimsolve.show.page.maps import legend_of, stage_colours
from cimsolve.show.page.palette import DARK, KINDS, LIGHT, PLACEHOLDERS
from cimsolve.show.seen.comparison import bound_rows
from cimsolve.show.seen.judged import Judged, judge
from cimsolve.show.seen.kinds import KINDS_MAX, find_kinds
from cimsolve.show.seen.occupancy import find_arrays, find_pieces
from makers.builders import answer, ask, chip, linears, pieces_of, step, with_header
from makers.drawn_solutions import ROWS, TINY, minilm_layer, minilm_spread, tiny_solution

EVIL = "</script><script>alert('x')</script><img src=x onerror=alert(1)>$\\frac$&amp;模"
HIDDEN = "\u2028\u202e\x07"


@pytest.fixture
def solution() -> Solution:
    return tiny_solution()


@pytest.fixture(scope="module")
def minilm() -> Judged:
    return minilm_spread()


@pytest.fixture(scope="module")
def page(minilm: Judged) -> Page:
    return Page(render_page([minilm, judge(tiny_solution(), "results/tiny.json")]))


class Page(HTMLParser):
    """What a browser would find: elements with their attributes, texts of scripts, and all other text."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.source = text
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.text = ""
        self._script = False
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._script = tag == "script"
        if self._script:
            self.scripts.append("")

    def handle_endtag(self, tag: str) -> None:
        self._script = self._script and tag != "script"

    def handle_data(self, data: str) -> None:
        if self._script:
            self.scripts[-1] += data
        else:
            self.text += data

    def data(self) -> list[Any]:
        """The JSON of its data scripts: of each solution, then the scale."""
        return [json.loads(text) for text in self.scripts[:-1]]


def unpacked(packed: dict[str, str]) -> list[float]:
    data = zlib.decompress(base64.b64decode(packed["data"]))
    found: list[float] = np.frombuffer(data, dtype=f"<{packed['kind']}").tolist()
    return found


# The page


def test_the_page_loads_nothing(page: Page) -> None:
    for tag, attributes in page.elements:
        for name in ("src", "href", "xlink:href", "action", "data", "poster", "srcset"):
            value = attributes.get(name)
            assert value is None or value.startswith(("#", "data:image/png;base64,")), (tag, name, value)
        assert tag not in ("link", "iframe", "object", "embed", "base", "form")
    for text in (page.scripts[-1], *re.findall(r"<style.*?</style>", page.source, re.DOTALL)):
        assert not re.search(r"https?:|//[a-z]|@import|url\((?!#)|fetch\(|XMLHttpRequest|import\(", text)
    policy = next(a["content"] for tag, a in page.elements if tag == "meta" and "http-equiv" in a)
    assert policy is not None
    assert policy.startswith("default-src 'none'; ")
    assert "script-src 'sha256-" in policy


def test_the_page_is_well_formed(page: Page) -> None:
    ids = Counter(a["id"] for _, a in page.elements if "id" in a)
    assert not [name for name, count in ids.items() if count > 1]
    for _, attributes in page.elements:
        for name in ("href", "aria-labelledby", "for"):
            target = attributes.get(name)
            if target and (name != "href" or target.startswith("#")):
                assert target.removeprefix("#") in ids
    tags = Counter(tag for tag, _ in page.elements)
    assert (tags["h1"], tags["main"], tags["title"] > 0) == (1, 1, True)
    for svg in re.findall(r"<svg.*?</svg>", page.source, re.DOTALL):
        assert 'role="img" aria-label="' in svg
        ET.fromstring(svg)
    assert not any(placeholder in page.source for placeholder in PLACEHOLDERS.values())


def test_the_page_tells_the_figures(page: Page, minilm: Judged) -> None:
    assert "minilm-l6 on paper256" in page.text
    assert "passed all of them" in page.text
    for row in ("11", "100%", "spread", "by hand"):
        assert row in page.text
    assert page.data()[0]["latency_cycles"] == minilm.costs.metrics["latency_cycles"]


def test_the_page_holds_every_piece(page: Page, minilm: Judged) -> None:
    told = page.data()[0]
    table = find_arrays(minilm)
    assert unpacked(told["arrays"]["cells"]) == table.cells.tolist()
    assert unpacked(told["arrays"]["number"]) == table.number.tolist()
    assert told["embedded"] is None
    found = find_pieces(minilm, np.arange(len(table)))
    width = minilm.hardware.columns_per_weight
    pieces = dataclasses.replace(found.pieces, array_col=found.pieces.array_col * width)
    for name, values in {**vars(pieces), "start": found.start, "end": found.end}.items():
        if name != "array":
            assert [value for chunk in told["chunks"] for value in unpacked(chunk[name])] == values.tolist()
    ends: list[float] = []
    for chunk in told["chunks"]:
        base = ends[-1] if ends else 0
        ends += [base + end for end in unpacked(chunk["ends"])]
    assert ends == found.first[1:].tolist()
    assert [told["factors"]["linear"][0], told["stages"]["name"][0]] == [
        "encoder.layer.0.attention.self.query",
        "layer0.qkv.R",
    ]


def told_of(judged: Judged, pieces_max: int) -> dict[str, Any]:
    return describe_solution(judged, find_kinds(judged.problem), find_arrays(judged), "label", pieces_max)


def test_columns_of_pieces_are_physical() -> None:
    # Two bits in one-bit cells take two columns: the piece at logical column 1 begins at physical column 2.
    problem = ask(linears(step("a", (4, 2))), hardware=chip(weight={"bits": 2, "signed": "none"}))
    judged = judge(answer(problem, pieces_of((0, 0, 0, 4, 0, 2, 0, 0, 1))), "wide")
    assert unpacked(told_of(judged, 1)["chunks"][0]["array_col"]) == [2]


def test_chunks_divide_large_solutions(minilm: Judged, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cimsolve.show.page.embed.CHUNK_PIECES", 200)
    told = told_of(minilm, 10**9)
    assert len(told["chunks"]) > 2
    firsts = [chunk["from"] for chunk in told["chunks"]]
    assert firsts == np.cumsum([0, *(len(unpacked(chunk["ends"])) for chunk in told["chunks"])]).tolist()[:-1]
    assert sum(len(unpacked(chunk["factor"])) for chunk in told["chunks"]) == minilm.costs.metrics["pieces"]


def test_a_page_that_would_be_too_large_holds_some_arrays_whole(minilm: Judged) -> None:
    told = told_of(minilm, 300)
    embedded = unpacked(told["embedded"])
    table = find_arrays(minilm)
    held = sum(len(unpacked(chunk["factor"])) for chunk in told["chunks"])
    assert held == table.pieces[np.array(embedded, dtype=int)].sum() <= 300
    assert len(unpacked(told["arrays"]["cells"])) == len(table)  # the map has them all


def test_the_page_stays_small(page: Page) -> None:
    assert len(page.source.encode()) < 900_000


def test_equal_solutions_give_equal_pages(solution: Solution) -> None:
    judged = judge(solution, "tiny")
    first = render_page([judged])
    assert render_page([judged]) == first


def test_names_stay_names() -> None:
    config = linears(step(EVIL, (4, 4)), step("b", (4, 4)))
    found = answer(ask(config), pieces_of(*ROWS))
    found = with_header(found, model_name=EVIL, strategy="<u>bold</u>")
    judged = judge(found, f"results/{EVIL}{HIDDEN}.json")
    page = Page(render_page([judged]))
    assert [tag for tag, _ in page.elements if tag in ("img", "u")] == []
    assert len(page.scripts) == 3  # the solution's data, the scale, the script
    assert page.data()[0]["factors"]["linear"][0] == f"{EVIL}0"
    assert page.data()[0]["stages"]["name"][0] == EVIL
    assert judged.name.endswith(r"\u2028\u202e\x07.json")
    assert judged.name in page.text
    assert all(line.isprintable() for line in page.source.split("\n"))
    assert "alert('x')" in page.text  # the title, as text
    assert not any(name.startswith("on") for _, attributes in page.elements for name in attributes)


def test_pack_takes_the_smallest_kind() -> None:
    assert [pack(np.array([value]))["kind"] for value in (255, 256, 65536, -1, 2**40)] == ["u1", "u2", "i4", "i4", "f8"]
    assert unpacked(pack(np.array([2**40, 7]))) == [2.0**40, 7.0]


# Colours


def test_roles_are_those_of_both_pages() -> None:
    assert LIGHT.keys() == DARK.keys() == PLACEHOLDERS.keys()
    assert len(set(PLACEHOLDERS.values())) == len(LIGHT)


def test_stages_of_one_kind_have_one_colour(minilm: Judged) -> None:
    kinds = find_kinds(minilm.problem)
    colours = stage_colours(kinds)
    assert colours[:8] == [shade for kind in range(4) for shade in KINDS[kind]]  # R, L of each kind
    assert colours == colours[:8] * 6
    assert legend_of(kinds)[:2] == [("Q, K, V R", KINDS[0][0]), ("Q, K, V L", KINDS[0][1])]


SEEN = {
    "all cones": np.eye(3),
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]],
}
"""Linear RGB as it is seen, after Machado, Oliveira and Fernandes (2009)."""


@pytest.mark.parametrize("eyes", SEEN)
def test_no_two_kinds_look_alike(eyes: str) -> None:
    assert len(KINDS) == KINDS_MAX
    shades = [shade for pair in KINDS for shade in pair]
    channels = np.array([[int(shade[at : at + 2], 16) / 255 for at in (1, 3, 5)] for shade in shades])
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    seen = np.clip(linear @ np.array(SEEN[eyes]).T, 0, 1)
    xyz = seen @ np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]).T
    share = xyz / [0.9505, 1, 1.089]
    f = np.where(share > 0.008856, np.cbrt(share), 7.787 * share + 16 / 116)
    lab = np.stack([116 * f[:, 1] - 16, 500 * (f[:, 0] - f[:, 1]), 200 * (f[:, 1] - f[:, 2])], axis=1)
    apart = np.sqrt(((lab[:, None] - lab[None]) ** 2).sum(axis=2)) + 1000 * np.eye(len(lab))
    assert apart.min() > 17  # of CIELAB's units; 2 can just be told apart side by side


def luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("colours", [LIGHT, DARK], ids=["light", "dark"])
@pytest.mark.parametrize(("role", "least"), [("ink", 7), ("faint", 4.5), ("arrays", 3), ("bound", 3), ("transfer", 3)])
def test_contrast_is_that_of_wcag(colours: dict[str, str], role: str, least: float) -> None:
    high, low = sorted((luminance(colours[role]), luminance(colours["paper"])), reverse=True)
    assert (high + 0.05) / (low + 0.05) >= least


# Files


def test_every_chart_is_written_in_every_format(tmp_path: Path) -> None:
    config = linears(step(EVIL, (4, 4)), step("b", (4, 4)))  # names that are no markup and no formula
    written = write_figures(answer(ask(config), pieces_of(*ROWS)), tmp_path / "figures", ("svg", "png"))
    charts = ["bounds", "latency-components", "latency-stages", "energy-components", "energy-stages", "schedule"]
    expected = [f"by_hand--{chart}.{kind}" for chart in [*charts, "map", "arrays"] for kind in ("svg", "png")]
    assert [path.name for path in written] == expected
    assert all(path.stat().st_size > 1000 for path in written)
    for path in written[::2]:
        ET.parse(path)


def test_a_chip_without_energies_has_no_charts_of_them() -> None:
    free = dict.fromkeys(("row", "cell", "column", "shift_add"), 0)
    table = [{**line, "pj": 0} for line in chip()["adc"]["table"]]
    hardware = chip(energy_pj=free, adc__table=table, array__leakage_uw=0, transfer__pj_per_bit=0)
    judged = judge(answer(ask(TINY, hardware=hardware), pieces_of(*ROWS)), "free.json")
    charts = [chart.name for chart in cost_charts(judged, find_kinds(judged.problem))]
    assert charts == ["bounds", "latency-components", "latency-stages"]
    assert "Where the energy goes" not in render_page([judged])


def test_several_solutions_have_a_chart_together(solution: Solution, tmp_path: Path) -> None:
    judged = [judge(solution, name) for name in ("here/same.json", "there/same.json")]
    assert stems_of([each.name for each in judged]) == ["same-1", "same-2"]
    chart, arrays = comparison_charts(judged, ["one", "two"])
    assert [each.get_title().split("\n")[0] for each in arrays.draw(LIGHT).axes] == ["one", "two"]
    write_chart(chart, tmp_path / "comparison.svg", "tiny")
    first = (tmp_path / "comparison.svg").read_bytes()
    write_chart(chart, tmp_path / "comparison.svg", "tiny")
    assert (tmp_path / "comparison.svg").read_bytes() == first
    axes = chart.draw(LIGHT).axes
    assert [each.get_title(loc="left").partition(",")[0] for each in axes[:2]] == ["arrays", "token latency"]
    assert [bar.get_width() for bar in axes[0].patches] == [2.0, 2.0]
    assert axes[0].lines[0].get_xdata().tolist() == [1.0, 1.0]  # type: ignore[union-attr]


@pytest.mark.parametrize(("times", "scale", "bars"), [(2, "linear", 2), (1000, "log", 0)])
def test_values_that_span_decades_are_dots_not_bars(solution: Solution, times: int, scale: str, bars: int) -> None:
    rows = bound_rows(judge(solution, "tiny"))[1:2]
    others = [dataclasses.replace(rows[0], value=rows[0].value * times)]
    (axes,) = draw_comparison(["one", "two"], [rows, others], LIGHT).axes
    assert (axes.get_xscale(), len(axes.patches)) == (scale, bars)
    (axes,) = draw_bounds([*rows, *others], LIGHT).axes
    assert (axes.get_xscale(), len(axes.patches)) == (scale, bars)


def test_the_caption_of_a_chart_is_its_key_sentence(page: Page, minilm: Judged) -> None:
    told = [chart.says for chart in cost_charts(minilm, find_kinds(minilm.problem))]
    assert told[0].startswith("proved least: arrays, area; furthest above its bound: ")
    assert told[1].startswith("77.68 µs in all; largest: arrays fire, 75.02 µs (96.6%)")
    for sentence in told:
        assert f"{sentence[0].upper()}{sentence[1:]}." in page.text


def test_the_least_are_named_where_solutions_may_be_compared(solution: Solution) -> None:
    tiny = judge(solution, "tiny")
    whole = judge(answer(ask(TINY), pieces_of(ROWS[0], (1, 0, 0, 4, 0, 4, 0, 4, 4))), "whole")
    told = comparison_charts([tiny, whole, whole], ["a", "b", "c"])[0].says
    assert told.startswith("least arrays, ")
    assert ": b and c; least token latency" in told
    other = judge(answer(ask(TINY, hardware=chip(read_ns=4)), pieces_of(*ROWS)), "other")
    assert "least" not in comparison_charts([tiny, other], ["a", "b"])[0].says


def test_idle_time_is_no_value_of_the_scale(minilm: Judged, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cimsolve.show.page.gallery.FIRINGS_DRAWN", 0)
    chart = schedule_charts(minilm, find_kinds(minilm.problem))[0]
    figure = chart.draw(LIGHT)
    field = figure.axes[2]
    shares = field.images[0].get_array()
    assert shares is not None
    assert np.ma.getmaskarray(shares).any()  # nothing is drawn there, so the hatched ground shows
    assert shares.min() > 0
    assert field.patch.get_hatch()
    assert "idle: does not fire" in [text.get_text() for text in figure.legends[0].get_texts()]


def test_a_waterfall_is_drawn_to_its_total(solution: Solution) -> None:
    judged = judge(solution, "tiny")
    chart = next(chart for chart in cost_charts(judged, find_kinds(judged.problem)) if chart.name == "latency-stages")
    (axes,) = chart.draw(LIGHT).axes
    bars = [(bar.get_x(), bar.get_width()) for bar in axes.patches]
    # Parts that are spent in arrays, row by row, then those between, then the total: 14 + (10 + 2) + 2 ns.
    assert bars == [(0, 14), (14, 10), (26, 0), (14, 0), (24, 2), (26, 2), (0, 28)]
    assert axes.get_xlabel() == "latency of a token, ns"


def test_pieces_are_drawn_where_they_lie(solution: Solution) -> None:
    judged = judge(solution, "tiny")
    kinds, table = find_kinds(judged.problem), find_arrays(judged)
    chart = array_charts(judged, kinds, table)[1]
    first = chart.draw(LIGHT).axes[0]
    boxes = [path.get_extents().bounds for path in first.collections[0].get_paths()]
    assert boxes == [(0, 0, 4, 4), (4, 4, 2, 4)]  # column, row, columns, rows
    assert [to_hex(colour) for colour in first.collections[0].get_facecolor()] == [KINDS[0][0], KINDS[1][0]]  # type: ignore[union-attr]
    assert first.get_title().startswith("array 0: 37.5% full\n2 pieces")  # 24 of 64 cells


def test_small_schedules_are_drawn_firing_by_firing(solution: Solution, minilm: Judged) -> None:
    judged = judge(solution, "tiny")
    (whole,) = schedule_charts(judged, find_kinds(judged.problem))
    field = whole.draw(LIGHT).axes[2]
    assert len(field.collections[0].get_paths()) == 3  # type: ignore[attr-defined]
    assert [text.get_text() for text in field.get_yticklabels()] == ["0", "1"]
    assert whole.tips["stage.0"] == "a, layer 0: 0 to 14 ns, 1 firing".replace("0 to", "0 ns to")
    assert len(schedule_charts(minilm, find_kinds(minilm.problem))) == 2


def test_too_many_shapes_become_an_image(solution: Solution, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cimsolve.show.page.maps.SHAPES_MAX", 1)
    judged = judge(solution, "tiny")
    kinds = find_kinds(judged.problem)
    (whole,) = schedule_charts(judged, kinds)
    assert inline_svg(whole, "").count("<image") == 1  # the strip of two stages
    arrays = array_charts(judged, kinds, find_arrays(judged))[1]
    assert inline_svg(arrays, "").count("<image") == 1  # the array with two pieces, not the one with one


def test_charts_are_as_wide_as_asked_for_and_keep_their_letters() -> None:
    layer = minilm_layer()
    kinds, labels = find_kinds(layer.problem), ["spread", "the same"]
    charts = [*comparison_charts([layer, layer], labels), *cost_charts(layer, kinds)]
    charts += [*schedule_charts(layer, kinds), *array_charts(layer, kinds, find_arrays(layer))]
    for chart in charts:
        natural = chart.draw(LIGHT)
        assert overlaps(natural) == []
        for width in (3.0, 8.0) if chart is charts[0] else (3.0,):
            drawn = chart.draw(LIGHT, width)
            assert drawn.get_figwidth() == width
            assert smallest_letters(drawn) >= smallest_letters(natural)
            assert overlaps(drawn) == []


def smallest_letters(figure: Figure) -> float:
    return min(text.get_fontsize() for text in figure.findobj(Text))


def overlaps(figure: Figure) -> list[str]:
    """Which titles leave the figure, and which legends lie on axes or their letters."""
    figure.draw_without_rendering()
    shown = [axes for axes in figure.axes if axes.get_visible()]
    titles = [axes.title.get_window_extent() for axes in shown if axes.get_title()]
    outside = ["title" for box in titles if box.x0 < 0 or box.x1 > figure.bbox.x1 or box.y1 > figure.bbox.y1]
    below = [legend.get_window_extent() for legend in figure.legends]
    boxes = [box for axes in shown if (box := axes.get_tightbbox()) is not None]
    return outside + ["legend" for box in boxes if any(box.overlaps(legend) for legend in below)]


def test_a_chart_for_a_column_has_its_dots(minilm: Judged, tmp_path: Path) -> None:
    chart = cost_charts(minilm, find_kinds(minilm.problem))[0]
    write_chart(chart, tmp_path / "a.png", "minilm", 3.5, 300)
    header = (tmp_path / "a.png").read_bytes()[16:24]
    assert int.from_bytes(header[:4], "big") == 1050  # 3.5 in of 300 dots
    write_chart(chart, tmp_path / "a.svg", "minilm", 3.5)
    assert 'width="252pt"' in (tmp_path / "a.svg").read_text()  # 3.5 in of 72 points
