"""The page in a real browser: Chromium, driven by Playwright. `pytest -m browser`; see CONTRIBUTING.md."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import cimsolve
from cimsolve.show.page.palette import DARK, LIGHT
from makers.folders import ROOT

pytestmark = pytest.mark.browser

ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
SPREAD, LINEAR = 0, 1


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("report") / "report.html"
    solutions = [cimsolve.map_model("minilm-l6", "paper256", strategy=name) for name in ("spread", "linear")]
    cimsolve.write_report(solutions, path)
    return path


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Chromium with an empty profile; CHROMIUM names another one than that of the path."""
    api = pytest.importorskip("playwright.sync_api", reason="pip install -e '.[browser]'")
    executable = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    if executable is None:
        pytest.skip("needs Chromium: apt-get install chromium, or CHROMIUM=...")
    with api.sync_playwright() as playwright:
        context = playwright.chromium.launch_persistent_context(
            tmp_path_factory.mktemp("profile"),
            executable_path=executable,
            headless=True,
            args=list(ARGUMENTS),
            viewport={"width": 1280, "height": 900},
        )
        yield context
        context.close()


@pytest.fixture
def page(browser: Any, report: Path) -> Iterator[Any]:
    """The report, open and unpacked; what the browser complains of or asks the network for fails the test."""
    opened = browser.new_page()
    troubles: list[str] = []
    opened.on("console", lambda message: troubles.append(f"{message.type}: {message.text}"))
    opened.on("pageerror", lambda error: troubles.append(f"error: {error}"))
    opened.on("request", lambda request: troubles.append(request.url) if request.url != report.as_uri() else None)
    opened.goto(report.as_uri())
    until(opened, "document.querySelectorAll('.explorer.ready').length === 2")
    yield opened
    opened.close()
    assert troubles == []


def until(page: Any, condition: str) -> None:
    """Wait until an expression is true; Playwright's own wait needs eval, which the page's policy refuses."""
    for _ in range(100):
        if page.evaluate(condition):
            return
        page.wait_for_timeout(50)
    raise AssertionError(f"never came true: {condition}")


def explorer(page: Any, number: int = SPREAD) -> Any:
    return page.locator(f".explorer[data-solution='{number}']")


def piece_status(page: Any) -> str:
    text: str = explorer(page).locator(".pieces-status").inner_text()
    return text


def pixel(page: Any, selector: str, x: float, y: float) -> list[int]:
    """Red, green and blue at a share of a canvas's width and height."""
    found: list[int] = page.evaluate(
        """([selector, x, y]) => {
          const canvas = document.querySelector(selector), copy = new OffscreenCanvas(1, 1).getContext("2d");
          copy.drawImage(canvas, -Math.floor(x * canvas.width), -Math.floor(y * canvas.height));
          return [...copy.getImageData(0, 0, 1, 1).data].slice(0, 3);
        }""",
        [selector, x, y],
    )
    return found


def channels(colour: str) -> list[int]:
    return [int(colour[at : at + 2], 16) for at in (1, 3, 5)]


def test_pointing_at_a_piece_names_array_piece_and_stage(page: Any) -> None:
    canvas = explorer(page).locator("canvas.pieces")
    canvas.hover(position={"x": 5, "y": 5})
    tip = page.locator(".tip")
    assert tip.is_visible()
    text = tip.inner_text()
    assert re.search(r"^encoder\.layer\.\d\.\S+\nfactor [RL], block \d+ of \d+ \(\d+ × \d+\): rows 0–", text)
    assert re.search(r"\nstage layer\d\.\w+\.[RL], layer \d\non array 0: rows 0–\d+, physical columns 0–\d+\n", text)
    assert re.search(r"\nfires from [\d.]+ [nµm]s to [\d.]+ [nµm]s, (alone|together with \d+ other)", text)
    assert piece_status(page) == text  # for readers who do not point
    page.mouse.move(2, 2)
    assert not tip.is_visible()


def test_the_map_opens_an_array(page: Any) -> None:
    field = explorer(page).locator("canvas.field")
    box = field.bounding_box()
    columns = 4  # of 11 arrays: ceil(sqrt(11 * 1.4))
    side = min(box["width"] / columns, 40)
    field.hover(position={"x": side * 1.5, "y": side * 1.5})
    assert page.locator(".tip").inner_text().startswith("array 5: ")
    field.click(position={"x": side * 1.5, "y": side * 1.5})
    assert explorer(page).locator(".number").input_value() == "5"
    explorer(page).locator("canvas.pieces").hover(position={"x": 5, "y": 5})
    assert "on array 5: " in piece_status(page)


def test_keys_are_enough(page: Any) -> None:
    field = explorer(page).locator("canvas.field")
    field.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowDown")
    assert explorer(page).locator(".number").input_value() == "5"
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")  # nothing lies to the left of the first
    assert explorer(page).locator(".number").input_value() == "0"
    pieces = explorer(page).locator("canvas.pieces")
    pieces.focus()
    page.keyboard.press("Home")
    first = piece_status(page)
    page.keyboard.press("ArrowRight")
    assert piece_status(page) != first
    page.keyboard.press("ArrowLeft")
    assert piece_status(page) == first
    assert first.startswith("encoder.layer.")


def test_tab_reaches_every_control_in_order(page: Any) -> None:
    reached = []
    for _ in range(40):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.className || document.activeElement.tagName"))
    order = ["skip", "measure", "field", "number", "previous", "next", "colouring", "pieces"]
    assert [name for name in reached if name in order][: len(order)] == order


def test_buttons_and_numbers_choose_arrays(page: Any) -> None:
    number = explorer(page).locator(".number")
    explorer(page).locator(".next").click()
    assert number.input_value() == "1"
    explorer(page).locator(".previous").click()
    explorer(page).locator(".previous").click()
    assert number.input_value() == "10"  # round the end
    number.fill("99")
    number.press("Enter")
    assert piece_status(page) == "No array has the number 99."


def test_pieces_are_listed(page: Any) -> None:
    explorer(page).locator(".list summary").click()
    rows = explorer(page).locator(".rows tbody tr")
    told = explorer(page).locator(".field-status").inner_text()
    pieces = re.search(r"(\d+) pieces", told)
    assert pieces is not None
    assert rows.count() == min(500, int(pieces[1]))
    assert rows.first.locator("td").first.inner_text().startswith("encoder.layer.")


def test_colours_follow_the_choice_and_the_theme(page: Any) -> None:
    pieces = ".explorer[data-solution='0'] canvas.pieces"
    explorer(page).locator(".colouring").select_option("occupied")
    light = pixel(page, pieces, 0.02, 0.02)
    assert light == channels(LIGHT["arrays"])
    background = "getComputedStyle(document.body).backgroundColor"
    assert page.evaluate(background) == f"rgb({', '.join(map(str, channels(LIGHT['paper'])))})"
    page.emulate_media(color_scheme="dark")
    until(page, f"{background} === 'rgb({', '.join(map(str, channels(DARK['paper'])))})'")
    assert pixel(page, pieces, 0.02, 0.02) == channels(DARK["arrays"])
    bars = page.locator("svg").first.evaluate("e => getComputedStyle(e.querySelector('text')).fill")
    assert bars == f"rgb({', '.join(map(str, channels(DARK['ink'])))})"
    fills = page.evaluate(
        "[...new Set([...document.querySelectorAll('svg text')].map((e) => getComputedStyle(e).fill))]"
    )
    assert fills == [bars]  # no text is left black on black
    explorer(page).locator(".colouring").select_option("layer")
    assert explorer(page).locator(".pieces-legend").inner_text().split("\n")[:2] == ["layer 0", "layer 5"]


def test_print_is_light_and_leaves_controls_out(page: Any) -> None:
    page.emulate_media(color_scheme="dark", media="print")
    until(page, "document.documentElement.classList.contains('printing')")
    assert not explorer(page).locator(".controls").first.is_visible()
    assert explorer(page).locator("canvas.pieces").is_visible()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    page.emulate_media(color_scheme="dark", media="screen")
    until(page, "!document.documentElement.classList.contains('printing')")


def test_a_narrow_window_scrolls_no_page_sideways(page: Any) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    page.wait_for_timeout(300)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    cut = page.evaluate(
        """[...document.querySelectorAll("body *")].filter((e) => e.scrollWidth > e.clientWidth + 4 && e.clientWidth > 1
             && getComputedStyle(e).overflowX !== "visible" && !e.matches("svg *, option, select, input"))
           .map((e) => getComputedStyle(e, "::before").content)"""
    )
    assert len(cut) > 2
    assert all("scroll sideways" in cue for cue in cut)
    page.set_viewport_size({"width": 1280, "height": 900})


def test_stages_are_named_when_pointed_at(page: Any) -> None:
    titles = page.locator("#solution-0 svg title").all_text_contents()
    assert any(re.fullmatch(r"layer0\.qkv\.R, layer 0: 0 ns to [\d.]+ [nµ]s, \d+ firings?", title) for title in titles)


def test_images_and_controls_have_names(page: Any) -> None:
    unnamed = page.evaluate(
        """() => [...document.querySelectorAll("svg, canvas:not([aria-hidden]), input, select, button, [role=region]")]
           .filter((e) => !(e.getAttribute("aria-label") || e.labels?.length || e.textContent.trim()))
           .map((e) => e.outerHTML.slice(0, 80))"""
    )
    assert unnamed == []


def test_a_name_that_is_markup_is_text(browser: Any, tmp_path: Path) -> None:
    name = "<script>document.title='taken'</script><img src=x onerror=\"document.title='taken'\">"
    name = name.ljust(200, "x")  # as long as names may be
    config = {
        "model_type": "linears",
        "context": 4,
        "steps": [{"name": name, "linears": [{"name": name, "n_in": 16, "n_out": 16}]}],
    }
    (tmp_path / "evil.json").write_text(json.dumps(config))
    cimsolve.write_report(
        cimsolve.map_model(tmp_path / "evil.json", "paper256", strategy="spread"), tmp_path / "r.html"
    )
    page = browser.new_page()
    troubles: list[str] = []
    page.on("console", lambda message: troubles.append(message.text))
    page.goto((tmp_path / "r.html").as_uri())
    page.wait_for_selector(".explorer.ready")
    page.locator("canvas.pieces").hover(position={"x": 5, "y": 5})
    assert page.locator(".tip").inner_text().startswith(name)
    page.locator(".list summary").click()
    assert page.locator(".rows td").first.inner_text() == name
    assert page.title() == "evil on paper256"
    page.set_viewport_size({"width": 400, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= 400
    assert page.locator("img").count() == 0
    assert troubles == []
    page.close()


def test_the_documentation_is_searched_from_the_file_system(browser: Any, tmp_path: Path) -> None:
    pytest.importorskip("material", reason="pip install -e '.[docs]'")
    build = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path / "site")]
    built = subprocess.run(build, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert built.returncode == 0, built.stderr
    asked: list[str] = []
    page = browser.new_page()
    page.on("request", lambda request: asked.append(request.url))
    page.goto((tmp_path / "site" / "index.html").as_uri())
    page.locator("input.md-search__input").press_sequentially("perfetto")
    page.locator(".md-search-result__link", has_text="Pictures of a solution").first.wait_for()
    assert asked
    assert not [url for url in asked if url.startswith("http")]
    page.close()


@pytest.mark.parametrize("width", [900, 1100, 1280])
def test_no_column_of_values_and_bounds_is_cut(page: Any, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    sizes = page.evaluate("[...document.querySelectorAll('.pair > .scroll')].map(e => [e.scrollWidth, e.clientWidth])")
    assert len(sizes) == 2
    assert all(needed <= shown for needed, shown in sizes), sizes
