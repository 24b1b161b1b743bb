"""The pages keep their word: their commands parse, the README's Python runs, links lead somewhere."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from cimsolve.cli import COMMANDS, parse_command
from makers.folders import ROOT

PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])


README = ROOT / "README.md"
PLACEHOLDER = re.compile(r"\.\.\.|<")
"""What makes a command a pattern of commands, not one to type."""


def blocks(language: str, page: Path = README) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


def commands(page: Path = README) -> list[str]:
    return [line for block in blocks("sh", page) for line in block.splitlines() if line.strip()]


def in_passing(page: Path) -> list[str]:
    """Commands in indented code and in the midst of a sentence."""
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    indented = [re.split(r" {3,}", line.strip())[0] for line in re.findall(r"^    +(cimsolve .*)$", text, re.MULTILINE)]
    found = [*indented, *re.findall(r"`(cimsolve [^`\n]*)`", text)]
    asked = [command for command in found if not PLACEHOLDER.search(command.replace("FILE...", "FILE"))]
    return [command for command in asked if not is_name(command.split()[1:])]


def is_name(words: list[str]) -> bool:
    """Whether the words only name a command, as in a sentence about it."""
    return (words[:1] == words and words[0] in COMMANDS) or (words[0] == "hw" and words[1:] in (["new"], ["check"]))


def invocations(page: Path = README) -> list[list[str]]:
    """The arguments of every `cimsolve` on a page."""
    found = []
    for command in [*commands(page), *in_passing(page)]:
        words = shlex.split(command, comments=True)
        for number, word in enumerate(words):
            if word.rpartition("/")[2] == "cimsolve":
                arguments = words[number + 1 :]
                stop = next((at for at, each in enumerate(arguments) if each in ("&&", "|", ">", ";")), len(arguments))
                found.append(arguments[:stop])
    return found


EVERYWHERE = [(page, arguments) for page in PAGES for arguments in invocations(page)]


def test_readme_has_what_is_tested_here() -> None:
    assert len(invocations()) >= 8
    assert len(blocks("python")) == 1


def test_pages_with_commands_are_found() -> None:
    assert {"README.md", "howto.md", "hardware.md", "file-formats.md"} <= {page.name for page, _ in EVERYWHERE}


@pytest.mark.parametrize(
    ("page", "arguments"), EVERYWHERE, ids=[f"{page.name}: {' '.join(arguments)}" for page, arguments in EVERYWHERE]
)
def test_commands_parse(page: Path, arguments: list[str]) -> None:
    if {"--help", "--version"} & {*arguments}:
        with pytest.raises(SystemExit) as stop:
            parse_command(arguments)
        assert stop.value.code == 0
    else:
        parse_command(arguments)


@pytest.mark.parametrize("page", [README, ROOT / "docs" / "tour.md"], ids=lambda page: page.name)
def test_python_prints_what_its_comments_say(page: Path, tmp_path: Path) -> None:
    code = "".join(blocks("python", page))
    expected = re.findall(r"^print\(.*\)  # (.*)$", code, re.MULTILINE)
    assert expected
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == expected
    assert (tmp_path / "minilm.json").is_file() == ("minilm.json" in code)


NAMED = re.compile(r"`([a-z_/]+\.py)`((?:(?:: |, )`[A-Za-z_.]+`)*)")
"""A file below the package, and the names in it that a sentence of the tour speaks of."""


def test_the_tour_passes_files_and_names_that_are_there() -> None:
    found = NAMED.findall((ROOT / "docs" / "tour.md").read_text(encoding="utf-8"))
    assert len(found) > 20
    for file, names in found:
        source = (ROOT / "solver" / "cimsolve" / file).read_text(encoding="utf-8")
        for name in re.findall(r"`([A-Za-z_.]+)`", names):
            for part in name.split("."):
                assert re.search(rf"^ *(?:def {part}\(|class {part}\b|{part}\b.* = )", source, re.MULTILINE), (
                    file,
                    name,
                )


SET_UP = ("python3 -m venv ", "pip install ")
WEIGHTS = ROOT / "weights" / "minilm" / "model.safetensors"


def run_tutorial(folder: Path, lines: list[str]) -> Path:
    """Run the lines one after the other in an empty folder beside the repository, with this interpreter's cimsolve."""
    (folder / "cimsolve").symlink_to(ROOT)
    study = folder / "study"
    study.mkdir()
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    for line in lines:
        done = subprocess.run(
            ["bash", "-c", line],
            cwd=study,
            env=os.environ | {"PATH": path},
            capture_output=True,
            text=True,
            timeout=900,
            check=False,
        )
        assert done.returncode == 0, f"{line}\n{done.stderr}"
    return study


def tutorial(of_weights: bool) -> list[str]:
    """The tutorial's commands but for its set-up; those on real weights, after the chip they need, or the others."""
    lines = [line for line in commands(ROOT / "docs" / "tutorial.md") if not line.startswith(SET_UP)]
    if not of_weights:
        return [line for line in lines if "weights/" not in line]
    return [line for line in lines if "weights/" in line or line.startswith("cimsolve hw new ")]


@pytest.mark.slow
def test_the_tutorial_runs(tmp_path: Path) -> None:
    lines = tutorial(of_weights=False)
    assert {"compare", "explain", "sweep", "report", "check", "replay"} <= {line.split()[1] for line in lines}
    study = run_tutorial(tmp_path, lines)
    for made in ("my_chip.json", "report.html", "front.svg", "pictures/comparison.svg", "pictures/comparison.pdf"):
        assert (study / made).is_file(), made
    kept = (ROOT / "docs" / "images" / "minilm-l6-my_chip.svg").read_text(encoding="utf-8")
    for figure in ("1056 arrays", "81 arrays"):  # text is drawn as paths, with the text in a comment
        assert figure in kept
        assert figure in (study / "pictures" / "comparison-arrays.svg").read_text(encoding="utf-8")


@pytest.mark.weights
def test_the_tutorial_runs_on_real_weights(tmp_path: Path) -> None:
    if not WEIGHTS.exists():
        pytest.skip("weights/minilm is absent: run `make weights`")
    study = run_tutorial(tmp_path, tutorial(of_weights=True))
    assert (study / "factors.safetensors").is_file()


def test_set_up_commands_need_nothing_before_them() -> None:
    starts = [line for line in commands() if "venv" in line]
    assert len(starts) == 2
    for line in starts:
        assert line.startswith("python3 -m venv .venv && .venv/bin/pip install -q ")


def test_ci_takes_the_test_command_from_the_readme() -> None:
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    pattern = re.search(r"grep -m 1 -F '(.*?)' README.md", script)
    assert pattern is not None
    first = next(line for line in (ROOT / "README.md").read_text().splitlines() if pattern[1] in line)
    assert first in commands()


def anchors(page: Path) -> set[str]:
    """The link targets that GitHub makes of a page's headings."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        place = (page.parent / path) if path else page
        assert place.exists(), f"{page.name} links to {target}"
        if anchor:
            assert anchor in anchors(place), f"{page.name} links to {target}"
