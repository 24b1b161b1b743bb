"""The wheel holds what the installed command needs."""

from __future__ import annotations

import subprocess
import sys
import zipfile

import pytest

from makers.folders import ROOT


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """The wheel of this checkout, built by pip as an installation does."""
    out = tmp_path_factory.mktemp("wheel")
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--wheel-dir",
        str(out),
        str(ROOT),
    ]
    built = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert built.returncode == 0, built.stderr
    return zipfile.ZipFile(next(out.glob("cimsolve-*.whl")))


@pytest.mark.parametrize("folder", ["models", "hwspecs"])
def test_wheel_holds_all_shipped_specs(wheel: zipfile.ZipFile, folder: str) -> None:
    shipped = {path.name for path in (ROOT / folder).glob("*.json")}
    prefix = f"cimsolve/{folder}/"
    assert shipped
    assert {name.removeprefix(prefix) for name in wheel.namelist() if name.startswith(prefix)} == shipped


def test_wheel_holds_all_source_and_the_mark_of_typing(wheel: zipfile.ZipFile) -> None:
    source = ROOT / "solver" / "cimsolve"
    expected = {f"cimsolve/{path.relative_to(source).as_posix()}" for path in source.rglob("*.py")}
    names = set(wheel.namelist())
    assert expected | {"cimsolve/py.typed"} <= names


def test_wheel_holds_the_parts_of_the_page(wheel: zipfile.ZipFile) -> None:
    parts = {path.name for path in (ROOT / "solver" / "cimsolve" / "show" / "page" / "assets").iterdir()}
    prefix = "cimsolve/show/page/assets/"
    assert parts == {"page.html", "figure.html", "plan.html", "report.html", "report.css", "report.js"}
    assert {name.removeprefix(prefix) for name in wheel.namelist() if name.startswith(prefix)} == parts


def test_wheel_holds_nothing_else(wheel: zipfile.ZipFile) -> None:
    assert {name.partition("/")[0].partition("-")[0] for name in wheel.namelist()} == {"cimsolve"}
    assert not [name for name in wheel.namelist() if "test" in name or name.endswith(".npz")]


def test_wheel_has_the_command_and_the_licence(wheel: zipfile.ZipFile) -> None:
    names = wheel.namelist()
    entry_points = next(name for name in names if name.endswith(".dist-info/entry_points.txt"))
    assert "cimsolve = cimsolve.__main__:main" in wheel.read(entry_points).decode()
    assert [name for name in names if name.endswith("licenses/LICENSE")]
