"""A model with its dense weights, and the same with factors, on torch: what one learns of the other.

Both are the project's own forward pass (`weights.forward`), whose numpy arrays are torch's tensors here. Factors, norms
and biases of the student may move; embeddings, the head and linears that are stored dense stay.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, TypeAlias, cast

import torch

from cimsolve.chip.spec import Hardware
from cimsolve.columns import Floats, Ints
from cimsolve.errors import InputError
from cimsolve.model.model import Model
from cimsolve.study.finetune.rounding import Rounding
from cimsolve.weights.factor_file import FactorFile, Stored
from cimsolve.weights.folder import linear_weight
from cimsolve.weights.forward import load_reference
from cimsolve.weights.forward.bert import BertReference
from cimsolve.weights.forward.forms import form_of
from cimsolve.weights.forward.torch_array import TorchArray
from cimsolve.weights.forward.writer import Writer
from cimsolve.weights.monarch import Monarch, apply
from cimsolve.weights.tensors import Floats32, Replaced, Tensors

ANSWER_SHARE = 4.0
"""What the distance of answers counts beside that of hidden states."""
LOGIT_TOKENS = 128
"""Tokens whose logits are in memory at a time, with all that their divergence takes."""

Pass: TypeAlias = tuple[Any, Callable[[str, Any], Any]]
"""A reference whose arrays are torch's, and the product of its linears."""


class Pair:
    """Teacher and student. Losses are tensors of one number; text is sequences of token numbers."""

    def __init__(
        self, model: Model, source: Tensors, factors: FactorFile, device: str, hardware: Hardware | None = None
    ) -> None:
        """With `hardware` the student's weights and inputs are rounded as its arrays round them."""
        self._rounding = Rounding(hardware)
        self._model, self._source, self._device = model, source, device
        self._has_units = device != "cpu" or torch.cpu._is_amx_tile_supported()
        self._tables: dict[str, Any] = {}
        own = factors.over(source)
        self._beside: dict[str, Any] = {}
        teacher = load_reference(model, Replaced(source, lambda name: TorchArray(self._table(source, name))))
        student = load_reference(model, Replaced(own, lambda name: TorchArray(self._own(own, name))))
        # What stays is kept as products read it, rather than made so each time.
        self._dense = {
            linear.name: self._multiplied(self._placed(linear_weight(source, linear.tensor, linear.n_in, linear.n_out)))
            for linear in model.linears
        }
        self._operands = factors.operands
        self._parts: dict[str, list[Any]] = {}
        for name, stored in self._operands.items():
            if isinstance(stored, Monarch):
                self._parts[name] = [self._placed(each).requires_grad_() for each in (stored.R, stored.L)]
            else:
                self._parts[name] = [self._multiplied(self._rounding.weights(self._placed(stored)))]
        self._teacher: Pass = teacher, self._multiply_dense
        self._student: Pass = student, self._multiply_stored
        self._embeds = isinstance(student, BertReference)
        heads: dict[str, Any] = {}

        def head(name: str) -> TorchArray:
            if name not in heads:
                heads[name] = self._multiplied(self._table(source, name))
            return TorchArray(heads[name])

        self._head = None if self._embeds else load_reference(model, Replaced(source, head))
        """Asked for logits alone."""

    @property
    def factors(self) -> Mapping[str, Any]:
        """The tensors of factors that may move, by linear and factor."""
        factored = {name: parts for name, parts in self._parts.items() if len(parts) == 2}
        return {
            f"{name}.{which}": part for name, parts in factored.items() for which, part in zip("RL", parts, strict=True)
        }

    @property
    def beside(self) -> Mapping[str, Any]:
        """The norms and biases that may move, by their names in the model's file."""
        return self._beside

    def stored(self, name: str) -> Stored:
        """A linear of the student as it is now."""
        parts = self._parts[name]
        return self._operands[name] if len(parts) == 1 else Monarch(*(each.detach().cpu().numpy() for each in parts))

    def beside_now(self) -> Mapping[str, Floats]:
        return {name: each.detach().cpu().numpy() for name, each in self._beside.items()}

    def write(self, firsts: Ints, length: int, draw: Callable[[Floats32], Ints]) -> list[Ints]:
        """What the teacher writes, as of `Writer.write`. Raises InputError for an encoder."""
        if self._embeds:
            raise InputError(f"{self._model.name}: {self._model.family} writes no text; give --text alone")
        source = Replaced(self._source, lambda name: TorchArray(self._table(self._source, name)))
        writer = Writer(self._model, source, form_of(self._model))
        with torch.no_grad(), self._precision():
            return writer.write(
                firsts,
                length,
                lambda logits: draw(cast(Any, logits).tensor.float().cpu().numpy()),
                self._multiply_dense,
            )

    def layerwise_loss(self, sequences: Sequence[Ints]) -> Any:
        """Each layer by itself: it reads what the teacher's reads, and is to say what the teacher's says."""
        reference, product = self._student
        with self._precision():
            exact = self._states(self._teacher, sequences, learns=False)
            total: Any = 0
            for layer, (before, after) in enumerate(itertools.pairwise(exact)):
                states = reference.states(sequences, product, layer, TorchArray(before))
                next(states)
                total = total + distance(next(states).tensor, after)
        return total / reference.layers

    def whole_loss(self, sequences: Sequence[Ints]) -> Any:
        """The whole model: the mean distance of hidden states, and that of the answers."""
        with self._precision():
            exact, ours = (
                self._states(each, sequences, learns=each is self._student) for each in (self._teacher, self._student)
            )
            pairs = list(zip(ours[1:], exact[1:], strict=True))
            apart = sum(distance(*each) for each in pairs) / len(pairs)
            return apart + ANSWER_SHARE * self._answer_distance(sequences, *pairs[-1])

    def exact_states(self, batches: Sequence[Sequence[Ints]]) -> list[Any]:
        """What the teacher's last layer says of each batch of sequences."""
        with torch.no_grad(), self._precision():
            return [self._states(self._teacher, some, learns=False)[-1] for some in batches]

    def answer_loss(self, batches: Sequence[Sequence[Ints]], exact: Sequence[Any]) -> float:
        """How far answers are apart in the mean, with the `exact_states` of these batches.

        1 - cosine of embeddings, or the divergence of the teacher's next tokens.
        """
        total, count = 0.0, 0
        for some, theirs in zip(batches, exact, strict=True):
            with torch.no_grad(), self._precision():
                ours = self._states(self._student, some, learns=False)[-1]
                share = len(some) if self._embeds else sum(map(len, some))
                total, count = total + share * float(self._answer_distance(some, ours, theirs)), count + share
        return total / count

    def _answer_distance(self, sequences: Sequence[Ints], ours: Any, exact: Any) -> Any:
        found = []
        for (reference, _), hidden in ((self._student, ours), (self._teacher, exact)):
            ended = reference.run(sequences, first=reference.layers, hidden=TorchArray(hidden))
            found.append((reference.embed(ended, sequences) if self._embeds else ended).tensor)
        ours, exact = found
        return 1 - (ours * exact).sum(1).mean() if self._embeds else divergence(ours, exact, self._logits)

    def _logits(self, ended: Any) -> Any:
        return cast(Any, self._head).logits_of(TorchArray(ended)).tensor

    def _states(self, which: Pass, sequences: Sequence[Ints], learns: bool) -> list[Any]:
        reference, product = which
        with torch.set_grad_enabled(learns):
            return [each.tensor for each in reference.states(sequences, product)]

    def _multiply_dense(self, name: str, inputs: Any) -> Any:
        return inputs @ TorchArray(self._dense[name])

    def _multiply_stored(self, name: str, inputs: Any) -> Any:
        def rounded(vectors: Any) -> Any:
            return TorchArray(self._rounding.inputs(vectors.tensor))

        parts, read = self._parts[name], rounded(inputs)
        if len(parts) == 1:
            return read @ TorchArray(parts[0])
        factors: list[Any] = [TorchArray(self._rounding.weights(each)) for each in parts]
        return apply(Monarch(*factors), read, rounded)

    def _precision(self) -> AbstractContextManager[Any]:
        """Products in bfloat16 with float32 sums where the device has units for them; all else is float32."""
        return torch.autocast(self._device, torch.bfloat16) if self._has_units else nullcontext()

    def _multiplied(self, numbers: Any) -> Any:
        """Numbers that only products read, in their precision."""
        return numbers.bfloat16() if self._has_units else numbers

    def _table(self, source: Tensors, name: str) -> Any:
        if name not in self._tables:
            self._tables[name] = self._placed(source.tensor(name))
        return self._tables[name]

    def _own(self, source: Tensors, name: str) -> Any:
        """A norm or bias of the student's own, or a table that both have."""
        if len(source.shape(name)) > 1:
            return self._table(source, name)
        if name not in self._beside:
            self._beside[name] = self._placed(source.tensor(name)).requires_grad_()
        return self._beside[name]

    def _placed(self, numbers: Floats) -> Any:
        return torch.tensor(numbers, dtype=torch.float32, device=self._device)


def distance(ours: Any, theirs: Any) -> Any:
    """Mean over tokens of `|ours - theirs|^2 / |theirs|^2`: a token of huge states counts as any other."""
    return (((ours - theirs) ** 2).sum(1) / (theirs**2).sum(1)).mean()


def divergence(ours: Any, exact: Any, logits: Callable[[Any], Any]) -> Any:
    """Mean over tokens of sum of p (ln p - ln q), p by the logits of states `exact` and q by those of `ours`.

    Slopes at `ours` are found with it, for some tokens at a time: logits of all would take more memory than all else.
    """
    return _Divergence.apply(ours, exact, logits)


class _Divergence(torch.autograd.Function):  # type: ignore[misc]
    @staticmethod
    def forward(ctx: Any, ours: Any, exact: Any, logits: Callable[[Any], Any]) -> Any:
        learns = ctx.needs_input_grad[0]
        total, slopes = 0.0, []
        for mine, theirs in zip(ours.split(LOGIT_TOKENS), exact.split(LOGIT_TOKENS), strict=True):
            mine = mine.detach().requires_grad_(learns)
            with torch.set_grad_enabled(learns):
                found = logits(mine)
            ln_q, ln_p = (torch.log_softmax(each.detach().float(), dim=1) for each in (found, logits(theirs)))
            p = ln_p.exp()
            total = total + (ln_p.sub_(ln_q).mul_(p)).sum()
            if learns:
                slopes += torch.autograd.grad(found, mine, ln_q.exp_().sub_(p).to(found.dtype))
        if learns:
            ctx.save_for_backward(torch.cat(slopes) / len(ours))
        return total / len(ours)

    @staticmethod
    def backward(ctx: Any, *upper: Any) -> Any:
        return ctx.saved_tensors[0] * upper[0], None, None
