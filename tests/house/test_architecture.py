"""The data flows one way: every import points to what lies below, and only show/ prints."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from makers import folders
from makers.folders import TESTS

ROOT = folders.ROOT / "solver" / "cimsolve"
LINES_MAX = 400
TEST_LINES_MAX = 500

ROOMS = (
    *("errors", "columns", "files", "chip", "model", "weights", "problem", "price", "pack", "prove", "solve", "judge"),
    *("study", "api", "show", "cli", "__main__"),
)
"""From the bottom up; a room imports from itself and from those before it."""

LEVEL = {room: level for level, room in enumerate(ROOMS)}
LEVELS_MAX = 12
ROOT_FILES = ("__init__", "__main__", "api", "columns", "errors")
SHARED_CLASS_NAMES = {"Options"}
"""Names that several classes may have: every command has its `Options`."""


def sources() -> list[Path]:
    return sorted(ROOT.rglob("*.py"))


def name_of(path: Path) -> str:
    """`prove/time.py` -> `prove.time`, `prove/__init__.py` -> `prove`."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def room_of(module: str) -> str:
    return module.partition(".")[0]


MODULES = {name_of(path) for path in sources()}


def imported(tree: ast.AST) -> Iterator[tuple[str, str]]:
    """Module and name of every import, wherever it stands; a plain import has an empty name."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield from ((node.module or "", alias.name) for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names)
        else:
            yield from imported(node)


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


@cache
def imports_of(module: str) -> tuple[frozenset[str], frozenset[str]]:
    """Modules of cimsolve, and top-level packages of others, that a module imports."""
    path = ROOT / Path(*module.split("."))
    path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    own, foreign = set(), set()
    for package, name in imported(tree_of(path)):
        top, _, rest = package.partition(".")
        if top != "cimsolve":
            foreign.add(top)
        elif f"{rest}.{name}".strip(".") in MODULES:
            own.add(f"{rest}.{name}".strip("."))
        elif rest:
            own.add(rest)
    return frozenset(own), frozenset(foreign)


def reached_from(part: str) -> tuple[set[str], set[str]]:
    """All that importing a part of the package loads, directly or not."""
    found: set[str] = set()
    foreign: set[str] = set()
    left = [module for module in MODULES if f"{module}.".startswith(f"{part}.")]
    while left:
        module = left.pop()
        if module in found:
            continue
        found.add(module)
        own, others = imports_of(module)
        foreign |= others
        left += own
        if "." in module:  # importing it runs its package's __init__ first
            left.append(module.rpartition(".")[0])
    return found, foreign


def test_every_room_has_a_place() -> None:
    assert {room_of(module) for module in MODULES if module} == set(LEVEL)


def test_no_import_points_back() -> None:
    back = [
        f"{module} imports {other}, which lies above it"
        for module in sorted(MODULES - {""})
        for other in imports_of(module)[0]
        if LEVEL[room_of(other)] > LEVEL[room_of(module)]
    ]
    assert back == []


def test_rooms_lie_on_few_levels() -> None:
    depth: dict[str, int] = {}
    for room in ROOMS:
        below = {room_of(other) for module in MODULES if room_of(module) == room for other in imports_of(module)[0]}
        depth[room] = 1 + max((depth[other] for other in below - {room}), default=0)
    assert max(depth.values()) <= LEVELS_MAX


def test_five_files_stand_at_the_root() -> None:
    assert {path.name for path in ROOT.glob("*.py")} == {f"{name}.py" for name in ROOT_FILES}
    rooms = {path.parent.name for path in ROOT.glob("*/__init__.py")}
    assert rooms == set(ROOMS) - set(ROOT_FILES)
    assert len(rooms) == 13


def test_modules_import_each_other_in_one_direction() -> None:
    done: set[str] = set()

    def visit(module: str, path: tuple[str, ...]) -> None:
        assert module not in path, f"imports go in a circle: {' -> '.join([*path, module])}"
        if module in done:
            return
        for other in imports_of(module)[0]:
            # A package's __init__ collects what is in it.
            if not module.startswith(f"{other}.") and not other.startswith(f"{module}."):
                visit(other, (*path, module))
        done.add(module)

    for module in sorted(MODULES):
        visit(module, ())


@pytest.mark.parametrize("judge", ["judge"])
def test_judges_know_no_strategy_and_no_solver(judge: str) -> None:
    own, foreign = reached_from(judge)
    assert not {module for module in own if room_of(module) == "solve"}
    assert "ortools" not in foreign


def test_the_solver_stays_in_one_strategy() -> None:
    users = {module for module in MODULES if "ortools" in imports_of(module)[1]}
    assert users
    assert all(room_of(module) == "solve" for module in users)


def test_solvers_are_made_in_one_place() -> None:
    """CP-SAT's own handler of Ctrl-C must be off in each."""
    makers = {path.name for path in ROOT.rglob("*.py") if "CpSolver(" in path.read_text(encoding="utf-8")}
    assert makers == {"cp_sat.py"}


def test_numba_stays_in_one_module_that_only_functions_load() -> None:
    assert {module for module in MODULES if "numba" in imports_of(module)[1]} == {"judge.simulate.compiled"}
    program = "import cimsolve.cli, cimsolve.judge.simulate, sys; sys.exit('numba' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_torch_stays_where_models_are_trained_and_only_functions_load_it() -> None:
    users = {module for module in MODULES if "torch" in imports_of(module)[1]}
    tuning = {f"study.finetune.{name}" for name in ("pair", "rounding", "training")}
    assert users == {"weights.forward.torch_array", *tuning}
    program = "import cimsolve.cli.finetune, cimsolve.study.finetune, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_simulation_and_strategies_do_not_know_the_checker() -> None:
    for part in ("judge.simulate", "solve"):
        assert not {module for module in reached_from(part)[0] if module.startswith("judge.check")}


def written_to(tree: ast.AST) -> Iterator[str]:
    """Uses of print, sys.stdout, sys.stderr and rich; what stands under a `__main__` guard does not count."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "__name__ == '__main__'":
            continue
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print":
            yield "print"
        if isinstance(node, ast.Attribute) and ast.unparse(node) in {"sys.stdout", "sys.stderr"}:
            yield ast.unparse(node)
        if isinstance(node, ast.Import | ast.ImportFrom) and "rich" in ast.unparse(node).split()[1]:
            yield "rich"
        yield from written_to(node)


def test_only_show_prints() -> None:
    # `__main__` sets up the streams and says the one line of an error before anything else is loaded.
    quiet = [path for path in sources() if room_of(name_of(path)) not in {"show", "__main__"}]
    assert {name_of(path): found for path in quiet if (found := list(written_to(tree_of(path))))} == {}


def test_files_stay_short() -> None:
    lines = {name_of(path): len(path.read_text(encoding="utf-8").splitlines()) for path in sources()}
    assert {name: count for name, count in lines.items() if count > LINES_MAX} == {}


def test_classes_have_names_of_their_own() -> None:
    named = Counter(
        node.name for path in sources() for node in ast.walk(tree_of(path)) if isinstance(node, ast.ClassDef)
    )
    assert {name for name, count in named.items() if count > 1} <= SHARED_CLASS_NAMES


def test_tests_import_nothing_private() -> None:
    imported = {
        f"{path.relative_to(TESTS)}: {name.name}"
        for path in TESTS.rglob("*.py")
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "cimsolve"
        for name in node.names
        if name.name.startswith("_") and not name.name.startswith("__")
    }
    assert imported == set()


def test_files_of_tests_stay_short() -> None:
    lines = {path.name: len(path.read_text(encoding="utf-8").splitlines()) for path in TESTS.rglob("*.py")}
    assert len(lines) > 50
    assert {name: count for name, count in lines.items() if count > TEST_LINES_MAX} == {}
