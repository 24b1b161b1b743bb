"""The checker as a whole: honest answers pass, tables beside the header, large and hostile files, its own tools."""

from __future__ import annotations

import hashlib
import io
import json
import tracemalloc
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from builders import (
    answer,
    ask,
    broken,
    chip,
    column,
    linears,
    pieces_of,
    step,
    with_entry,
    with_figures_that_fit,
    with_header,
    with_tables,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from cimsolve import solution as solution_module
from cimsolve.architectures import load_model
from cimsolve.arrays import (
    deepest_stack,
    departs_from_group,
    meets_intervals,
    merge_intervals,
    overlap_clusters,
    overlapping_pair,
)
from cimsolve.check import check_solution, firing, placement, rebuild_problem
from cimsolve.errors import InputError
from cimsolve.hardware import load_hardware
from cimsolve.library import resolve_model
from cimsolve.mapping import Pieces
from cimsolve.problem import Problem, build_problem
from cimsolve.run import question_for, solve
from cimsolve.solution import Solution, read_solution, write_solution
from cimsolve.strategies import RULES as STRATEGIES
from cimsolve.structure import StructurePolicy

TWO = linears(step("a", (4, 4), (4, 4)), step("b", (4, 4)))


def honest(**changes: Any) -> Solution:
    problem = ask(TWO, hardware=chip(**changes))
    return answer(problem, pieces_of(*((f, 0, 0, 4, 0, 4, f, 0, 0) for f in range(3))))


def shipped(model: str, hardware: str, cut: Any = "columns") -> Problem:
    read = load_model(resolve_model(model))
    policy = StructurePolicy.parse([])
    structures = policy.resolve([(linear.name, linear.n_in, linear.n_out) for linear in read.linears])
    return build_problem(load_hardware(hardware), read, structures, cut)


# Honest answers


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("hardware", ["paper256", "rram256", "sram256", "pcm256", "rram128-isaac"])
def test_rules_of_the_field_pass_on_shipped_hardware(hardware: str, strategy: str) -> None:
    problem = shipped("minilm-l6", hardware)
    solution = solve(problem, strategy)
    report = check_solution(solution, question_for(strategy, problem))
    assert not report.violations
    assert report.costs is not None
    assert report.costs.metrics == solution.header.metrics
    assert report.bounds is not None
    assert report.unverified == ()


@pytest.mark.parametrize("cut", ["none", "both"])
def test_encoder_and_decoder_pass(cut: str) -> None:
    assert check_solution(solve(shipped("bart-large", "rram256", cut), "spread")).passed


def test_an_answer_survives_its_file(tmp_path: Path) -> None:
    solution = solve(shipped("minilm-l6", "rram256"), "spread")
    write_solution(solution, tmp_path / "a.json")
    read = read_solution(tmp_path / "a.json")
    assert read.header == solution.header
    for table in ("pieces", "activations"):
        one, other = getattr(read, table), getattr(solution, table)
        assert all((getattr(one, name) == getattr(other, name)).all() for name in one.__dataclass_fields__)
    assert check_solution(read, rebuild_problem(solution)).passed


@pytest.mark.parametrize(
    ("part", "other"),
    {
        "hw": ask(TWO, hardware=chip(read_ns=4)),
        "model": ask({**TWO, "context": 5}, hardware=chip()),
        "structure": ask(TWO, "2,2,1"),
        "options.cut": ask(TWO, cut="both"),
        "options.max_arrays": ask(TWO, max_arrays=9),
    }.items(),
)
def test_an_answer_to_another_question_is_refused(part: str, other: Problem) -> None:
    report = check_solution(honest(), other)
    assert [str(violation) for violation in report.violations] == [
        f"question: {part}: it is not the one that was asked"
    ]


def test_names_that_carry_no_claim_are_free() -> None:
    solution = with_header(honest(), strategy="guesswork", seed=-7, runtime_s=0.0, versions={})
    assert check_solution(solution).passed


def test_arrays_may_have_any_numbers() -> None:
    solution = honest()
    numbers = [2**31 - 1, 0, 77]
    renamed = with_tables(solution, pieces__array=numbers, activations__array=numbers)
    assert check_solution(renamed).passed


def test_row_parts_of_one_output_may_fire_together() -> None:
    problem = ask(linears(step("a", (4, 4))), cut="both")
    stacked = pieces_of((0, 0, 0, 2, 0, 4, 0, 0, 0), (0, 0, 2, 2, 0, 4, 0, 5, 0))
    together, alone = answer(problem, stacked, [0, 0]), answer(problem, stacked, [0, 1])
    assert check_solution(together).passed
    assert check_solution(alone).passed
    # Four occupied cells a column take 2 bits, two take 1.
    assert column(together, "activations__adc_bits") == [2]
    assert column(alone, "activations__adc_bits") == [1, 1]


def test_factors_of_two_block_sizes_may_share_rows_of_one_input() -> None:
    problem = ask(linears(step("a", (8, 4), (8, 2))), {"a0": "2,1,1", "a1": "1,1,1"})
    blocks = [(f.id, b, f) for f in problem.workload.factors for b in range(f.blocks)]
    places = {(0, 0): (0, 0, 0), (0, 1): (0, 4, 1), (1, 0): (0, 0, 2), (2, 0): (1, 0, 0), (3, 0): (1, 4, 4)}
    rows = [(f, b, 0, e.block_rows, 0, e.block_cols, *places[f, b]) for f, b, e in blocks]
    fires = [0 if factor in (0, 1) else factor for factor, _, _ in blocks]
    assert {f.kind for f in problem.workload.factors} == {"R", "L"}
    assert check_solution(answer(problem, pieces_of(*rows), fires)).passed


# Tolerance


def scaled(value: Any, by: float) -> Any:
    if isinstance(value, dict):
        return {key: scaled(each, by) for key, each in value.items()}
    if isinstance(value, list):
        return [scaled(each, by) for each in value]
    return value * by if isinstance(value, float) else value


def test_sums_in_another_order_are_no_lies(tmp_path: Path) -> None:
    write_solution(honest(), tmp_path / "a.json")
    content = json.loads((tmp_path / "a.json").read_text())
    for by, passes in ((1 + 1e-13, True), (1 + 1e-6, False)):
        claims = {name: scaled(content[name], by) for name in ("metrics", "breakdown", "bounds")}
        # Whole cycles times the clock are no sum: they are the same everywhere.
        claims["bounds"]["prefill_ns"] = content["bounds"]["prefill_ns"]
        (tmp_path / "b.json").write_text(json.dumps(content | claims))
        assert check_solution(read_solution(tmp_path / "b.json")).passed == passes


# Bounds that only a search can show


def searched(lower: int) -> Solution:
    # The three pieces fit on one array, so two is more than can be recomputed.
    solution = honest()
    value = int(solution.header.metrics["arrays"])
    entry = solution.header.bounds["arrays"].model_copy(
        update={"lower": lower, "gap": (value - lower) / lower, "proof": "search"}
    )
    return with_header(solution, bounds={**solution.header.bounds, "arrays": entry})


def test_a_bound_of_a_search_is_named_as_unverified() -> None:
    report = check_solution(searched(2))
    assert report.passed
    assert report.unverified == ("arrays",)


def test_so_is_a_status_that_rests_on_one() -> None:
    report = check_solution(with_header(searched(3), status="optimal"))
    assert report.passed
    assert report.unverified == ("arrays", "status")


def test_a_search_proves_nothing_above_the_value() -> None:
    assert broken(searched(4)) == {"bounds"}


def test_a_status_needs_every_metric_of_its_objective() -> None:
    one_each = pieces_of(*((f, 0, 0, 4, 0, 4, 0, 0 if f < 2 else 4, 0 if f != 1 else 4) for f in range(3)))
    solution = answer(ask(TWO), one_each)
    assert solution.header.status == "optimal"
    energy = with_figures_that_fit(with_header(solution, objective=["arrays", "energy"]))
    assert check_solution(energy).passed
    assert broken(with_header(energy, status="optimal")) == {"status"}


# Tables beside the header


@pytest.fixture
def beside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(solution_module, "INLINE_PIECES_MAX", 1)
    path = tmp_path / "answer.json"
    assert write_solution(honest(), path) == [path, path.with_suffix(".npz")]
    assert check_solution(read_solution(path)).passed
    return path


def stored(path: Path) -> dict[str, Any]:
    with np.load(path.with_suffix(".npz"), allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}


def forge(path: Path, data: bytes, name: str | None = None) -> None:
    """Put other tables in the place of the honest ones, with a hash that fits."""
    header = json.loads(path.read_text())
    header["tables"]["sha256"] = hashlib.sha256(data).hexdigest()
    header["tables"]["file"] = name or header["tables"]["file"]
    path.write_text(json.dumps(header))
    (path.parent / header["tables"]["file"]).write_bytes(data)


def savez(columns: dict[str, Any], save: Callable[..., None] = np.savez) -> bytes:
    buffer = io.BytesIO()
    save(buffer, **columns)
    return buffer.getvalue()


def refusal(path: Path) -> str:
    with pytest.raises(InputError) as caught:
        read_solution(path)
    text = str(caught.value)
    assert text.isprintable()
    return text


def test_tables_that_do_not_fit_the_hash_are_refused(beside: Path) -> None:
    tables = beside.with_suffix(".npz")
    tables.write_bytes(tables.read_bytes()[:-1] + b"x")
    assert "its sha256 is not the" in refusal(beside)


def test_tables_of_another_answer_are_found_wrong(beside: Path) -> None:
    columns = stored(beside)
    columns["pieces.array_row"][0] += 1
    columns["activations.start"][0] += 1
    forge(beside, savez(columns))
    assert not check_solution(read_solution(beside)).passed


def test_missing_tables_are_named(beside: Path) -> None:
    beside.with_suffix(".npz").unlink()
    assert "answer.npz: there is no such file" in refusal(beside)


@pytest.mark.parametrize("name", ["../answer.npz", "/etc/passwd", "..", ".", "", "a/b.npz", "folder/../answer.npz"])
def test_tables_stay_beside_the_header(beside: Path, name: str) -> None:
    header = json.loads(beside.read_text())
    header["tables"]["file"] = name
    beside.write_text(json.dumps(header))
    assert "expected a plain file name" in refusal(beside) or "there is no such file" in refusal(beside)


@pytest.mark.parametrize("name", ["x" * 250, "x" * 5000, "a\x00b", "a\nb", "\x1b[2J"])
def test_names_of_tables_that_no_file_has_are_refused(beside: Path, name: str) -> None:
    header = json.loads(beside.read_text())
    header["tables"]["file"] = name
    beside.write_text(json.dumps(header))
    refusal(beside)


class Bomb:
    """Unpickling this would leave a trace."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path("pickled").touch, ())


def test_nothing_is_unpickled(beside: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(beside.parent)
    columns = stored(beside)
    columns["pieces.factor"] = np.array([Bomb()] * 3, dtype=object)
    forge(beside, savez(columns))
    assert NO_COLUMN in refusal(beside)
    assert not Path("pickled").exists()


def npy(shape: str, kind: str = "<i8", data: bytes = b"") -> bytes:
    text = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}"
    head = text.encode().ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(head).to_bytes(2, "little") + head + data


def with_member(
    path: Path, member: bytes, name: str = "pieces.factor.npy", compress: int = zipfile.ZIP_STORED
) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(path.with_suffix(".npz")) as old, zipfile.ZipFile(buffer, "w") as new:
        for entry in old.infolist():
            if entry.filename != name:
                new.writestr(entry.filename, old.read(entry))
        new.writestr(name, member, compress)
    return buffer.getvalue()


NO_COLUMN = "expected a column of signed integers"
HOSTILE_MEMBERS: dict[str, tuple[bytes, str]] = {
    "2^40 rows announced": (npy("(1099511627776,)"), "1099511627776 integers are announced, 0 bytes follow"),
    "2^30 rows announced": (npy("(1073741824,)", "|i1", b"\x00\x01\x02"), "are announced, 3 bytes follow"),
    "negative rows": (npy("(-3,)", data=b"\x00" * 24), NO_COLUMN),
    "two dimensions": (npy("(3, 1)", data=b"\x00" * 24), NO_COLUMN),
    "no dimension": (npy("()", data=b"\x00" * 8), NO_COLUMN),
    "floats": (npy("(3,)", "<f8", b"\x00" * 24), NO_COLUMN),
    "unsigned": (npy("(3,)", "<u8", b"\x00" * 24), NO_COLUMN),
    "bools": (npy("(3,)", "|b1", b"\x00" * 3), NO_COLUMN),
    "text": (npy("(3,)", "<U2", b"\x00" * 24), NO_COLUMN),
    "structured": (npy("(3,)", "i8,i8"), NO_COLUMN),
    "no header": (b"hello", NO_COLUMN),
    "nothing": (b"", NO_COLUMN),
    "nested header": (npy("(" * 30), NO_COLUMN),
    "header with code": (npy("__import__('os')"), NO_COLUMN),
    "another version": (b"\x93NUMPY\x07\x00" + bytes(200), NO_COLUMN),
}


@pytest.mark.parametrize("name", HOSTILE_MEMBERS)
def test_hostile_columns_are_refused(beside: Path, name: str) -> None:
    member, message = HOSTILE_MEMBERS[name]
    forge(beside, with_member(beside, member))
    with bounded_memory():
        assert message in refusal(beside)


def test_a_column_of_big_endian_integers_is_read(beside: Path) -> None:
    forge(beside, with_member(beside, npy("(3,)", ">i2", b"\x00\x00\x00\x01\x00\x02")))
    assert check_solution(read_solution(beside)).passed


def test_compressed_tables_are_refused_unread(beside: Path) -> None:
    bomb = npy("(33554432,)", "|i1", bytes(2**25))
    forge(beside, with_member(beside, bomb, compress=zipfile.ZIP_DEFLATED))
    assert beside.with_suffix(".npz").stat().st_size < 2**20
    with bounded_memory():
        assert "unpacks to more than its" in refusal(beside)
    forge(beside, savez(stored_after_reset(beside), np.savez_compressed))
    assert "compressed" in refusal(beside) or "unpacks" in refusal(beside)


def stored_after_reset(path: Path) -> dict[str, Any]:
    solution = honest()
    return {
        f"{name}.{column}": getattr(table, column)
        for name, table in (("pieces", solution.pieces), ("activations", solution.activations))
        for column in table.__dataclass_fields__
    }


def test_a_column_given_twice_is_refused(beside: Path) -> None:
    data = bytearray(with_member(beside, npy("(3,)", data=bytes(24)), "pieces.factoz.npy"))
    forge(beside, bytes(data).replace(b"factoz", b"factor"))
    assert "'pieces.factor' stands twice" in refusal(beside)


def test_a_column_of_no_table_is_refused(beside: Path) -> None:
    honest_bytes = beside.with_suffix(".npz").read_bytes()
    forge(beside, with_member(beside, npy("(3,)", data=bytes(24)), "secrets.npy"))
    assert "expected columns of pieces and activations" in refusal(beside)
    forge(beside, honest_bytes)
    forge(beside, with_member(beside, npy("(3,)", data=bytes(24)), "pieces.secret.npy"))
    assert "pieces.secret: unknown column" in refusal(beside)


def test_tables_never_replace_the_header(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"\.npz is the tables' own ending"):
        write_solution(honest(), tmp_path / "answer.npz")


# Large and hostile answers


class bounded_memory:
    """What runs inside allocates at most `limit` bytes at once."""

    def __init__(self, limit: int = 300 * 2**20) -> None:
        self.limit = limit

    def __enter__(self) -> None:
        tracemalloc.start()

    def __exit__(self, *_: object) -> None:
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < self.limit, f"{peak} bytes"


def hostile(model: dict[str, Any], **hardware: Any) -> Solution:
    """The header of a question of the hostile, the tables of an honest answer."""
    solution = honest()
    return with_header(solution, hw=chip(**hardware) if hardware else solution.header.hw, model=model)


def test_many_layers_and_few_pieces() -> None:
    layers = 4096
    model = {
        "model_type": "llama",
        "hidden_size": 1024,
        "num_hidden_layers": layers,
        "num_attention_heads": 4,
        "intermediate_size": 1024,
        "max_position_embeddings": 512,
    }
    solution = with_header(hostile(model), structure={})
    with bounded_memory():
        assert broken(solution) == {"question"}


def test_a_matrix_of_a_million_blocks_and_one_piece() -> None:
    solution = hostile(linears(step("a", (2**20, 2**20)), step("b", (2**20, 2**20))))
    solution = with_header(solution, structure={"a0": f"{2**20},1,1", "b0": "dense"})
    with bounded_memory():
        assert "P1" in broken(solution)


def test_weights_beyond_counting() -> None:
    steps = [step(f"s{index}", *[(2**20, 2**20)] * 8) for index in range(6)]
    structure = {f"s{index}{number}": "dense" for index in range(6) for number in range(8)}
    problem = hostile(linears(*steps))
    with bounded_memory():
        assert "P1" in broken(with_header(problem, structure=structure))


def test_tokens_beyond_counting() -> None:
    model = {
        "model_type": "llama",
        "hidden_size": 2**20,
        "num_hidden_layers": 1,
        "num_attention_heads": 4096,
        "head_dim": 2**20,
        "intermediate_size": 2**20,
        "max_position_embeddings": 2**20,
    }
    solution = hostile(model)
    options = solution.header.options.model_copy(update={"tokens": 2**20})
    names = [f"self_attn.{key}_proj" for key in "qkvo"] + [f"mlp.{key}_proj" for key in ("gate", "up", "down")]
    structure = {f"model.layers.0.{name}": "dense" for name in names}
    with bounded_memory():
        found = check_solution(with_header(solution, options=options, structure=structure))
    assert not found.passed


@pytest.mark.parametrize("wiring", ["any", "interleaved", "adjacent"])
def test_the_largest_arrays_and_few_pieces(wiring: str) -> None:
    side = 65536
    hardware = chip(
        array__rows=side,
        array__cols=side,
        adc__wiring=wiring,
        adc__per_array=side // 64,
        adc__lossy_allowed=True,
    )
    problem = ask(linears(step("a", (side, 4)), step("b", (4, 4))), {"a0": "2,2,1", "b0": "dense"}, hardware)
    factors = problem.workload.factors
    rows = [
        (factor.id, block, 0, factor.block_rows, 0, factor.block_cols, array, block * factor.block_rows, block * 16)
        for factor, array in zip(factors, range(3), strict=True)
        for block in range(factor.blocks)
    ]
    solution = answer(problem, pieces_of(*rows), [row[0] for row in rows])
    far_apart = {0: 2**31 - 1, 1: 0, 2: 7}
    renamed = {
        f"{table}__array": [far_apart[array] for array in column(solution, f"{table}__array")]
        for table in ("pieces", "activations")
    }
    with bounded_memory():
        assert check_solution(with_tables(solution, **renamed)).passed


def test_chunks_change_no_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    problem = shipped("minilm-l6", "paper256")
    monkeypatch.setattr(placement, "CHUNK_PIECES", 7)
    monkeypatch.setattr(firing, "CHUNK_PAIRS", 7)
    for strategy in ("sparsemap", "spread"):
        solution = solve(problem, strategy)
        assert check_solution(solution).passed
        # The last piece of the last chunk is moved on to another of its array.
        array = solution.pieces.array
        index, other = np.flatnonzero(array == array.max())[-2:]
        moved = with_entry(solution, "pieces__array_row", int(index), int(solution.pieces.array_row[other]))
        moved = with_entry(moved, "pieces__array_col", int(index), int(solution.pieces.array_col[other]))
        assert "P3" in broken(moved)


@pytest.mark.slow
def test_a_million_pieces_are_checked_in_bounded_memory() -> None:
    problem = shipped("llama-3-8b", "rram256")
    whole = solve(problem, "spread").pieces
    parts = whole.cols // 2
    source = np.repeat(np.arange(len(whole)), parts)
    shift = 2 * (np.arange(len(source)) - np.repeat(np.cumsum(parts) - parts, parts))
    cut = whole.take(source)
    pieces = replace(cut, col0=cut.col0 + shift, cols=np.full(len(source), 2), array_col=cut.array_col + shift)
    assert len(pieces) > 1_000_000
    solution = answer(problem, pieces)
    with bounded_memory(1000 * 2**20):
        assert check_solution(solution).passed


# Tools


@st.composite
def rectangles(draw: st.DrawFn) -> list[tuple[int, int, int, int, int]]:
    """(group, top, bottom, left, right)."""
    side = draw(st.sampled_from([4, 9, 40]))
    found = []
    for _ in range(draw(st.integers(0, 12))):
        top, left = draw(st.integers(0, side - 1)), draw(st.integers(0, side - 1))
        rows, cols = draw(st.integers(1, side - top)), draw(st.integers(1, min(5, side - left)))
        found.append((draw(st.integers(0, 2)), top, top + min(rows, 6), left, left + cols))
    return found


def columns_of(rows: list[tuple[int, ...]], width: int) -> list[Any]:
    return list(np.array(rows, dtype=np.int64).reshape(-1, width).T)


def share_a_cell(one: tuple[int, ...], other: tuple[int, ...]) -> bool:
    return one[0] == other[0] and one[1] < other[2] and other[1] < one[2] and one[3] < other[4] and other[3] < one[4]


@given(rectangles())
@settings(max_examples=300, deadline=None, derandomize=True)
def test_overlapping_rectangles_are_found(rows: list[tuple[int, ...]]) -> None:
    pairs = {(i, j) for j, other in enumerate(rows) for i, one in enumerate(rows[:j]) if share_a_cell(one, other)}
    found = overlapping_pair(*columns_of(rows, 5))
    assert (found is None) == (not pairs)
    assert found is None or tuple(sorted(found)) in pairs


@st.composite
def intervals(draw: st.DrawFn) -> list[tuple[int, int, int]]:
    size = st.tuples(st.integers(0, 2), st.integers(0, 12), st.integers(1, 5))
    return [(group, start, start + length) for group, start, length in draw(st.lists(size, max_size=10))]


def covered(rows: list[tuple[int, int, int]]) -> Iterator[tuple[int, int]]:
    return ((group, at) for group, start, end in rows for at in range(start, end))


@given(intervals(), intervals())
@settings(max_examples=200, deadline=None, derandomize=True)
def test_intervals_are_merged_and_met(rows: list[tuple[int, int, int]], asked: list[tuple[int, int, int]]) -> None:
    merged = merge_intervals(*columns_of(rows, 3))
    listed = [tuple(map(int, row)) for row in zip(*merged, strict=True)]
    assert sorted(covered(listed)) == sorted(set(covered(rows)))
    assert all(one[0] < other[0] or one[2] < other[1] for one, other in pairwise(listed))
    met = meets_intervals(merged, *columns_of(asked, 3))
    assert met.tolist() == [bool(set(covered([row])) & set(covered(rows))) for row in asked]


@given(intervals(), st.randoms(use_true_random=False))
@settings(max_examples=200, deadline=None, derandomize=True)
def test_stacks_are_counted(rows: list[tuple[int, int, int]], random: Any) -> None:
    weight = [random.randint(1, 9) for _ in rows]
    depth = dict.fromkeys(range(3), 0)
    for group, at in covered(rows):
        depth[group] = max(
            depth[group], sum(w for w, row in zip(weight, rows, strict=True) if (group, at) in set(covered([row])))
        )
    found = deepest_stack(*columns_of(rows, 3), np.array(weight, dtype=np.int64), 3)
    assert found.tolist() == [depth[group] for group in range(3)]


@given(intervals())
@settings(max_examples=200, deadline=None, derandomize=True)
def test_chains_join_what_overlaps(rows: list[tuple[int, int, int]]) -> None:
    chain = list(range(len(rows)))
    for _ in rows:
        for i, one in enumerate(rows):
            for j, other in enumerate(rows):
                if set(covered([one])) & set(covered([other])):
                    chain[i] = chain[j] = min(chain[i], chain[j])
    found = overlap_clusters(*columns_of(rows, 3)).tolist()
    same = {(i, j) for i in range(len(rows)) for j in range(len(rows)) if chain[i] == chain[j]}
    assert {(i, j) for i in range(len(rows)) for j in range(len(rows)) if found[i] == found[j]} == same


def test_departures_are_those_from_the_entry_before() -> None:
    group, value = np.array([1, 0, 1, 0, 1]), np.array([5, 7, 5, 8, 6])
    assert departs_from_group(group, value).tolist() == [False, False, False, True, True]
    assert departs_from_group(group[:0], value[:0]).tolist() == []
    assert isinstance(pieces_of((0,) * 9), Pieces)
