"""The steps of training: which text, how fast, when to look at other text and when to stop.

All that a step depends on follows from the question, the number of the step and the state, which a checkpoint holds.
"""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import torch

from cimsolve.columns import Ints
from cimsolve.errors import FailedError
from cimsolve.study.finetune.checkpoint import Checkpoint, Look, TrainingState
from cimsolve.study.finetune.pair import Pair
from cimsolve.study.finetune.question import FinetuneQuestion
from cimsolve.study.interrupts import interrupts_held
from cimsolve.weights.tensors import Floats32

LOOKS, PATIENCE = 20, 5
"""Looks at held-out text in all, and those without a gain after which no more is hoped for."""
WARM_STEPS, WARM_SHARE, COLD = 10, 0.03, 0.03
"""Steps until the highest rate, of each of the two losses: so many, or that share of all if those are more.

And the share of that rate at the end.
"""
BESIDE_RATE = 0.3
"""Rate of norms and biases beside that of factors."""
NORM_MAX = 1.0
"""Gradients are cut to this length."""
KEPT_S, KEPT_TIMES = 60.0, 20
"""Seconds between two checkpoints at least, and times as many as one takes to be written."""
PARTS = ("now", "best", "first", "second")
"""What a checkpoint has of each tensor that moves: itself, as it did best, and its moments."""


class Training:
    """A pair on its way, from its beginning or from where the checkpoint stands."""

    def __init__(
        self,
        pair: Pair,
        fit: Sequence[Ints],
        stop: Sequence[Ints],
        asked: FinetuneQuestion,
        digest: str,
        kept: Checkpoint,
    ) -> None:
        self._pair, self._fit, self._asked, self._kept = pair, fit, asked, kept
        ends = np.cumsum([len(ids) for ids in stop])
        grouped = itertools.groupby(zip(ends // asked.batch, stop, strict=True), key=lambda each: each[0])
        self._stop = [[ids for _, ids in some] for _, some in grouped]
        self._exact: list[Any] | None = None
        """What the teacher says of these, found once."""
        self._moving = {**pair.factors, **pair.beside}
        self._moments = {name: [torch.zeros_like(each) for _ in range(2)] for name, each in self._moving.items()}
        self._best = {name: each.detach().clone() for name, each in self._moving.items()}
        self.at = TrainingState(digest=digest)
        found = kept.read(
            digest, {f"{part}/{name}": tuple(each.shape) for name, each in self._moving.items() for part in PARTS}
        )
        if found is not None:
            self.at = found[0]
            for name, held in self._held().items():
                held.detach().copy_(torch.from_numpy(found[1][name]))
        self._whole_from = math.ceil(asked.layerwise * asked.steps)
        """The first step that trains the whole model."""
        self._optimiser = self._made_optimiser()
        self._steps_before, self._tokens_before = self.at.step, self.at.tokens
        self._order = lru_cache(maxsize=1)(
            lambda time_through: np.random.default_rng((asked.seed, time_through)).permutation(len(fit))
        )
        self.seconds = 0.0
        """Of the steps that were made here."""

    @property
    def tokens_per_s(self) -> float:
        """Tokens learnt from in a second of the steps that were made here."""
        return (self.at.tokens - self._tokens_before) / self.seconds if self.seconds else 0.0

    def run(self, tell: Callable[[str], None]) -> None:
        """All steps that are left; the pair has then the state whose answers were nearest on held-out text.

        An interruption leaves a checkpoint. Raises FailedError where the loss is no number.
        """
        self.keep()  # a place that cannot be written is told before hours are spent
        kept = began = time.monotonic()
        wait_s = KEPT_S
        try:
            while not self.at.looks or (self.at.step < self._asked.steps and self._is_hoped()):
                with interrupts_held():
                    if self.at.looks:
                        self._step()
                    if self.at.step % -(-self._asked.steps // LOOKS) == 0 or self.at.step == self._asked.steps:
                        self._look()
                self.seconds = time.monotonic() - began
                tell(self._told())
                if (now := time.monotonic()) - kept > wait_s:
                    self.keep()
                    kept = time.monotonic()
                    wait_s = max(KEPT_S, KEPT_TIMES * (kept - now))
        except KeyboardInterrupt:
            self.keep()
            raise
        except FailedError:
            self._kept.remove()  # from there it would fail again
            raise
        with torch.no_grad():
            for name, each in self._moving.items():
                each.copy_(self._best[name])

    def keep(self) -> None:
        """Write the checkpoint."""
        self._kept.write(self.at, {name: _numbers(each) for name, each in self._held().items()})

    def _step(self) -> None:
        asked, at = self._asked, self.at
        if at.step == self._whole_from:
            # Another loss has gradients of another size, which the moments of the last would make steps too long of.
            for each in itertools.chain.from_iterable(self._moments.values()):
                each.zero_()
            self._optimiser = self._made_optimiser()
        for group in self._optimiser.param_groups:
            group["lr"] = group["highest"] * rate_at(at.step, at.step - self._stage_from(), asked.steps)
        sequences = self._batch()
        is_whole = at.step >= self._whole_from
        loss = self._pair.whole_loss(sequences) if is_whole else self._pair.layerwise_loss(sequences)
        self._optimiser.zero_grad()
        loss.backward()
        shown = float(loss.detach())
        torch.nn.utils.clip_grad_norm_(self._moving.values(), NORM_MAX)
        self._optimiser.step()
        self._demand_number(shown, "its text")
        at.losses.append(shown)
        at.step += 1
        at.tokens += sum(map(len, sequences))

    def _batch(self) -> list[Ints]:
        """The next sequences, in an order drawn anew for each time through the text."""
        found: list[Ints] = []
        while sum(map(len, found)) < self._asked.batch:
            time_through, place = divmod(self.at.sequences, len(self._fit))
            found.append(self._fit[self._order(time_through)[place]])
            self.at.sequences += 1
        return found

    def _look(self) -> None:
        at = self.at
        if self._exact is None:
            self._exact = self._pair.exact_states(self._stop)
        held_out = self._pair.answer_loss(self._stop, self._exact)
        self._demand_number(held_out, "held-out text")
        at.looks.append(Look(step=at.step, loss=float(np.mean(at.losses)) if at.losses else None, held_out=held_out))
        at.losses = []
        if at.best is at.looks[-1]:
            self._best = {name: each.detach().clone() for name, each in self._moving.items()}

    def _demand_number(self, loss: float, text: str) -> None:
        if not math.isfinite(loss):
            raise FailedError(
                f"{self._asked.out}: the loss at step {self.at.step} is {loss} on {text}, and nothing is written; use "
                f"a smaller rate than {self._asked.rate:g}, or factors that lose less"
            )

    def _is_hoped(self) -> bool:
        return hopes(self.at.looks, max(self._whole_from, self._asked.steps // 2))

    def _held(self) -> dict[str, Any]:
        """All tensors of a checkpoint, by its names."""
        found: dict[str, Any] = {}
        for name, each in self._moving.items():
            held = (each, self._best[name], *self._moments[name])
            found |= {f"{part}/{name}": tensor for part, tensor in zip(PARTS, held, strict=True)}
        return found

    def _stage_from(self) -> int:
        """The first step of the loss that is trained now."""
        return self._whole_from if self.at.step >= self._whole_from else 0

    def _made_optimiser(self) -> Any:
        groups = ((self._pair.factors, 1.0), (self._pair.beside, BESIDE_RATE))
        made = torch.optim.AdamW(
            [
                {"params": list(tensors.values()), "highest": self._asked.rate * share}
                for tensors, share in groups
                if tensors
            ],
            weight_decay=0.0,
            fused=True,
        )
        for name, each in self._moving.items():
            first, second = self._moments[name]
            made_steps = torch.tensor(float(self.at.step - self._stage_from()))
            made.state[each] = {"step": made_steps, "exp_avg": first, "exp_avg_sq": second}
        return made

    def _told(self) -> str:
        at, asked = self.at, self._asked
        stage = "layer by layer" if at.step <= self._whole_from else "end to end"
        told = [f"step {at.step} of {asked.steps}, {stage}"]
        if at.losses:
            told.append(f"loss {at.losses[-1]:.4f}")
        told.append(f"held out {at.looks[-1].held_out:.4f}")
        if made := at.step - self._steps_before:
            left_s = (asked.steps - at.step) * self.seconds / made
            told += [f"{self.tokens_per_s:.0f} tokens/s", f"{left_s / 60:.0f} min left"]
        return ", ".join(told)


def rate_at(step: int, since: int, steps: int) -> float:
    """The share of the highest rate: half a cosine down to `COLD`, with a short rise `since` the loss is this one."""
    fallen = COLD + (1 - COLD) * (1 + math.cos(math.pi * step / steps)) / 2
    return fallen * min(1.0, (since + 1) / max(WARM_STEPS, WARM_SHARE * steps))


def hopes(looks: Sequence[Look], since: int) -> bool:
    """Whether fewer than `PATIENCE` looks in a row have been no nearer than one before them, from step `since` on.

    Looks before it do not count: where the rate is high answers go astray, to come nearer as it falls.
    """
    late = [look.held_out for look in looks if look.step >= since]
    return not late or len(late) - 1 - late.index(min(late)) < PATIENCE


def _numbers(tensor: Any) -> Floats32:
    found: Floats32 = tensor.detach().cpu().numpy()
    return found
