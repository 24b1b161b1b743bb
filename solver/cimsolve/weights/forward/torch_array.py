"""Tensors of torch that numpy's functions take for arrays, by numpy's own protocols (NEP 13 and NEP 18).

A forward pass that was written for numpy runs on them as it stands, on the CPU or a GPU, and torch finds its gradients:
no family is written a second time. What the passes do not use is not here. No other module of this room knows torch.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from numpy.lib.mixins import NDArrayOperatorsMixin
from scipy.special import expit
from torch.nn import functional as own

PADDED = 1.25
"""Times as long as the shortest is the longest of the sequences that attention pads to one length."""

_NUMPY = {torch.float32: np.float32, torch.float64: np.float64}
_TORCH = {known: own_name for own_name, known in _NUMPY.items()}


class TorchArray(NDArrayOperatorsMixin):
    """A tensor in the place of an array; float32, but for what autocast makes of products until `astype` is asked."""

    @property
    def kernels(self) -> Mapping[str, Callable[..., TorchArray]]:
        """Torch's own of `weights.forward.functions`, each of which is one pass over memory."""
        return _KERNELS

    def __init__(self, tensor: Any) -> None:
        self.tensor = tensor
        self.flags = SimpleNamespace(writeable=True)

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.tensor.shape)

    @property
    def ndim(self) -> int:
        return int(self.tensor.ndim)

    @property
    def dtype(self) -> Any:
        """Numpy's; torch's own where numpy has none."""
        return _NUMPY.get(self.tensor.dtype, self.tensor.dtype)

    @property
    def T(self) -> TorchArray:
        return TorchArray(self.tensor.T)

    def __len__(self) -> int:
        return len(self.tensor)

    def __getitem__(self, key: Any) -> TorchArray:
        return TorchArray(self.tensor[_run_of(key) or self._key(key)])

    def __setitem__(self, key: Any, value: Any) -> None:
        self.tensor[self._key(key)] = self._of(value)

    def astype(self, dtype: Any, order: str = "K", copy: bool = True) -> TorchArray:
        """In the precision that is asked for, in the order of its axes if `order` is C."""
        found = self.tensor.to(_TORCH.get(dtype, dtype))
        return TorchArray(found.contiguous() if order == "C" else found)

    def reshape(self, *shape: Any) -> TorchArray:
        return TorchArray(self.tensor.reshape(*shape))

    def transpose(self, *axes: int) -> TorchArray:
        return TorchArray(self.tensor.permute(*axes))

    def max(self, axis: int, keepdims: bool = False) -> TorchArray:
        return TorchArray(self.tensor.amax(axis, keepdims))

    def mean(self, axis: int, keepdims: bool = False) -> TorchArray:
        return TorchArray(self.tensor.mean(axis, keepdims))

    def sum(self, axis: int, keepdims: bool = False) -> TorchArray:
        return TorchArray(self.tensor.sum(axis, keepdims))

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        """`out` is not obeyed: `x *= y` names the product x."""
        if method != "__call__" or ufunc not in _UFUNCS:
            return NotImplemented
        return TorchArray(_UFUNCS[ufunc](*(self._of(each) for each in inputs)))

    def __array_function__(self, function: Any, types: Any, inputs: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        if function not in _FUNCTIONS:
            return NotImplemented
        return _FUNCTIONS[function](*inputs, **kwargs)

    def _of(self, value: Any) -> Any:
        """An operand as torch takes it, on the same device."""
        if isinstance(value, TorchArray):
            return value.tensor
        if isinstance(value, np.ndarray) and value.ndim:
            return torch.from_numpy(np.ascontiguousarray(value)).to(self.tensor.device)
        return value.item() if isinstance(value, np.generic | np.ndarray) else value

    def _key(self, key: Any) -> Any:
        return tuple(map(self._of, key)) if isinstance(key, tuple) else self._of(key)


def _run_of(key: Any) -> slice | None:
    """The numbers of rows as a slice, for which nothing is copied, if they are one after the other."""
    if not isinstance(key, np.ndarray) or key.ndim != 1 or key.dtype.kind != "i" or not len(key):
        return None
    first = int(key[0])
    return slice(first, first + len(key)) if (key == np.arange(first, first + len(key))).all() else None


def _where(condition: TorchArray, yes: TorchArray, no: Any) -> TorchArray:
    return TorchArray(torch.where(condition.tensor, yes.tensor, no.item()))


def _split(array: TorchArray, places: Any, axis: int = 0) -> list[TorchArray]:
    length = array.shape[axis]
    if np.ndim(places) == 0:
        places = [length // places * number for number in range(1, places)]
    sizes = [stop - first for first, stop in itertools.pairwise([0, *places, length])]
    return [TorchArray(each) for each in torch.split(array.tensor, sizes, dim=axis)]  # whose gradients need no zeros


def _put_along_axis(array: TorchArray, index: TorchArray, value: Any, axis: int) -> None:
    array.tensor = array.tensor.scatter(axis, index.tensor, value.item())


def _kernel(function: Callable[..., Any]) -> Callable[..., TorchArray]:
    def call(x: TorchArray, *args: Any) -> TorchArray:
        return TorchArray(function(x.tensor, *(x._of(each) for each in args)))

    return call


def _product(x: Any, y: Any) -> Any:
    """A batch of one as plain matrices, whose product is the quicker one."""
    alone = x.ndim == y.ndim == 3 and len(x) == len(y) == 1
    return torch.mm(x[0], y[0])[None] if alone else torch.matmul(x, y)


def _attend(
    query: TorchArray,
    key: TorchArray,
    value: TorchArray,
    spans: Sequence[slice],
    head_width: int,
    *,
    causal: bool,
    earlier: int = 0,
    scale: float | None = None,
    **seldom: Any,
) -> Any:
    """Sequences of about a length at once, padded to the longest of them.

    NotImplemented with `earlier` tokens, or where anything `seldom` is given.
    """
    if earlier or any(each is not None for each in seldom.values()):
        return NotImplemented
    starts = np.array([span.start for span in spans])
    lengths = np.array([span.stop for span in spans]) - starts
    rows: list[Any] = []
    real: list[Any] = []
    shapes = []
    for some in _alike(lengths):
        within = np.arange(lengths[some].max())
        at = starts[some, None] + np.minimum(within, lengths[some, None] - 1)
        rows.append(at.ravel())
        real.append(within < lengths[some, None])
        shapes.append(at.shape)
    is_real = np.concatenate([each.ravel() for each in real])
    back = np.flatnonzero(is_real)[np.argsort(np.concatenate(rows)[is_real])]
    sizes, padded = [each.size for each in real], query._of(np.concatenate(rows))
    taken = (torch.split(each.tensor.index_select(0, padded), sizes) for each in (query, key, value))
    mixed = []
    for shape, mask, *parts in zip(shapes, real, *taken, strict=True):
        q, k, v = (each.view(*shape, -1, head_width).transpose(1, 2) for each in parts)
        kept = None if causal or mask.all() else query._of(mask)[:, None, None, :]  # causal: what is padded comes later
        with torch.autocast(q.device.type, enabled=q.is_cuda):  # whose gradients take longer in bfloat16 on a CPU
            out = own.scaled_dot_product_attention(
                q, k, v, attn_mask=kept, is_causal=causal, scale=scale, enable_gqa=q.shape[1] != k.shape[1]
            )
        mixed.append(out.float().transpose(1, 2).reshape(shape[0] * shape[1], -1))
    return TorchArray(torch.cat(mixed).index_select(0, query._of(back)))


def _alike(lengths: Any) -> Iterator[Any]:
    """Numbers of sequences that attention pads to one length: at most `PADDED` times the shortest of them."""
    order = np.argsort(lengths, kind="stable")
    first = 0
    while first < len(order):
        stop = int(np.searchsorted(lengths[order], PADDED * lengths[order[first]], side="right"))
        yield order[first:stop]
        first = stop


_KERNELS: Mapping[str, Callable[..., TorchArray]] = {
    "attend": _attend,
    "layer_norm": _kernel(lambda x, scale, shift, eps: own.layer_norm(x, scale.shape, scale, shift, eps)),
    "rms_norm": _kernel(lambda x, scale, eps: own.rms_norm(x, scale.shape, scale, eps)),
    "softmax": _kernel(lambda x: own.softmax(x, dim=-1)),
    "gelu": _kernel(own.gelu),
    "gelu_tanh": _kernel(lambda x: own.gelu(x, approximate="tanh")),
    "silu": _kernel(own.silu),
}
_UFUNCS: Mapping[Any, Callable[..., Any]] = {
    np.add: torch.add,
    np.subtract: lambda x, y: x - y,
    np.multiply: torch.mul,
    np.true_divide: lambda x, y: x / y,
    np.power: torch.pow,
    np.negative: torch.neg,
    np.greater: torch.gt,
    np.matmul: _product,
    np.maximum: lambda x, y: torch.clamp(x, min=y),
    np.minimum: lambda x, y: torch.clamp(x, max=y),
    np.tanh: torch.tanh,
    expit: torch.sigmoid,
}
_FUNCTIONS: Mapping[Any, Callable[..., Any]] = {
    np.mean: lambda array, axis, keepdims=False: array.mean(axis, keepdims),
    np.concatenate: lambda arrays, axis=0: TorchArray(torch.cat([each.tensor for each in arrays], dim=axis)),
    np.stack: lambda arrays: TorchArray(torch.stack([each.tensor for each in arrays])),
    np.linalg.norm: lambda array, axis, keepdims: TorchArray(torch.linalg.vector_norm(array.tensor, 2, axis, keepdims)),
    np.repeat: lambda array, times, axis: TorchArray(array.tensor.repeat_interleave(times, dim=axis)),
    np.broadcast_to: lambda array, shape: TorchArray(array.tensor.expand(shape)),
    np.clip: lambda array, least, most: TorchArray(array.tensor.clamp(float(least), float(most))),
    np.ones_like: lambda array: TorchArray(torch.ones_like(array.tensor)),
    np.zeros_like: lambda array: TorchArray(torch.zeros_like(array.tensor)),
    np.argsort: lambda array, axis, kind: TorchArray(torch.argsort(array.tensor, dim=axis, stable=True)),
    np.where: _where,
    np.split: _split,
    np.put_along_axis: _put_along_axis,
}
