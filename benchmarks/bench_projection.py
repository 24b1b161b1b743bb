"""The closed-form projection against a full batched SVD of the slices.

Both in one process, in turn, as processor time: numpy.linalg.svd of all slices, cut to rank T and laid out as factors,
and `monarch.project`. Each must reach the least error to 1e-6 of it; that is computed from singular values alone.
Then one linear of each shape of a model is projected, and what all its linears would take is extrapolated.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
from common import log, make_parser, markdown_table, own_peak_mib, provenance, write_report

from cimsolve.model.load import load_model
from cimsolve.model.structure import Structure, StructurePolicy
from cimsolve.weights import eigenvectors
from cimsolve.weights.monarch import Monarch, from_slices, project, relative_error

Floats32 = npt.NDArray[np.float32]

TARGET = 3.0
TOLERANCE = 1e-6


def by_svd(weight: Floats32, structure: Structure) -> Monarch:
    """Every slice's full SVD, cut to rank T."""
    rank = structure.rank
    u, size, vh = np.linalg.svd(slices_of(weight, structure), full_matrices=False)
    return from_slices(u[..., :rank] * size[..., None, :rank], vh[..., :rank, :], np.float32)


def slices_of(weight: Floats32, structure: Structure) -> npt.NDArray[np.float64]:
    """The slices, (k, l, P, S)."""
    cut = weight.reshape(structure.k, -1, weight.shape[1] // structure.l, structure.l).transpose(0, 3, 1, 2)
    return np.array(cut, dtype=np.float64, order="C")


def least_error(weight: Floats32, structure: Structure) -> float:
    """The least relative error of any factors: the slices' discarded singular values."""
    energy = np.linalg.svd(slices_of(weight, structure), compute_uv=False) ** 2
    return float(np.sqrt(energy[..., structure.rank :].sum() / energy.sum()))


def gaussian(n_in: int, n_out: int) -> Floats32:
    return np.random.default_rng(0).standard_normal((n_in, n_out), dtype=np.float32)


def falling(n_in: int, n_out: int) -> Floats32:
    """Singular values that fall as 1 / sqrt(i), as those of trained weights roughly do."""
    rng = np.random.default_rng(1)
    inner = min(n_in, n_out)
    left = rng.standard_normal((n_in, inner), dtype=np.float32) / np.sqrt(np.arange(1, inner + 1), dtype=np.float32)
    return left @ rng.standard_normal((inner, n_out), dtype=np.float32)


MATRICES: dict[str, Callable[[int, int], Floats32]] = {"Gaussian": gaussian, "falling": falling}


def cpu_s(work: Callable[[], Monarch]) -> tuple[float, Monarch]:
    began = time.process_time()
    found = work()
    return time.process_time() - began, found


def compare(kind: str, weight: Floats32, text: str, repeats: int) -> tuple[list[object], bool]:
    """A row of the table, and whether both reach the optimum."""
    structure = Structure.parse(text)
    pairs = []
    for _ in range(repeats):
        svd_s, by_full = cpu_s(lambda: by_svd(weight, structure))
        own_s, own = cpu_s(lambda: project(weight, structure))
        pairs.append((svd_s, own_s))
    least = least_error(weight, structure)
    excess = [relative_error(weight, each) / least - 1 for each in (by_full, own)]
    svd_s, own_s = (statistics.median(column) for column in zip(*pairs, strict=True))
    ratio = statistics.median(svd / own for svd, own in pairs)
    again = uncertified(weight, structure)
    shape = f"{weight.shape[0]}x{weight.shape[1]}"
    row = [kind, shape, text, f"{svd_s:.2f}", f"{own_s:.2f}", f"{ratio:.1f}", f"{least:.4f}"]
    return [*row, *(f"{value:.0e}" for value in excess), again], max(excess) <= TOLERANCE


def uncertified(weight: Floats32, structure: Structure) -> int:
    """Slices that were done again in float64."""
    counted = 0
    in_float64 = eigenvectors._in_float64

    def count(slices: npt.NDArray[np.float64], rank: int) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        nonlocal counted
        counted += len(slices)
        return in_float64(slices, rank)

    eigenvectors._in_float64 = count
    try:
        project(weight, structure)
    finally:
        eigenvectors._in_float64 = in_float64
    return counted


def extrapolate(name: str) -> tuple[list[list[object]], float]:
    """A row a shape of the model's linears by the structure `sqrt`, and the seconds of all."""
    model = load_model(name)
    structures = StructurePolicy.parse(()).resolve((each.name, each.n_in, each.n_out) for each in model.linears)
    shapes = Counter((each.n_in, each.n_out, str(structures[each.name])) for each in model.linears)
    rows: list[list[object]] = []
    total = 0.0
    for (n_in, n_out, text), count in shapes.items():
        log(f"{name}: {n_in} x {n_out}, {text}")
        weight = gaussian(n_in, n_out)
        seconds = cpu_s(lambda weight=weight, text=text: project(weight, Structure.parse(text)))[0]  # type: ignore[misc]
        total += count * seconds
        rows.append([f"{n_in}x{n_out}", text, count, f"{seconds:.2f}", f"{count * seconds:.0f}"])
    weights = sum(each.weights for each in model.linears)
    rows.append([f"all, {weights / 1e9:.2f} billion weights", None, len(model.linears), None, f"{total:.0f}"])
    return rows, total


def main(argv: Sequence[str] | None = None) -> int:
    parser = make_parser(__doc__ or "", "projection.md")
    parser.add_argument("--size", type=int, default=4096, metavar="N", help="rows and columns of the compared matrix")
    parser.add_argument(
        "--structures", nargs="+", default=["64,64,1", "64,64,2", "64,64,4", "64,64,8", "16,16,4"], metavar="k,l,T"
    )
    parser.add_argument("--model", default="llama-3-8b", help="whose linears are extrapolated to")
    parser.add_argument("--repeats", type=int, default=3, metavar="N")
    options = parser.parse_args(argv)
    rows, sound = [], True
    for kind, make in MATRICES.items():
        weight = make(options.size, options.size)
        for text in options.structures:
            log(f"{kind} {options.size} x {options.size}, {text}")
            row, optimal = compare(kind, weight, text, options.repeats)
            rows.append(row)
            sound &= optimal
        del weight
    peak = own_peak_mib()
    shapes, total = extrapolate(options.model)
    header = ("matrix", "shape", "k,l,T", "SVD, CPU s", "cimsolve, CPU s", "ratio", "least error")
    write_report(
        options.out,
        "# The projection against a full batched SVD",
        provenance(__file__, argv),
        f"Processor time, one thread, medians of {options.repeats} runs in turn; the ratio is the median of the runs' "
        f"ratios (target: {TARGET:g} or more). Excess: how much larger the error of the factors is than the least one, "
        f"as a share of it (target: {TOLERANCE:g} or less). Again: slices whose certificate failed and which were done "
        "again in float64, of k * l. `falling` has singular values that fall as 1 / sqrt(i).",
        markdown_table([*header, "excess, SVD", "excess", "again"], rows),
        f"Peak of memory of this process until here: {peak:.0f} MiB, most of it the full SVD's.",
        f"## All linears of {options.model}, extrapolated",
        "One Gaussian matrix of each shape was projected by the structure `sqrt`; the rest is multiplication. Reading "
        "the weights and measuring errors are not in it.",
        markdown_table(("shape", "k,l,T", "linears", "one, CPU s", "all, CPU s"), shapes),
        f"So the closed form takes about {total / 60:.0f} minutes of one core for {options.model}: extrapolated, not "
        "run.",
    )
    return 0 if sound else 1


if __name__ == "__main__":
    sys.exit(main())
