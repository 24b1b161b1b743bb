"""The site has every command and every public name, and its links hold where they are read."""

from __future__ import annotations

import importlib.util
import json
import re
from types import ModuleType

import pytest

import cimsolve
from cimsolve.cli import COMMANDS
from makers.folders import ROOT


@pytest.fixture(scope="module")
def hooks() -> ModuleType:
    where = importlib.util.spec_from_file_location("site_hooks", ROOT / "docs" / "site_hooks.py")
    assert where is not None
    assert where.loader is not None
    module = importlib.util.module_from_spec(where)
    where.loader.exec_module(module)
    return module


def test_the_page_of_commands_has_each_with_its_options(hooks: ModuleType) -> None:
    assert hooks.HELP in (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
    sections = dict(re.findall(r"^## cimsolve ?(.*?)\n\n```text\n(.*?)^```$", hooks.help_texts(), re.M | re.S))
    assert set(sections) == {"", *COMMANDS, "hw new", "hw check", "hw schema"}
    for name, text in sections.items():
        assert text.startswith(f"usage: cimsolve {name}".rstrip())
        assert "--help" in text


def test_the_page_of_keys_has_each_with_its_range(hooks: ModuleType) -> None:
    assert hooks.KEYS in (ROOT / "docs" / "hardware-keys.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `(.*?)` \| (.*)$", hooks.key_table(), re.M))

    def leaves(value: object, above: str = "") -> set[str]:
        if not isinstance(value, dict):
            return {above}
        return set().union(*(leaves(inner, f"{above}.{name}" if above else name) for name, inner in value.items()))

    for name in ("rram256", "pcm256"):  # one with a table, one with a macro
        spec = json.loads((ROOT / "hwspecs" / f"{name}.json").read_text(encoding="utf-8"))
        del spec["sources"]
        assert leaves(spec) <= set(rows)
    assert rows["array.rows"].startswith("whole number, at least 1, at most 65536 | ")
    assert rows["adc.wiring"].startswith("`any`, `interleaved`, `adjacent` | ")


def test_the_page_of_python_has_each_public_name_once() -> None:
    listed = re.findall(r"^::: cimsolve\.(\w+)$", (ROOT / "docs" / "python.md").read_text(encoding="utf-8"), re.M)
    assert sorted(listed) == sorted({*cimsolve.__all__} - {"__version__"})


@pytest.mark.parametrize(
    ("page", "link", "expected"),
    [
        ("limits.md", "[a](cost-model.md#replay)", "[a](cost-model.md#replay)"),
        ("limits.md", "[a](#b)", "[a](#b)"),
        ("limits.md", "[a](https://example.org/x.md)", "[a](https://example.org/x.md)"),
        ("limits.md", "[a](../results/cost.md#b)", "[a](results/cost.md#b)"),
        ("results/cost.md", "[a](../docs/limits.md#b)", "[a](../limits.md#b)"),
        ("results/cost.md", "[a](grid.md)", "[a](grid.md)"),
        ("limits.md", "[a](../CONTRIBUTING.md)", "a"),
        ("limits.md", "[a](nowhere.md)", "[a](nowhere.md)"),  # a dead link stays one, and the strict build fails
        ("limits.md", "![a](images/b.svg)", "![a](images/b.svg)"),
    ],
)
def test_links_of_the_repository_hold_in_the_site(hooks: ModuleType, page: str, link: str, expected: str) -> None:
    known = {"limits.md", "cost-model.md", "results/cost.md", "results/grid.md"}
    assert hooks.relink(link, page, known) == expected
