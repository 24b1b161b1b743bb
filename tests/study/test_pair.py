"""How far the answers of teacher and student are apart."""

from __future__ import annotations

from typing import Any

import pytest

torch: Any = pytest.importorskip("torch")
from cimsolve.study.finetune.pair import LOGIT_TOKENS, divergence  # noqa: E402


def test_the_divergence_found_in_parts_is_that_of_the_whole_and_so_are_its_slopes() -> None:
    torch.manual_seed(0)
    tokens = 2 * LOGIT_TOKENS + 3
    head, exact = torch.randn(7, 11), torch.randn(tokens, 7)
    ours = torch.randn(tokens, 7, requires_grad=True)

    def logits(states: Any) -> Any:
        return torch.tanh(states @ head)

    ln_q, ln_p = (torch.log_softmax(logits(each), 1) for each in (ours, exact))
    expected = (ln_p.exp() * (ln_p - ln_q)).sum(1).mean()
    (slopes,) = torch.autograd.grad(3 * expected, ours)
    found = divergence(ours, exact, logits)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(torch.autograd.grad(3 * found, ours)[0], slopes)
    with torch.no_grad():
        torch.testing.assert_close(divergence(ours, exact, logits), expected)
