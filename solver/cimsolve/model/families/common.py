"""What the families share: checked configs, a step recorder and the usual digital operations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from cimsolve.errors import InputError
from cimsolve.files.json_file import first_problem
from cimsolve.model.model import Linear, Model, Operation, Step, TensorRef

TOKENS_DEFAULT_MAX = 512
TOKENS_MAX = 2**24

Width = Annotated[int, Field(strict=True, ge=1, le=2**20)]
Count = Annotated[int, Field(strict=True, ge=1, le=4096)]


class Config(BaseModel):
    """The keys of a config.json that a family needs; the many others of such files are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore")


ConfigT = TypeVar("ConfigT", bound=Config)


def read_config(kind: type[ConfigT], config: Mapping[str, Any], origin: str) -> ConfigT:
    """Validate `config`; raises InputError with one line on the first key that is wrong."""
    try:
        return kind.model_validate(config)
    except ValidationError as error:
        raise InputError(first_problem(error, origin)) from None


def check_heads(origin: str, width: int, heads: int, key: str, width_key: str = "hidden_size") -> int:
    """Width of one attention head; raises InputError where the heads do not divide the width."""
    if width % heads:
        raise InputError(f"{origin}: {key}: {heads} does not divide {width_key} = {width}; expected a divisor of it")
    return width // heads


def context_tokens(origin: str, tokens: int | None, context: int) -> int:
    """The number of tokens asked for, or the model's context up to 512."""
    if tokens is None:
        return min(context, TOKENS_DEFAULT_MAX)
    if not 1 <= tokens <= TOKENS_MAX:
        raise InputError(f"--tokens: {tokens}: expected a whole number from 1 to {TOKENS_MAX}")
    if tokens > context:
        raise InputError(f"--tokens: {tokens} is more than the model's context of {context} ({origin})")
    return tokens


def torch_linear(name: str, n_in: int, n_out: int) -> Linear:
    """A `torch.nn.Linear`, which stores its weight as (out, in)."""
    return Linear(name, n_in, n_out, TensorRef(f"{name}.weight", "out_in"))


def normalise_sum(width: int) -> tuple[Operation, ...]:
    """A residual addition and the normalisation after it."""
    return (Operation("add", width), Operation("layer_norm", width))


def attention(heads: int, head_width: int, tokens: int) -> tuple[Operation, ...]:
    """Scores and weighted values of one token over `tokens` cached ones."""
    return (
        Operation("attention_mac", 2 * heads * head_width * tokens),
        Operation("softmax", heads * tokens),
    )


class Recorder:
    """Collects steps in dataflow order and counts the phases."""

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self.phase = 0
        self.layer = 0
        self.pass_name = "token"

    def barrier(self) -> None:
        """All tokens must have come this far before the next step: an attention, or another pass."""
        self.phase += 1

    def step(
        self,
        name: str,
        linears: Sequence[Linear],
        reads: Sequence[int],
        operations: Sequence[Operation] = (),
    ) -> int:
        """Record a step of linears with one input; returns its number, by which later steps name it in `reads`."""
        number = len(self.steps)
        self.steps.append(
            Step(name, self.layer, self.pass_name, self.phase, tuple(linears), tuple(reads), tuple(operations))
        )
        return number

    def layer_of_transformer(
        self,
        label: str,
        after: int | None,
        width: int,
        *,
        qkv: Sequence[Linear],
        attention: Sequence[Operation],
        out: Linear,
        up: Sequence[Linear],
        activation: Sequence[Operation],
        down: Linear,
    ) -> int:
        """Self-attention and feed-forward, each with a residual sum and a normalisation; the number of its last step.

        Whether the normalisation stands before or after makes no difference to the work between the steps.
        """
        first = self.step(
            f"{label}.qkv",
            qkv,
            [] if after is None else [after],
            () if after is None else normalise_sum(width),
        )
        self.barrier()
        attended = self.step(f"{label}.attention_output", [out], [first], attention)
        return self.feed_forward(label, attended, width, up, activation, down)

    def feed_forward(
        self,
        label: str,
        after: int,
        width: int,
        up: Sequence[Linear],
        activation: Sequence[Operation],
        down: Linear,
    ) -> int:
        """The feed-forward half of a layer; the number of its last step."""
        widened = self.step(f"{label}.feed_forward_up", up, [after], normalise_sum(width))
        return self.step(f"{label}.feed_forward_down", [down], [widened], activation)

    def model(
        self,
        name: str,
        family: str,
        config: Mapping[str, Any],
        tokens: int,
        tails: Mapping[str, tuple[tuple[Operation, ...], int]],
        unmapped: Sequence[str],
    ) -> Model:
        """The model of the steps recorded."""
        return Model(name, family, dict(config), tokens, tuple(self.steps), tails, tuple(unmapped))
