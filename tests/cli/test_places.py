"""Where commands write: a place that cannot be written is refused before any work, and nothing is left behind."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

import pytest

from cimsolve.cli.places import OutputPlace, demand_writable
from cimsolve.errors import InputError
from makers.command_line import Cli


@pytest.fixture(autouse=True)
def _in_a_folder_with_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("file").touch()
    Path("folder").mkdir()


def everything() -> list[Path]:
    return sorted(Path().rglob("*"))


@pytest.mark.parametrize(
    "place",
    [
        OutputPlace("--out", "folder", folder=True),
        OutputPlace("--out", "new/and/deeper", folder=True),
        OutputPlace("--out", "new.json"),
        OutputPlace("--out", "file"),
        OutputPlace("--out", "folder/new.json"),
        OutputPlace("--out", "new/factors", makes_folder=True),
        OutputPlace("--out", os.devnull),
    ],
    ids=str,
)
def test_a_place_that_can_be_written_is_tried_and_left_as_it_was(place: OutputPlace) -> None:
    before = everything()
    demand_writable([place])
    assert everything() == before


@pytest.mark.parametrize(
    ("place", "why"),
    [
        (OutputPlace("--out", "", folder=True), "--out '': is empty; expected the name of a folder"),
        (OutputPlace("--plot", ""), "--plot '': is empty; expected the name of a file"),
        (OutputPlace("--out", "a\nb", folder=True), "--out a\\\\nb: expected a printable name"),
        (OutputPlace("--out", "file", folder=True), "--out file: is a file: expected a folder"),
        (OutputPlace("--out", "file/deeper", folder=True), "--out file/deeper: .*/file is a file: expected a folder"),
        (OutputPlace("--out", "folder"), "--out folder: is a folder; expected the name of a file to write"),
        (OutputPlace("--out", "no/where.html"), "--out no/where.html: there is no folder no; make it first"),
        (OutputPlace("--out", "file/x.html"), "--out file/x.html: there is no folder file"),
        (OutputPlace("--out", "file/x", makes_folder=True), "is a file: expected a folder"),
        (OutputPlace("--out", "x" * 300, folder=True), "cannot be written .File name too long."),
        (OutputPlace("--out", "x" * 300), "cannot be written .File name too long."),
    ],
    ids=str,
)
def test_a_place_that_cannot_be_written_is_refused(place: OutputPlace, why: str) -> None:
    before = everything()
    with pytest.raises(InputError, match=why) as refusal:
        demand_writable([place])
    assert "\n" not in str(refusal.value)
    assert everything() == before


@pytest.mark.parametrize("folder", [True, False])
def test_links_in_a_circle_are_no_place(folder: bool) -> None:
    Path("circle").symlink_to("circle")
    with pytest.raises(InputError, match="--out circle: "):
        demand_writable([OutputPlace("--out", "circle", folder=folder)])
    with pytest.raises(InputError, match="--out circle/x: "):
        demand_writable([OutputPlace("--out", "circle/x", folder=folder)])


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs /proc, where even root makes no files")
@pytest.mark.parametrize(
    "place", [OutputPlace("--out", "/proc/x", folder=True), OutputPlace("--out", "/proc/x.html")], ids=str
)
def test_rights_alone_do_not_tell(place: OutputPlace) -> None:
    with pytest.raises(InputError, match="no file can be made in /proc"):
        demand_writable([place])


@pytest.mark.parametrize(
    "words",
    [
        "--out file",
        "--out ''",
        "pareto --out file",
        "sweep --vary seed=1,2 --out file",
        "sweep --vary seed=1,2 --cache file",
        "sweep --vary seed=1,2 --plot folder",
        "compare --out file",
        "compare --cache file",
        "report missing.json --out no/page.html",
        "report missing.json --out ''",
        "report missing.json --figures file",
        "report missing.json --trace folder",
        "hw new --rows 8 --out no/chip.json",
        "project --model missing --out file/x.safetensors",
    ],
)
def test_commands_refuse_before_any_work(cli: Cli, words: str) -> None:
    """The models and solutions that they would read first are not there, and that is not what they say."""
    argv = shlex.split(words)
    hardware = [] if argv[0] in ("report", "hw", "project") else ["--hw", "missing.json"]
    before = everything()
    result = cli(*argv, *hardware)
    assert (result.code, result.out, result.err.count("\n")) == (2, "", 1)
    assert result.err.startswith(f"cimsolve: error: {argv[-2]} {argv[-1] or repr('')}: ")
    assert everything() == before


def test_two_files_are_compared_where_nothing_can_be_written(cli: Cli) -> None:
    Path("results").touch()
    assert "--out results: is a file: expected a folder" in cli("compare").err
    assert "a.json: there is no such file" in cli("compare", "a.json", "b.json").err


@pytest.mark.parametrize("option", ["--out", "--trace"])
def test_a_report_is_not_written_over_a_solution(cli: Cli, option: str) -> None:
    result = cli("report", "other", "file", option, "./file")
    assert (result.code, result.out) == (2, "")
    assert f"{option} ./file: is one of the solutions to show" in result.err
