"""Size of the report's pages, time to write them, and time to open them in headless Chromium.

Opened are the files themselves, in a fresh profile, with the page's own policy in force. `load` is the load event,
`painted` the first contentful paint, `maps` the moment at which every map of arrays is drawn; all since the start of
navigation, by the browser's own clock.

    pip install -e '.[browser]'; apt-get install chromium
    python benchmarks/bench_report.py --out results/report.md
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from common import (
    BenchmarkError,
    last_line,
    log,
    make_parser,
    markdown_table,
    provenance,
    run_command,
    run_self,
    write_report,
)

STRATEGIES = "linear,sparsemap,densemap,spread,dense-optimal,optimal"
CASES = (
    ("bert-large", "rram256", STRATEGIES, 3.0),
    ("llama-3-8b", "rram256", "optimal", 15.0),
    ("minilm-l6", "rram256", STRATEGIES, None),
)
"""Model, spec, strategies, most MB of their page; the first is the default run."""
OPEN_TARGET_S = 2.0
ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
MOMENTS = """() => new Promise((resolve) => {
  const tell = () => {
    const all = document.querySelectorAll(".explorer"), done = document.querySelectorAll(".explorer.drawn");
    if (!performance.timing.loadEventEnd || done.length < all.length) return setTimeout(tell, 5);
    resolve({
      load_s: (performance.timing.loadEventEnd - performance.timing.navigationStart) / 1000,
      painted_s: performance.getEntriesByName("first-contentful-paint")[0].startTime / 1000,
      maps_s: Math.max(...performance.getEntriesByName("cimsolve drawn").map((each) => each.startTime)) / 1000,
    });
  };
  tell();
})"""


def open_page(path: Path, executable: str) -> dict[str, Any]:
    """The moments of one opening, in a browser of its own."""
    from playwright.sync_api import sync_playwright

    with tempfile.TemporaryDirectory() as profile, sync_playwright() as playwright:
        context = playwright.chromium.launch_persistent_context(
            profile,
            executable_path=executable,
            headless=True,
            args=list(ARGUMENTS),
            viewport={"width": 1360, "height": 900},
        )
        page = context.new_page()
        page.goto(path.resolve().as_uri())
        found: dict[str, Any] = page.evaluate(MOMENTS)
        found["browser"] = context.browser.version if context.browser else ""
        context.close()
    return found


def make_page(case: tuple[str, str, str, float | None], folder: Path, timeout_s: float) -> tuple[Path, float]:
    """Solve, then write the page; returns it and the processor seconds of the second."""
    model, spec, strategies, _ = case
    question = ["--hw", spec, "--model", model, "--strategy", strategies]
    solve = [*question, "--simulate", "none", "--out", str(folder), "-q"]
    solved = run_command([sys.executable, "-m", "cimsolve", *solve], timeout_s)
    if solved.code:
        raise BenchmarkError(last_line(solved.stderr))
    files = [str(next(folder.glob(f"*--{name}.json"))) for name in strategies.split(",")]
    page = folder / "report.html"
    written = run_command([sys.executable, "-m", "cimsolve", "report", *files, "--out", str(page), "-q"], timeout_s)
    if written.code:
        raise BenchmarkError(last_line(written.stderr))
    return page, written.cpu_s


def measure(
    case: tuple[str, str, str, float | None], executable: str, repeats: int, timeout_s: float
) -> dict[str, Any]:
    """Size and moments of one page: the medians of some openings, and the slowest load."""
    with tempfile.TemporaryDirectory() as folder:
        page, write_s = make_page(case, Path(folder), timeout_s)
        openings = []
        for _ in range(repeats):
            arguments = ["--page", str(page), "--chromium", executable]
            openings.append(run_self(__file__, arguments, timeout_s))
        return {
            "megabytes": page.stat().st_size / 1e6,
            "write_s": write_s,
            **{name: statistics.median(each[name] for each in openings) for name in ("load_s", "painted_s", "maps_s")},
            "slowest_s": max(each["maps_s"] for each in openings),
            "browser": openings[0]["browser"],
        }


def main(argv: Sequence[str] | None = None) -> int:
    parser = make_parser(__doc__ or "", "report.md")
    parser.add_argument("--models", nargs="+", default=[case[0] for case in CASES])
    parser.add_argument("--repeats", type=int, default=5, metavar="N")
    parser.add_argument("--timeout", type=float, default=900.0, metavar="SECONDS", help="of one process")
    parser.add_argument("--chromium", default=os.environ.get("CHROMIUM", "chromium"), metavar="FILE")
    parser.add_argument("--page", type=Path, help="open this page here and print the figures as JSON")
    options = parser.parse_args(argv)
    executable = shutil.which(options.chromium)
    if executable is None:
        log(f"error: {options.chromium}: there is no such browser; install chromium or give --chromium FILE")
        return 1
    if options.page:
        print(json.dumps(open_page(options.page, executable)))
        return 0
    rows, browser, late = [], "", False
    for case in CASES:
        model, spec, strategies, most = case
        if model not in options.models:
            continue
        log(f"{model}, {spec}")
        try:
            found = measure(case, executable, options.repeats, options.timeout)
        except BenchmarkError as error:
            log(f"error: {error}")
            return 1
        browser = found["browser"]
        late = late or (most is not None and found["megabytes"] > most)
        count = len(strategies.split(","))
        rows.append(
            (
                f"{model}, {spec}, {f'{count} strategies' if count > 1 else strategies}",
                f"{found['megabytes']:.2f}",
                most,
                f"{found['write_s']:.1f}",
                f"{found['painted_s']:.2f}",
                f"{found['load_s']:.2f}",
                f"{found['maps_s']:.2f}",
                f"{found['slowest_s']:.2f}",
            )
        )
    write_report(
        options.out,
        "# The report: size of its page, and time to open it",
        provenance(__file__, argv, ("matplotlib", "jinja2", "playwright")),
        f"Chromium {browser}, headless, a new profile each time; medians of {options.repeats} openings, and the "
        f"slowest. `painted` is the first paint, which has the tables and charts; `load` the load event; `maps` when "
        f"the map of arrays and the first array of every solution are drawn. The target for the first line, "
        f"the default run, is {OPEN_TARGET_S:g} s. Writing checks every solution first.",
        markdown_table(
            ("page", "MB", "at most", "write, CPU s", "painted, s", "load, s", "maps, s", "slowest, s"),
            rows,
        ),
    )
    return 1 if late else 0


if __name__ == "__main__":
    sys.exit(main())
