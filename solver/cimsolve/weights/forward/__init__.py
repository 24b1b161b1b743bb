"""Forward passes of real models in plain float32 numpy, with a say in every product of a linear.

    reference = load_reference(model, source)
    hidden = reference.run(sequences)                      as published
    hidden = reference.run(sequences, product)             each linear by `product(name, inputs)` instead
    hidden = reference.run(sequences, listening(reference.exact, hear))      as published, and heard

For checking what storage and arrays do to a model, not for speed: all sequences go through a layer together, so each
weight is read once and one linear is in memory at a time. Biases, norms, embeddings and attention are not mapped on
arrays and stay exact.
"""

from __future__ import annotations

from collections.abc import Callable

from cimsolve.errors import InputError
from cimsolve.model.families import FAMILIES as BUILT
from cimsolve.model.model import Model
from cimsolve.weights.forward.base import Product, Reference
from cimsolve.weights.forward.bert import BertReference
from cimsolve.weights.forward.decoder import DecoderReference
from cimsolve.weights.forward.forms import FORMS, form_of, text_config
from cimsolve.weights.tensors import Floats32, Tensors

__all__ = ["FAMILIES", "Product", "Reference", "listening", "load_reference"]

FAMILIES = ("bert", *FORMS)


def load_reference(model: Model, source: Tensors) -> Reference:
    """The forward pass of `model` on the tensors of `source`; linears are read as they are needed.

    Of a model of text and more it is that of its language model. Raises InputError for a family without one, for
    config keys that it does not know how to obey, and for embeddings, heads, norms and biases that are missing, not of
    the config's shapes, or not finite.
    """
    config = text_config(model)
    family = config["model_type"]
    if family not in FAMILIES:
        raise InputError(
            f"{model.name}: there is no reference forward pass for {family}, only for {', '.join(FAMILIES)}; "
            "give `project` the inputs of its linears as a file instead"
        )
    BUILT[family].config.keys.demand_computed(config, model.name)
    return BertReference(model, source) if family == "bert" else DecoderReference(model, source, form_of(model))


def listening(product: Product, hear: Callable[[str, Floats32], None]) -> Product:
    """`product`, but `hear(name, inputs)` is called before each."""

    def heard(name: str, inputs: Floats32) -> Floats32:
        hear(name, inputs)
        return product(name, inputs)

    return heard
