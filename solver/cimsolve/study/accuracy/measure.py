"""Running a model step by step: float, projected, quantised on lossless arrays, few-bit converters.

For each way of storing: the factors are fitted to what the float model's linears read, the mapping is made and
checked, and the test paragraphs pass the model once in float32 and once by the arrays, all settings of the converters
side by side behind arrays that are programmed once. Ranges of converters are set on what the linears of the model as
stored read of other paragraphs.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from cimsolve.chip.read import load_hardware
from cimsolve.chip.spec import Hardware
from cimsolve.columns import Floats, Ints
from cimsolve.errors import InputError
from cimsolve.judge.simulate import RealWeights
from cimsolve.judge.simulate.bitplanes import is_worth_loading, why_not_loaded
from cimsolve.judge.simulate.encoding import Encoding
from cimsolve.judge.simulate.prepare import demand_cells
from cimsolve.model.load import load_model
from cimsolve.model.structure import Structure
from cimsolve.model.workload import build_workload
from cimsolve.problem.problem import Problem
from cimsolve.problem.question import ask
from cimsolve.study.accuracy.answers import AccuracyRow, AccuracyTable, Judge, KeptRow, with_figures
from cimsolve.study.accuracy.product import ArrayProduct
from cimsolve.study.accuracy.question import AccuracyQuestion, AccuracyStep, Storage
from cimsolve.study.names import DENSE, FACTORS
from cimsolve.study.solving import solve_passing
from cimsolve.study.sweep.kept import Records, Tell, tell_nobody
from cimsolve.study.sweep.point import digest_of
from cimsolve.weights.factor_file import FactorFile, write_factors
from cimsolve.weights.folder import FolderWeights, linear_weight, open_weights, stamps_of
from cimsolve.weights.forward import Product, Reference, listening, load_reference
from cimsolve.weights.inputs import LinearInputs, heard_in, read_sequences, split_sequences
from cimsolve.weights.monarch import Monarch, apply
from cimsolve.weights.project import read_factors
from cimsolve.weights.projection import demand_memory_for, fit_factors, structures_of_size, structures_stored
from cimsolve.weights.tensors import Floats32

Listen = Callable[[str, int, int], None]
"""Told of progress: what runs, steps done and steps in all."""

METRICS = ("arrays", "adc_bits_max", "latency_ns", "energy_pj")


def measure_accuracy(
    folder: Path | str,
    hardware: Hardware | Path | str = "rram256",
    *,
    cache: Path | str | None = None,
    listen: Listen | None = None,
    **question: Any,
) -> AccuracyTable:
    """How near a real model's answers on mapped arrays are to those of its float weights, step by step.

    `folder` holds the model's weights and tokenizer; `question` are the other fields of `AccuracyQuestion`: methods,
    compressions, blocks, bits, text and how much of it, scales, seed. `cache` is a folder that keeps what is finished:
    an equal or interrupted call goes on from there. Raises InputError for a folder, text or chip that does not do.
    """
    chip = hardware if isinstance(hardware, Hardware) else load_hardware(hardware)
    asked = AccuracyQuestion(folder=Path(folder), hardware=chip, **question)
    *_, table = rows_measured(asked, None if cache is None else Path(cache), listen=listen)
    return table


def rows_measured(
    asked: AccuracyQuestion,
    cache: Path | None = None,
    fresh: bool = False,
    listen: Listen | None = None,
    tell: Tell = tell_nobody,
) -> Iterator[AccuracyTable]:
    """The table as it grows, without rows at first. Raises as `measure_accuracy` does.

    `fresh` measures again what `cache` has, and keeps that. `tell` is told of kept rows that do not hold, which are
    measured again.
    """
    run = _AccuracyRun(asked, cache, listen or (lambda *_: None), tell)
    steps = asked.steps()
    table = AccuracyTable(
        model=run.model.name,
        hardware=asked.hardware.name,
        linears=len(run.model.linears),
        weights=run.model.weight_count,
        weight_bits=asked.hardware.weight.bits,
        input_bits=asked.hardware.input.bits,
        steps=steps,
        float_model=run.judge(run.exact),
        rows=(),
        test_sequences=len(run.test),
        test_tokens=len(run.exact),
        fitted_tokens=sum(map(len, run.fitted)),
        calibration_tokens=sum(map(len, run.calibrating)),
        vocabulary=run.reference.vocabulary,
        left_dense=run.left_dense(),
    )
    yield table
    storages = asked.storages()
    for number, storage in enumerate(storages, 1):
        row = run.row(storage, steps, fresh, f"{run.model.name}, {storage}, row {number} of {len(storages)}")
        table = replace(table, rows=(*table.rows, row))
        yield table


class _AccuracyRun:
    """One model, one text, one chip; a way of storing at a time."""

    def __init__(self, asked: AccuracyQuestion, cache: Path | None, listen: Listen, tell: Tell) -> None:
        self._asked, self._listen, self._tell = asked, listen, tell
        self.model = load_model(asked.folder)
        self._source = open_weights(asked.folder, self.model)
        self.reference = load_reference(self.model, self._source)
        self._sequences = read_sequences(asked.text, asked.folder, self._source, self.reference.context, asked.samples)
        self._hear = heard_in(self.reference, self._sequences)
        self.fitted, held_out = split_sequences(self._sequences)
        ends = np.cumsum([len(ids) for ids in held_out])
        self.test = held_out[: int(np.searchsorted(ends, asked.test_tokens)) + 1]
        self.calibrating = _first_tokens(self.fitted, asked.calibration_tokens)
        self._structures = {each: self._stored_as(each) for each in asked.storages()}
        self._demand_memory()
        self._cache = cache
        if cache is not None:
            _make_folder(cache)
        self._kept = Records(cache, KeptRow, tell, "accuracy-")
        self.exact = self.reference.run(
            self.test, self._counted(f"{self.model.name}: float model", self.reference.exact)
        )
        if not np.isfinite(self.exact).all():
            raise InputError(f"{asked.folder}: the float model's own answers are NaN or infinite; check its weights")
        self.judge = Judge(self.reference, self.test, self.exact)

    def left_dense(self) -> Sequence[str]:
        """Linears that are stored dense in every row of factors."""
        factored = [found for storage, found in self._structures.items() if storage.compression is not None]
        dense = ({name for name, how in found.items() if how.is_dense} for found in factored)
        left = set.intersection(*dense) if factored else set()
        return [each.name for each in self.model.linears if each.name in left]

    def row(self, storage: Storage, steps: Sequence[AccuracyStep], fresh: bool, label: str) -> AccuracyRow:
        """What is kept of a way of storing, and the steps that are missing run; `label` tells of it."""
        structures = self._structures[storage]
        digest = self._digest(storage, structures)
        began = time.process_time()
        self._listen(f"{label}: mapping", 0, 1)
        strategy = "linear" if storage.method == DENSE else "spread"
        problem = Problem(ask(self.model, self._asked.hardware, structure=structures))
        solution = solve_passing(problem, strategy)
        stored = sum(structures[each.name].stored_weights(each.n_in, each.n_out) for each in self.model.linears)
        row = AccuracyRow(storage, stored, {name: solution.header.metrics[name] for name in METRICS}, {}, 0.0)
        if not fresh and (kept := self._kept.read(digest)):
            row = replace(row, figures=kept.figures, processor_s=kept.processor_s)
        missing = [step for step in steps if step.name not in row.figures]
        if not missing:
            return row
        reference = self._reference_of(storage)
        with self._weights(storage, structures, digest, label) as weights:
            figures = {}
            if AccuracyStep("float") in missing:
                figures["float"] = self.judge(
                    reference.run(self.test, self._counted(f"{label}: float", self._multiplied(weights)))
                )
            by_arrays = [step for step in missing if step.kind != "float"]
            if by_arrays:
                product = self._arrays(problem, solution, reference, weights, by_arrays, label)
                hidden = reference.run(self.test * len(by_arrays), product)
                for step, part in zip(by_arrays, np.split(hidden, len(by_arrays)), strict=True):
                    figures[step.name] = self.judge(part)
            row = with_figures(row, figures, time.process_time() - began)
            self._kept.write(KeptRow.of(digest, row))
        return row

    def _reference_of(self, storage: Storage) -> Reference:
        """The forward pass, with the norms and biases that a file of tuned factors has."""
        if storage.file is None:
            return self.reference
        return load_reference(self.model, FactorFile(storage.file).over(self._source))

    def _arrays(
        self,
        problem: Problem,
        solution: Any,
        reference: Reference,
        weights: RealWeights,
        steps: list[AccuracyStep],
        label: str,
    ) -> Product:
        heard: dict[str, Floats] = {}
        # The simulator counts conversions of a layer only.
        worth = is_worth_loading(_conversions_of(problem, len(self.exact) * len(steps)))
        if any(step.kind == "calibrated" for step in steps):
            product = self._counted(f"{label}: inputs of the linears", self._multiplied(weights))
            reference.run(self.calibrating, listening(product, heard.__setitem__))
        return self._counted(
            f"{label}: arrays",
            ArrayProduct(
                problem,
                solution.pieces,
                solution.activations,
                weights,
                heard,
                [step.converters() for step in steps],
                weight_scale=self._asked.weight_scale,
                input_scale=self._asked.input_scale,
                kernel="numba" if worth and why_not_loaded() is None else "numpy",
            ),
        )

    @contextlib.contextmanager
    def _weights(
        self, storage: Storage, structures: Mapping[str, Structure], digest: str, label: str
    ) -> Iterator[RealWeights]:
        """The dense weights, or factors fitted now or before, whose file is gone once they are used to the end."""
        if storage.method == DENSE:
            yield FolderWeights(self._source, self.model)
            return
        if storage.file is not None:
            yield FactorFile(storage.file).operands
            return
        with TemporaryDirectory() if self._cache is None else contextlib.nullcontext(self._cache) as folder:
            path = Path(folder) / f"factors-{digest}.safetensors"
            stored = self._stored(path, structures)
            if stored is None:
                self._fit(storage, structures, path, label)
                stored = FactorFile(path)
            yield stored.operands
            path.unlink(missing_ok=True)

    def _stored(self, path: Path, structures: Mapping[str, Structure]) -> FactorFile | None:
        """The factors that an interrupted run has left; None where there are none that can be used."""
        if not os.path.lexists(path):
            return None
        try:
            if not path.is_file():
                raise InputError(f"{path}: is no file")
            stored = FactorFile(path)
            if stored.structures != structures:
                raise InputError(f"{path}: holds factors of other structures")
            return stored
        except InputError as error:
            self._tell(f"note: kept factors do not hold and are fitted again ({error})")
            if path.is_symlink() or path.is_file():
                path.unlink()
            return None

    def _fit(self, storage: Storage, structures: Mapping[str, Structure], path: Path, label: str) -> None:
        shapes = [(each.name, each.n_in, each.n_out) for each in self.model.linears]
        told = {"model": self.model.name, "method": storage.method, "seed": str(self._asked.seed)}
        done = itertools.count(1)
        with write_factors(path, shapes, structures, told) as put:

            def visit(name: str, inputs: LinearInputs | None) -> None:
                weight, structure = self._weight(name), structures[name]
                if structure.is_dense:
                    put(name, weight)
                else:
                    put(name, fit_factors(weight, structure, storage.method, inputs, self._asked.seed, name)[0])
                self._listen(f"{label}: fitting", next(done), len(shapes))

            if storage.method == "plain":
                for name, _, _ in shapes:
                    visit(name, None)
            else:
                self._hear(visit)

    def _stored_as(self, storage: Storage) -> Mapping[str, Structure]:
        linears = self.model.linears
        if storage.file is not None:
            return read_factors(storage.file, self.model).structures
        if storage.compression is None:
            return {each.name: Structure.dense() for each in linears}
        asked = structures_of_size(linears, self._asked.blocks, storage.compression)
        return structures_stored(linears, asked, storage.method)

    def _demand_memory(self) -> None:
        if any(storage.method not in (DENSE, FACTORS) for storage in self._structures):
            demand_memory_for(self.model.linears, sum(map(len, self._sequences)))
        for storage, structures in self._structures.items():
            of_layer: Counter[int] = Counter()
            for factor in build_workload(self.model, structures).factors:
                of_layer[factor.layer] += factor.weights
            demand_cells(self._asked.hardware, max(of_layer.values()), f"a layer of {self.model.name}, {storage}")

    def _digest(self, storage: Storage, structures: Mapping[str, Structure]) -> str:
        asked = self._asked
        content: dict[str, Any] = {
            "weights": stamps_of(asked.folder),
            "model": [dict(self.model.config), self.model.tokens],
            "hw": asked.hardware.to_json(),
            "method": storage.method,
            "structures": {name: str(each) for name, each in structures.items()},
            "test": _digest_of_tokens(self.test),
            "calibrating": _digest_of_tokens(self.calibrating),
            "scales": [asked.weight_scale, asked.input_scale],
        }
        if storage.file is not None:
            with open(storage.file, "rb") as stream:
                content["factors"] = hashlib.file_digest(stream, "sha256").hexdigest()
        elif storage.method != DENSE:
            content |= {"fitted": _digest_of_tokens(self._sequences), "seed": asked.seed}
        return digest_of(content)

    def _weight(self, name: str) -> Floats32:
        linear = self.reference.linears[name]
        return linear_weight(self._source, linear.tensor, linear.n_in, linear.n_out)

    def _multiplied(self, weights: Mapping[str, Any]) -> Product:
        """The product by what is stored, in float32, without arrays."""
        if isinstance(weights, FolderWeights):
            return self.reference.exact

        def product(name: str, inputs: Floats32) -> Floats32:
            stored = weights[name]
            found = apply(stored, inputs) if isinstance(stored, Monarch) else inputs @ stored
            return found.astype(np.float32)

        return product

    def _counted(self, label: str, product: Product) -> Product:
        done = itertools.count()

        def counted(name: str, inputs: Floats32) -> Floats32:
            self._listen(label, next(done), len(self.model.linears))
            return product(name, inputs)

        return counted


def _conversions_of(problem: Problem, tokens: int) -> int:
    """About how many columns are converted for so many tokens."""
    hardware = problem.hardware
    factors = problem.workload.factors
    columns = sum(each.blocks * each.block_cols * -(-each.block_rows // problem.rows) for each in factors)
    return columns * Encoding.of(hardware).columns * hardware.input_phases * tokens


def _first_tokens(sequences: Sequence[Ints], most: int) -> list[Ints]:
    """The first `most` tokens; the last sequence may be cut."""
    found: list[Ints] = []
    for ids in sequences:
        if most > 0:
            found.append(ids[:most])
            most -= len(ids)
    return found


def _digest_of_tokens(sequences: Sequence[Ints]) -> str:
    digest = hashlib.sha256()
    for ids in sequences:
        digest.update(np.int64(len(ids)).tobytes() + ids.astype(np.int64).tobytes())
    return digest.hexdigest()


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"--cache {folder}: cannot be made a folder ({error.strerror}); choose another place"
        ) from None
