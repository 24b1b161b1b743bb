"""From a folder of weights, factors and texts to tuned factors, and what they do on text that was held out."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from cimsolve.chip.read import load_hardware
from cimsolve.chip.spec import Hardware
from cimsolve.columns import Ints
from cimsolve.errors import InputError
from cimsolve.files.memory import demand_memory
from cimsolve.model.load import load_model
from cimsolve.model.model import Model
from cimsolve.study.accuracy.answers import Judge
from cimsolve.study.finetune.checkpoint import Checkpoint
from cimsolve.study.finetune.question import FinetuneFound, FinetuneQuestion, Kind, Listen
from cimsolve.study.finetune.writing import WrittenText, written_by
from cimsolve.study.sweep.point import digest_of
from cimsolve.weights.factor_file import FactorFile, write_factors
from cimsolve.weights.folder import open_weights, stamps_of
from cimsolve.weights.forward import Reference, load_reference
from cimsolve.weights.forward.bert import BertReference
from cimsolve.weights.forward.tokens import PIECE_TOKENS
from cimsolve.weights.inputs import read_sequences, sequences_by_use
from cimsolve.weights.monarch import Monarch, apply
from cimsolve.weights.project import read_factors
from cimsolve.weights.tensors import Floats32, Tensors

SELF = "written by itself"
"""What the text is called that the model writes."""
STOP_TEXTS = 4
"""Looks while training read about as much as is tested of so many texts, however many there are."""


def finetune_factors(
    folder: Path | str,
    factors: Path | str,
    out: Path | str,
    *,
    hardware: Hardware | Path | str | None = None,
    listen: Listen = lambda _: None,
    **question: Any,
) -> FinetuneFound:
    """Tune the factors of a real model so that its answers come near those of its dense weights; write them to `out`.

    `folder` holds weights and tokenizer, `factors` is a file of `project` or `choose`; with `hardware` weights and
    inputs are rounded meanwhile as its arrays round them; `question` are the other fields of `FinetuneQuestion`. Where
    a call was interrupted, the same one goes on from there. Raises InputError for what does not do, torch missing
    among it, and FailedError where the loss is no number.
    """
    chip = load_hardware(hardware) if isinstance(hardware, Path | str) else hardware
    asked = FinetuneQuestion(folder=Path(folder), factors=Path(factors), out=Path(out), hardware=chip, **question)
    return finetune(asked, listen)


def finetune(asked: FinetuneQuestion, listen: Listen = lambda _: None) -> FinetuneFound:
    """What `finetune_factors` does."""
    torch = demand_torch(asked.device)
    from cimsolve.study.finetune.pair import LOGIT_TOKENS, Pair
    from cimsolve.study.finetune.training import Training

    model = load_model(asked.folder)
    source = open_weights(asked.folder, model)
    factors = read_factors(asked.factors, model)
    if all(each.is_dense for each in factors.structures.values()):
        raise InputError(f"{factors.path}: all linears are dense, and nothing is to be tuned; choose or project some")
    reference = load_reference(model, source)
    text = _Texts(asked, source, reference)
    stored = sum(each.stored_weights(*factors.shapes[name]) for name, each in factors.structures.items())
    _demand_memory(asked, model, stored, reference, LOGIT_TOKENS)
    listen(f"{model.name}: reading weights and factors")
    kept, written = Checkpoint(asked.out), WrittenText(asked.out)
    torch.set_num_threads(asked.threads)
    pair = Pair(model, source, factors, asked.device, asked.hardware)
    digest = _digest(asked, model, text)
    if asked.self_text:
        sequences = written.read(digest)
        if sequences is None:
            length = min(PIECE_TOKENS, reference.context)
            sequences = written_by(
                *(pair.write, text.fit, asked.self_text, length, asked.seed),
                lambda done: listen(f"{model.name}: {done} of {asked.self_text} tokens {SELF}"),
            )
            written.write(digest, sequences)
        text.add(SELF, sequences)
    training = Training(pair, text.fit, text.stop, asked, digest, kept)
    training.run(lambda told: listen(f"{model.name}, {told}"))
    training.keep()  # whoever is killed from here on finds all steps made
    shapes = [(linear.name, linear.n_in, linear.n_out) for linear in model.linears]
    told = {"model": model.name, "method": "finetuned", "seed": str(asked.seed)}
    with write_factors(asked.out, shapes, factors.structures, told, pair.beside_now()) as put:
        for name, _, _ in shapes:
            put(name, pair.stored(name))
    kinds = []
    for number, (name, tuned_on, sequences) in enumerate(text.tested, 1):
        listen(f"{model.name}: tested on text {number} of {len(text.tested)}")
        exact = reference.run(sequences)
        judge = Judge(reference, sequences, exact)
        before, after = (judge(_run(model, source, FactorFile(path), sequences)) for path in (asked.factors, asked.out))
        kinds.append(Kind(name, tuned_on, len(exact), judge(exact), before, after))
    kept.remove()
    written.remove()
    at = training.at
    return FinetuneFound(
        model=model.name,
        weights=model.weight_count,
        stored_weights=stored,
        kinds=kinds,
        steps=at.step,
        best_step=at.best.step,
        tokens=at.tokens,
        distinct_tokens=sum(map(len, text.fit)),
        tokens_per_s=training.tokens_per_s,
        looks=at.looks,
    )


def demand_torch(device: str) -> Any:
    """Torch itself. Raises InputError where it is missing, or has no such device."""
    try:
        torch: Any = import_module("torch")
    except ImportError:
        raise InputError("finetune needs torch: pip install 'cimsolve[train]'") from None
    if device != "cpu" and not torch.cuda.is_available():
        raise InputError(f"device {device}: torch finds none on this machine; leave it away to train on the CPU")
    return torch


class _Texts:
    """Sequences by their use. As much is read of each text."""

    def __init__(self, asked: FinetuneQuestion, source: Tensors, reference: Reference) -> None:
        self.fit: list[Ints] = []
        self.stop: list[Ints] = []
        self.tested: list[tuple[str, bool, list[Ints]]] = []
        """Name, whether other paragraphs of it are learnt from, and what is tested."""
        self._asked = asked

        def read(text: Path | str, most: int) -> list[Ints]:
            return read_sequences([text], asked.folder, source, reference.context, max(1, most))

        for text in asked.text:
            self.add(str(text), read(text, asked.samples // len(asked.text)))
        self.tested += [(str(text), False, read(text, asked.test_tokens)) for text in asked.test_text]

    def add(self, name: str, sequences: list[Ints]) -> None:
        """A text that is learnt from. Raises InputError where none of it would be held out."""
        fit, stop, held = sequences_by_use(sequences)
        if not held:
            raise InputError(f"{name}: {len(sequences)} paragraphs; expected 5 or more, of which some are held out")
        self.fit += fit
        tokens, of = self._asked.test_tokens, len(self._asked.text)
        self.stop += _first(stop, tokens * min(of, STOP_TEXTS) // of)
        self.tested.append((name, True, _first(held, tokens)))


def _first(sequences: list[Ints], tokens: int) -> list[Ints]:
    """The first sequences, of about so many tokens, and at least one."""
    ends = np.cumsum([len(ids) for ids in sequences])
    return sequences[: int(np.searchsorted(ends, tokens)) + 1]


def _run(model: Model, source: Tensors, factors: FactorFile, sequences: Sequence[Ints]) -> Floats32:
    """Hidden states with these factors, by the reference pass in numpy."""
    operands = factors.operands

    def multiply(name: str, inputs: Floats32) -> Floats32:
        stored = operands[name]
        made = apply(stored, inputs) if isinstance(stored, Monarch) else inputs @ stored
        return made.astype(np.float32, copy=False)

    return load_reference(model, factors.over(source)).run(sequences, multiply)


def _demand_memory(asked: FinetuneQuestion, model: Model, stored: int, reference: Reference, logit_tokens: int) -> None:
    """Weights of both, gradients, moments and the best so far; states of a step's tokens, and the logits of some."""
    tables = 0 if isinstance(reference, BertReference) else reference.vocabulary
    widest = sum(linear.n_in + 2 * linear.n_out for linear in model.linears)
    of_tokens = 2 * widest * asked.batch + 8 * tables * min(asked.batch, logit_tokens)
    demand_memory(
        4 * (model.weight_count + 6 * stored + tables * reference.width + of_tokens),
        f"tuning {model.name}, {asked.batch} tokens a step",
        "use a smaller batch or a machine with more",
    )


def _digest(asked: FinetuneQuestion, model: Model, text: _Texts) -> str:
    """Of all that the tuned factors rest on."""
    with open(asked.factors, "rb") as stream:
        factors = hashlib.file_digest(stream, "sha256").hexdigest()
    words = hashlib.sha256()
    for ids in (*text.fit, np.array([-1]), *text.stop):
        words.update(ids.tobytes() + b"/")
    return digest_of(
        {
            "model": dict(model.config),
            "weights": stamps_of(asked.folder),
            "factors": factors,
            "hw": None if asked.hardware is None else asked.hardware.to_json(),
            "torch": str(import_module("torch").__version__),
            "text": words.hexdigest(),
            **{
                name: getattr(asked, name)
                for name in ("steps", "batch", "layerwise", "rate", "seed", "device", "threads", "self_text")
            },
        }
    )
