"""A folder's real weights, linear by linear."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from cimsolve.columns import Floats
from cimsolve.model.model import Linear, Model
from cimsolve.weights.folder import linear_weight, open_weights
from cimsolve.weights.tensors import Tensors


def weights_beside(model: Model, path_or_name: Path | str) -> FolderWeights | None:
    """The real weights of a model given as a folder; None where it is no folder or holds none.

    Raises InputError where they are damaged or do not fit the config; only headers are read.
    """
    folder = Path(path_or_name)
    if not (folder.is_dir() and any(any(folder.glob(f"*{suffix}")) for suffix in (".safetensors", ".gguf"))):
        return None
    return FolderWeights(open_weights(folder), model)


class FolderWeights(Mapping[str, Floats]):
    """Linear name -> its weight matrix, (n_in, n_out), read from disk each time it is asked for."""

    def __init__(self, folder: Tensors, model: Model) -> None:
        """Raises InputError where a tensor is missing or its shape is not what the model's config says."""
        self._folder = folder
        self._linears = {linear.name: linear for linear in model.linears}
        for linear in model.linears:
            if not _fits(folder, linear):
                self[linear.name]  # raises, and says how they differ

    def __getitem__(self, name: str) -> Floats:
        linear = self._linears[name]
        return linear_weight(self._folder, linear.tensor, linear.n_in, linear.n_out).astype(np.float64)

    def __contains__(self, name: object) -> bool:
        return name in self._linears

    def __iter__(self) -> Iterator[str]:
        return iter(self._linears)

    def __len__(self) -> int:
        return len(self._linears)


def _fits(folder: Tensors, linear: Linear) -> bool:
    """Whether the stored tensor has the linear's shape, by its header alone."""
    shape, ref = folder.shape(linear.tensor.name), linear.tensor
    if len(shape) != 2:
        return False
    n_out, n_in = shape if ref.layout == "out_in" else shape[::-1]
    stop = n_out if ref.stop is None else ref.stop
    return n_in == linear.n_in and stop - ref.start == linear.n_out and stop <= n_out
