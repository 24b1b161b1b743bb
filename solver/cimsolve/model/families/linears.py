"""`"model_type": "linears"`: any chain or graph of weight matrices, for models of no known family.

    {"model_type": "linears", "context": 128, "steps": [
        {"name": "a", "linears": [{"name": "a.w", "n_in": 64, "n_out": 64}]},
        {"name": "b", "linears": [{"name": "b.w", "n_in": 64, "n_out": 16}], "reads": ["a"],
         "operations": [{"name": "activation", "elements": 64}], "barrier": false}]}

`reads` defaults to the step before. `barrier` says that all tokens must have come this far before the step.
`"experts": {"stored": 8, "chosen": 2, "own_inputs": false}` of a step says that it has experts, of which a token fires
so many; its linears then may have `"expert": 0` and so on. All experts are alike. `"groups": 8` of a linear: it is
block-diagonal, with so many blocks of `n_in / 8 x n_out / 8`.

Graphs of ONNX become such a config, with `onnx` for where it comes from.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from cimsolve.errors import InputError
from cimsolve.files.lines import Name, Visible
from cimsolve.model.families.config import Config, Context, Count, Width, context_tokens, read_config
from cimsolve.model.families.recorder import Recorder
from cimsolve.model.model import CacheUse, Experts, Gates, Linear, Model, Operation, Tail, TensorRef

Elements = Annotated[int, Field(strict=True, ge=1, le=2**40)]
Positions = Annotated[int, Field(strict=True, ge=1, le=2**24)]


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class TensorEntry(_Entry):
    name: Annotated[str, Field(min_length=1, max_length=512), Visible]
    layout: Literal["out_in", "in_out"]


class LinearEntry(_Entry):
    name: Name
    n_in: Width
    n_out: Width
    tensor: TensorEntry | None = None
    expert: Annotated[int, Field(strict=True, ge=0)] | None = None
    input: Annotated[int, Field(strict=True, ge=0)] = 0
    groups: Annotated[int, Field(strict=True, ge=1)] = 1


class OperationEntry(_Entry):
    name: Literal["add", "multiply", "layer_norm", "activation", "softmax", "attention_mac"]
    elements: Elements


class CacheEntry(_Entry):
    read: Elements
    tokens: Context
    written: Elements
    is_causal: bool


class ExpertsEntry(_Entry):
    stored: Count
    chosen: Count
    own_inputs: bool = False
    gates: Gates = "softmax"


class StepEntry(_Entry):
    name: Name
    linears: Annotated[list[LinearEntry], Field(min_length=1, max_length=4096)]
    reads: list[Name] | None = None
    operations: list[OperationEntry] = []
    barrier: bool = False
    experts: ExpertsEntry | None = None
    cache: CacheEntry | None = None
    positions: Positions = 1


class TailEntry(_Entry):
    operations: list[OperationEntry] = []
    elements: Elements


class OnnxEntry(_Entry):
    file: Name
    dims: dict[str, Context]
    digital: list[str]
    found: dict[Name, Elements]


class LinearsConfig(Config):
    context: Context = 512
    tokens: Context | None = None
    steps: Annotated[list[StepEntry], Field(min_length=1, max_length=100_000)]
    tail: TailEntry | None = None
    unmapped: tuple[Name, ...] = ("whatever is not listed",)
    onnx: OnnxEntry | None = None


def build(config: Mapping[str, Any], origin: str, name: str, tokens: int | None) -> Model:
    """The token pass of steps that are listed one by one. Raises InputError for a config that is wrong."""
    read = read_config(LinearsConfig, config, origin)
    n = context_tokens(origin, tokens, read.context)
    if read.tokens not in (None, n):
        raise InputError(f"{origin}: tokens: the work listed is for {read.tokens}, not for {n}; ask for {read.tokens}")
    record = Recorder()
    numbers: dict[str, int] = {}
    seen: set[str] = set()
    listed: list[list[LinearEntry]] = []
    for index, entry in enumerate(read.steps):
        where = f"{origin}: steps.{index}"
        if entry.name in numbers:
            raise InputError(f"{where}.name: {entry.name!r} is used twice; expected one name a step")
        experts = _experts(entry, where)
        if experts is None or not experts.own_inputs:
            _demand_one_width_an_input(entry.linears, where)
        for linear in entry.linears if entry.linears not in listed else ():
            if linear.name in seen:
                raise InputError(
                    f"{where}.linears: {linear.name!r} is used twice; expected one name a linear, or, for a step that "
                    "fires the weights of an earlier one again, all of its linears"
                )
            seen.add(linear.name)
        listed.append(entry.linears)
        reads = entry.reads if entry.reads is not None else [read.steps[index - 1].name] if index else []
        for before in reads:
            if before not in numbers:
                raise InputError(f"{where}.reads: {before!r}: expected an earlier step, one of {list(numbers)[-5:]}")
        if not reads and entry.operations:
            raise InputError(f"{where}.operations: a step that reads no other step starts the pass; expected none")
        record.layer = index
        if entry.barrier:
            record.barrier()
        numbers[entry.name] = record.step(
            entry.name,
            [_linear(linear, where) for linear in entry.linears],
            [numbers[before] for before in reads],
            _operations(entry.operations),
            CacheUse(**entry.cache.model_dump()) if entry.cache else None,
            experts,
            entry.positions,
        )
    chosen = 0 if read.steps[-1].experts is None else read.steps[-1].experts.chosen
    made = (each.n_out for each in read.steps[-1].linears if each.expert is None or each.expert < chosen)
    leaving = read.steps[-1].positions * sum(made)
    tail = Tail(_operations(read.tail.operations), read.tail.elements) if read.tail else Tail((), leaving)
    return record.model(name, config, n, {"token": tail}, read.unmapped)


def _linear(entry: LinearEntry, where: str) -> Linear:
    if entry.n_in % entry.groups or entry.n_out % entry.groups:
        raise InputError(
            f"{where}.linears: {entry.name!r}: groups = {entry.groups} does not divide n_in = {entry.n_in} and "
            f"n_out = {entry.n_out}; expected a divisor of both"
        )
    if entry.tensor is None:
        tensor = TensorRef(f"{entry.name}.weight", "out_in")
    else:
        tensor = TensorRef(entry.tensor.name, entry.tensor.layout)
    return Linear(entry.name, entry.n_in, entry.n_out, tensor, entry.expert, entry.input, entry.groups)


def _demand_one_width_an_input(linears: Sequence[LinearEntry], where: str) -> None:
    for number in sorted({linear.input for linear in linears}):
        widths = sorted({linear.n_in for linear in linears if linear.input == number})
        if len(widths) > 1:
            raise InputError(
                f"{where}.linears: n_in {widths} differ; the linears of a step share one input, or say which by `input`"
            )


def _operations(entries: Sequence[OperationEntry]) -> tuple[Operation, ...]:
    return tuple(Operation(entry.name, entry.elements) for entry in entries)


def _experts(entry: StepEntry, where: str) -> Experts | None:
    """The experts of a step. Raises InputError where they are not those that its linears say, or not alike."""
    shapes: dict[int, list[tuple[int, int, int]]] = {}
    for linear in entry.linears:
        if linear.expert is not None:
            shapes.setdefault(linear.expert, []).append((linear.n_in, linear.n_out, linear.groups))
    if entry.experts is None:
        if shapes:
            raise InputError(f"{where}.linears: {min(shapes)} is an expert's number; expected experts of the step too")
        return None
    stored, chosen = entry.experts.stored, entry.experts.chosen
    if chosen > stored:
        raise InputError(f"{where}.experts.chosen: {chosen}: expected at most stored = {stored}")
    if set(shapes) != set(range(stored)):
        raise InputError(f"{where}.experts.stored: {stored}: expected linears of the experts 0 to {stored - 1}, each")
    for number, shape in shapes.items():
        if shape != shapes[0]:
            raise InputError(f"{where}.linears: expert {number} is unlike expert 0; the experts of a step are alike")
    inputs = {linear.n_in for linear in entry.linears if linear.expert == 0}
    if len(inputs) > 1:
        raise InputError(f"{where}.linears: n_in {sorted(inputs)} differ; the linears of an expert share one input")
    return Experts(stored, chosen, entry.experts.own_inputs, entry.experts.gates)
