"""From a folder of weights and texts to chosen structures, their factors, and what they do on other text."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

import numpy as np

from cimsolve.chip.read import load_hardware
from cimsolve.chip.spec import Hardware
from cimsolve.columns import Ints
from cimsolve.errors import InputError
from cimsolve.files.json_file import write_json_atomically
from cimsolve.files.memory import demand_memory
from cimsolve.files.text import demand_known, shown_name
from cimsolve.model.chosen import ChosenLinear, StructureFile, losses_of, read_structures
from cimsolve.model.load import load_model
from cimsolve.model.model import Model
from cimsolve.model.structure import Structure
from cimsolve.study.accuracy.answers import Accuracy, Judge
from cimsolve.study.choose.ask import Chooser, Chosen
from cimsolve.study.choose.fit import Whitened, gradients_of, read_of
from cimsolve.study.choose.kept import Kept, kept
from cimsolve.study.choose.losses import Losses, losses_alone, losses_two_sided
from cimsolve.study.choose.menu import Menu, menu_of
from cimsolve.study.choose.refit import refitted
from cimsolve.study.choose.within import MappedChoice, choose_within, front_of
from cimsolve.study.names import ALONE, CHOICE_SAMPLES_DEFAULT, LOSS_TOKENS_DEFAULT, LOSSES, TWO_SIDED
from cimsolve.weights.eigenvectors import Floats64
from cimsolve.weights.factor_file import write_factors
from cimsolve.weights.fitting import demand_in_range
from cimsolve.weights.folder import linear_weight, open_weights
from cimsolve.weights.forward import Reference, load_reference
from cimsolve.weights.forward.backward import DecoderGradients
from cimsolve.weights.forward.forms import FORMS, form_of
from cimsolve.weights.inputs import demand_parts, in_turns, read_sequences, sequences_by_use, split_sequences
from cimsolve.weights.monarch import Monarch, apply
from cimsolve.weights.projection import structures_of_size
from cimsolve.weights.tensors import Floats32, Tensors

Listen = Callable[[str, int, int], None]
"""Told of progress: what runs, steps done and steps in all."""
Tell = Callable[[str], None]


@dataclass(frozen=True)
class Tested:
    """One way of storing the whole model, run in float32 on text that nothing was fitted to."""

    arrays: int
    answers: Accuracy
    by_text: Mapping[str, Accuracy]
    """On each text that some of was only tested."""


@dataclass(frozen=True)
class ChoiceFound:
    """What was chosen, and what it rests on."""

    model: Model
    hardware: Hardware
    loss: str
    """How losses were found."""
    menu: Menu
    losses: Losses
    chosen: Chosen
    front: Sequence[MappedChoice] = ()
    metrics: Mapping[str, float] | None = None
    """Of the checked mapping of what was chosen, where latency or energy are limited."""
    chosen_tested: Tested | None = None
    uniform_tested: Tested | None = None
    """Low rank nearest in the outputs, at one compression for all linears, of as many weights."""
    exact: Tested | None = None
    """The dense weights, on no arrays."""
    fitted_tokens: int = 0
    measured_tokens: int = 0
    tested_tokens: int = 0

    @property
    def kept(self) -> Kept:
        """What is kept and squeezed, and what one more array buys."""
        return kept(self.model, self.hardware, self.chosen.structures, self.losses)

    @property
    def stored_weights(self) -> int:
        """Weights that the chosen structures store."""
        of = self.chosen.structures
        return sum(of[each.name].stored_weights(each.n_in, each.n_out) for each in self.model.linears)


def choose_structures(
    folder: Path | str,
    hardware: Hardware | Path | str = "rram256",
    *,
    max_arrays: int | None = None,
    compression: float | None = None,
    max_latency_ns: float | None = None,
    max_energy_pj: float | None = None,
    text: Sequence[Path | str] = ("sample",),
    samples: int = CHOICE_SAMPLES_DEFAULT,
    loss_tokens: int = LOSS_TOKENS_DEFAULT,
    loss: str | None = None,
    losses: Path | str | None = None,
    front: Sequence[float] = (),
    out: Path | str | None = None,
    command: str = "",
    listen: Listen = lambda *_: None,
    tell: Tell = lambda _: None,
) -> ChoiceFound:
    """How to store each linear of a model so that its answers lose least on a number of arrays, with the bound.

    `folder` holds weights and tokenizer; a model by name alone will do where `losses` is a file that was written before
    and nothing is to be fitted. One of `max_arrays` and `compression` says how many arrays; with `max_latency_ns` or
    `max_energy_pj`, limits of a token on the checked mapping, both may be left out. `loss` is one of `names.LOSSES`,
    two-sided by default where it can be. `out` is the file of structures to write; their factors go beside it, as
    .safetensors. `front` are further compressions to choose at.
    Raises InputError for a model, text or losses that do not do, InfeasibleError for too few arrays.
    """
    asked = {"latency_ns": max_latency_ns, "energy_pj": max_energy_pj}
    limits = {name: limit for name, limit in asked.items() if limit is not None}
    budgets = [each for each in (max_arrays, compression) if each is not None]
    if len(budgets) > 1 or not (budgets or limits):
        raise InputError("budget: expected one of max_arrays and compression, or a limit of latency or energy")
    for name, value, least in (("max_arrays", max_arrays, 1), ("compression", compression, 1)):
        if value is not None and not least <= value < math.inf:
            raise InputError(f"{name} = {value}: expected a number from {least}")
    for name, limit in limits.items():
        if not 0 < limit < math.inf:
            raise InputError(f"max_{name} = {limit}: expected a number above 0")
    chip = hardware if isinstance(hardware, Hardware) else load_hardware(hardware)
    run, chooser, found = _prepared(folder, chip, text, samples, loss_tokens, loss, losses, listen, tell)
    if run is None and out is not None:
        raise InputError(f"{shown_name(str(folder))}: has no weights to make factors of; leave --out away")
    listen("choosing", 0, 1)
    arrays = max_arrays or chooser.arrays_for(compression or 1.0)
    metrics = None
    if limits:
        best = choose_within(chooser, arrays, limits, lambda done: listen("choices mapped", done, done))
        chosen, metrics = best.chosen, best.metrics
    else:
        chosen = chooser.choose(arrays)
    fronts = front_of(chooser, front, lambda done: listen("choosing the front", done, len(front)))
    answer = found(chosen, fronts, metrics)
    return answer if run is None else run.finished(answer, chooser, None if out is None else Path(out), command)


def choose_each(
    folder: Path | str,
    hardware: Hardware | Path | str,
    compressions: Sequence[float],
    text: Sequence[Path | str] = ("sample",),
    samples: int = CHOICE_SAMPLES_DEFAULT,
    tell: Tell = lambda _: None,
) -> Iterator[ChoiceFound]:
    """A choice at each compression, as of `choose_structures`; what they rest on is read and measured once."""
    chip = hardware if isinstance(hardware, Hardware) else load_hardware(hardware)
    run, chooser, found = _prepared(folder, chip, text, samples, LOSS_TOKENS_DEFAULT, None, None, lambda *_: None, tell)
    assert run is not None
    for compression in compressions:
        chosen = chooser.choose(chooser.arrays_for(compression))
        yield run.finished(found(chosen), chooser, None, "")


def _prepared(
    folder: Path | str,
    chip: Hardware,
    text: Sequence[Path | str],
    samples: int,
    loss_tokens: int,
    loss: str | None,
    losses: Path | str | None,
    listen: Listen,
    tell: Tell,
) -> tuple[_Run | None, Chooser, Callable[..., ChoiceFound]]:
    """Weights and texts, where there are weights; who chooses by what losses; and what becomes of a choice."""
    model = load_model(folder)
    menu = menu_of(model, chip)
    given = None if losses is None else read_structures(losses, model)
    place = Path(folder)
    if given is None and not place.is_dir():
        raise InputError(
            f"{shown_name(str(folder))}: expected a folder with weights and a tokenizer, from which losses are "
            "measured, or --losses FILE"
        )
    if loss is not None:
        demand_known("loss", loss, LOSSES)
    if given is not None:
        shown = shown_name(str(losses))
        demand_known(f"{shown}: loss", given.loss, LOSSES)
        if loss not in (None, given.loss):
            raise InputError(f"loss {loss}: {shown} has losses {given.loss}; leave one of them away")
        loss = given.loss
    run = _Run(model, place, text, samples, loss, loss_tokens, listen, tell) if place.is_dir() else None
    if given is not None:
        how, found = given.loss, losses_of(given, str(losses))
    else:
        assert run is not None
        how, found = run.loss, run.losses(menu)
    return run, Chooser(model, chip, menu, found), partial(ChoiceFound, model, chip, how, menu, found)


class _Run:
    """A model's weights and the three parts of its texts."""

    def __init__(
        self,
        model: Model,
        folder: Path,
        text: Sequence[Path | str],
        samples: int,
        loss: str | None,
        loss_tokens: int,
        listen: Listen,
        tell: Tell,
    ) -> None:
        self._model, self._listen = model, listen
        self._source: Tensors = open_weights(folder, model)
        self._reference: Reference = load_reference(model, self._source)
        read = [
            read_sequences([each], folder, self._source, self._reference.context, max(1, samples // len(text)))
            for each in text
        ]
        sequences = in_turns(read)
        demand_parts(sequences)
        self.fitted, measured, _ = sequences_by_use(sequences)
        self._of_text = {
            str(each): held for each, part in zip(text, read, strict=True) if (held := split_sequences(part)[1])
        }
        self.tested = [ids for part in self._of_text.values() for ids in part]
        tokens, width = sum(map(len, self.fitted)), max(linear.n_in for linear in model.linears)
        if tokens < width:
            tell(
                f"warning: factors are fitted to {tokens} tokens, fewer than the {width} inputs of the widest linear: "
                "what they do on other text is left to chance; give more --text or --samples"
            )
        squares = {(step.name, linear.n_in) for step in model.steps for linear in step.linears}
        demand_memory(
            8 * sum(width**2 for _, width in squares) + 32 * tokens * width,
            f"fitting {model.name} to {tokens} tokens",
            "use fewer --samples or a machine with more",
        )
        self.measured = _first(measured, loss_tokens)
        decoder = DecoderGradients(model, self._source, form_of(model)) if model.family in FORMS else None
        self.loss = loss or (TWO_SIDED if decoder is not None and decoder.is_known else ALONE)
        if self.loss == TWO_SIDED and (decoder is None or not decoder.is_known):
            raise InputError(f"--loss {TWO_SIDED}: gradients of {model.family} are not known; expected {ALONE}")
        listen(f"{model.name}: what its linears read", 0, 1)
        self._read = read_of(self._reference, self.fitted)
        self._felt: Mapping[str, Floats64] = {}
        if self.loss == TWO_SIDED and decoder is not None:
            listen(f"{model.name}: gradients at its linears", 0, 1)
            self._felt = gradients_of(decoder, self.measured)

    def losses(self, menu: Menu) -> Losses:
        """What each way of storing each linear loses."""
        what = f"{self._model.name}: losses of linears, {self.loss}"

        def listen(done: int) -> None:
            self._listen(what, done, len(menu))

        if self.loss == TWO_SIDED:
            return losses_two_sided(menu, self._whitened, listen)
        return losses_alone(self._reference, menu, self._whitened, self.measured, listen)

    def finished(self, found: ChoiceFound, chooser: Chooser, out: Path | None, command: str) -> ChoiceFound:
        """With the answers on the text that is only tested, beside those of uniform low rank; written where asked."""
        model, structures = self._model, found.chosen.structures
        exact = self._reference.run(self.tested)
        judge = Judge(self._reference, self.tested, exact)
        ends = np.cumsum([sum(map(len, sequences)) for sequences in self._of_text.values()])[:-1]
        judges = {
            text: Judge(self._reference, sequences, part)
            for (text, sequences), part in zip(self._of_text.items(), np.split(exact, ends), strict=True)
        }

        def by_text(hidden: Floats32) -> dict[str, Accuracy]:
            return {text: of(part) for (text, of), part in zip(judges.items(), np.split(hidden, ends), strict=True)}

        uniform = structures_of_size(model.linears, (1, 1), model.weight_count / found.stored_weights)
        tested = []
        factors = self._fitted(structures)

        def plain(name: str) -> Monarch:
            return Whitened(self._weight_in_range(name), self._read[name]).factors(uniform[name])

        for what, each, fitted in (("chosen", structures, factors), ("uniform", uniform, plain)):
            self._listen(f"{model.name}: {what} structures tested", 0, 1)
            hidden = self._reference.run(self.tested, partial(self._product, each, fitted))
            arrays = found.chosen.arrays if what == "chosen" else chooser.placed(each).packing.arrays
            tested.append(Tested(arrays, judge(hidden), by_text(hidden)))
        if out is not None:
            self._write(found, factors, out, command)
        return ChoiceFound(
            **{
                **vars(found),
                "chosen_tested": tested[0],
                "uniform_tested": tested[1],
                "exact": Tested(0, judge(exact), by_text(exact)),
                "fitted_tokens": sum(map(len, self.fitted)),
                "measured_tokens": sum(map(len, self.measured)),
                "tested_tokens": sum(map(len, self.tested)),
            }
        )

    def _fitted(self, structures: Mapping[str, Structure]) -> Callable[[str], Monarch]:
        """The factors of a linear, fitted one after the other; not of experts, which read other tokens when stored."""
        if any(step.experts is not None for step in self._model.steps):
            return cache(lambda name: self._whitened(name).factors(structures[name]))
        layers = self._reference.layers
        what = f"{self._model.name}: layers fitted"
        return refitted(
            *(self._reference, self.fitted, structures, self._weight_in_range, self._felt),
            lambda done: self._listen(what, done, layers),
        ).__getitem__

    def _write(self, found: ChoiceFound, factors: Callable[[str], Monarch], out: Path, command: str) -> None:
        """The factors, and then the structures: who finds the latter finds both."""
        model, structures = self._model, found.chosen.structures
        shapes = [(each.name, each.n_in, each.n_out) for each in model.linears]
        told = {"model": model.name, "method": "chosen", "seed": "0"}
        with write_factors(out.with_suffix(".safetensors"), shapes, structures, told) as put:
            for done, (name, _, _) in enumerate(shapes, 1):
                dense = structures[name].is_dense
                put(name, self._weight(name) if dense else factors(name))
                self._listen(f"{model.name}: factors", done, len(shapes))
        linears = {
            name: ChosenLinear(
                n_in=n_in,
                n_out=n_out,
                structure=str(structures[name]),
                losses={str(each): loss for each, loss in found.losses[name].items()},
            )
            for name, n_in, n_out in shapes
        }
        file = StructureFile(model=model.name, loss=found.loss, command=command, linears=linears)
        write_json_atomically(out, file.model_dump())

    def _product(
        self, structures: Mapping[str, Structure], fitted: Callable[[str], Monarch], name: str, inputs: Floats32
    ) -> Floats32:
        if structures[name].is_dense:
            return self._reference.exact(name, inputs)
        return apply(fitted(name), inputs).astype(np.float32)

    def _whitened(self, name: str) -> Whitened:
        return Whitened(self._weight_in_range(name), self._read[name], self._felt.get(name))

    def _weight_in_range(self, name: str) -> Floats32:
        """The weight of a linear; raises InputError where its outputs may be too large to be fitted."""
        weight = self._weight(name)
        demand_in_range(weight, np.sqrt(np.diag(self._read[name]))[None], name)
        return weight

    def _weight(self, name: str) -> Floats32:
        linear = self._reference.linears[name]
        return linear_weight(self._source, linear.tensor, linear.n_in, linear.n_out)


def _first(sequences: Sequence[Ints], tokens: int) -> list[Ints]:
    """The first sequences, of about so many tokens together and at least one."""
    ends = np.cumsum([len(ids) for ids in sequences])
    return list(sequences[: int(np.searchsorted(ends, tokens)) + 1])
