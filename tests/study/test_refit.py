"""Factors fitted one linear after the other: what is lost before is put right by those after."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cimsolve.columns import Floats, Ints
from cimsolve.model.structure import Structure
from cimsolve.study.choose.fit import Whitened, read_of
from cimsolve.study.choose.refit import refitted
from cimsolve.weights.folder import linear_weight, open_weights
from cimsolve.weights.forward import Reference
from cimsolve.weights.monarch import apply
from makers.tiny_configs import BERT, LLAMA
from makers.tiny_models import model_folder, reference_of


class Case:
    """A small model, texts to fit and to test on, and its linears at some ranks."""

    def __init__(self, folder: Path, config: dict) -> None:
        place = model_folder(folder / "tiny", config)
        self.reference: Reference = reference_of(place)
        source = open_weights(place, self.reference.model)
        self.weights = {
            linear.name: linear_weight(source, linear.tensor, linear.n_in, linear.n_out)
            for linear in self.reference.model.linears
        }
        random = np.random.default_rng(0)
        self.fitted, self.tested = ([self.drawn(random) for _ in range(count)] for count in (60, 20))

    def drawn(self, random: np.random.Generator) -> Ints:
        return random.integers(0, min(self.reference.vocabulary, 20), 10).astype(np.int64)

    def lost(self, structures: dict[str, Structure], factors: dict) -> float:
        """Squared error of the states at the end, as a share of their squares."""

        def product(name: str, inputs: Floats) -> Floats:
            dense = structures[name].is_dense
            made = self.reference.exact(name, inputs) if dense else apply(factors[name], inputs)
            return np.asarray(made, dtype=np.float32)

        exact = self.reference.run(self.tested)
        return float(((self.reference.run(self.tested, product) - exact) ** 2).sum() / (exact**2).sum())

    def at(self, share: float) -> dict[str, Structure]:
        return {
            linear.name: Structure.monarch(1, 1, max(1, int(share * min(linear.n_in, linear.n_out))))
            for linear in self.reference.model.linears
        }

    def refitted(self, structures: dict[str, Structure], felt: dict | None = None) -> dict:
        return refitted(self.reference, self.fitted, structures, self.weights.__getitem__, felt or {})


@pytest.fixture(params=[BERT, LLAMA], ids=["bert", "llama"])
def case(request: pytest.FixtureRequest, tmp_path: Path) -> Case:
    return Case(tmp_path, request.param)


def test_whole_rank_loses_nothing(case: Case) -> None:
    structures = case.at(1.0)
    assert case.lost(structures, case.refitted(structures)) < 1e-6


def test_dense_linears_stay_and_the_first_linear_is_the_closed_form(case: Case) -> None:
    structures = case.at(0.5)
    first, second = list(structures)[:2]
    structures[second] = Structure.dense()
    found = case.refitted(structures)
    assert set(structures) - set(found) == {second}
    read = read_of(case.reference, case.fitted) if case.reference.model.family == "bert" else None
    if read is not None:
        closed = Whitened(case.weights[first], read[first]).factors(structures[first])
        inputs = np.eye(len(case.weights[first]), dtype=np.float32)
        np.testing.assert_allclose(apply(found[first], inputs), apply(closed, inputs), atol=1e-4)


def test_less_is_lost_on_other_text_than_where_each_is_fitted_to_the_float_model(case: Case) -> None:
    structures = case.at(0.5)
    read = read_of(case.reference, case.fitted)
    closed = {name: Whitened(weight, read[name]).factors(structures[name]) for name, weight in case.weights.items()}
    assert case.lost(structures, case.refitted(structures)) < 0.9 * case.lost(structures, closed)


def test_outputs_that_are_felt_more_are_met_better(case: Case) -> None:
    structures = case.at(0.3)
    first = next(iter(structures))
    inputs = np.random.default_rng(1).standard_normal((50, len(case.weights[first]))).astype(np.float32)
    wanted = inputs @ case.weights[first]
    felt = np.eye(wanted.shape[1])
    felt[3, 3] = 1e6
    plain, heeding = (case.refitted(structures, each)[first] for each in ({}, {first: felt}))
    errors = [np.abs(apply(factors, inputs) - wanted).mean(axis=0) for factors in (plain, heeding)]
    assert errors[1][3] < 0.1 * errors[0][3]


@pytest.mark.parametrize("config", [LLAMA, BERT])
def test_what_a_layer_of_a_decoder_adds_to_its_states(config: dict, tmp_path: Path) -> None:
    case = Case(tmp_path, config)
    added: list[np.ndarray] = []

    def product(name: str, inputs: Floats) -> Floats:
        outputs = inputs @ case.weights[name]
        if case.reference.is_added(name):
            added.append(outputs)
        return outputs

    before, *_, after = case.reference.states(case.tested, product)
    assert len(added) == (2 * case.reference.layers if config is LLAMA else 0)  # a norm comes after each sum of BERT
    if added:
        np.testing.assert_allclose(after - before, sum(added), atol=1e-4)
