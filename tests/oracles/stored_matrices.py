"""The matrices of a model as transformers writes them to a file: a judge of the linears of every family.

`cd tests && python -m oracles.stored_matrices` writes those of all small configs to the file that the default suite
compares with, so that it needs neither transformers nor torch.
"""

from __future__ import annotations

import json
import re
import tempfile
from pathlib import Path
from typing import Any

from safetensors import safe_open

from makers.family_configs import FAMILY_CONFIGS

RECORDED = Path(__file__).with_name("stored_matrices.json")
APART = re.compile(
    # tables that are looked up, and what is added or multiplied as it is
    r"_embeddings(\.weight)?$|\b(embed_tokens|embed_positions|embed_in|tok_embeddings|position_embedding|shared|wte|wpe)\b"
    r"|(^|\.)embeddings\.weight$|relative_attention_bias|_token$|A_log$"
    # a filter a channel, which is no matrix
    r"|\.(mixer|mamba|linear_attn)\.conv1d\b|\.conv\.conv\b"
    # what multiplies tables of the model alone, so that no token fires it
    r"|\.pos_(key|query)_proj\b"
    # heads of tasks
    r"|\bpooler\b"
    # vectors, one an expert
    r"|_bias$"
)


def write_model(config: dict[str, Any], folder: Path) -> None:
    """The files of a model of `config` with random weights, by the names of the hub.

    transformers renames modules, and puts the old names into files.
    """
    import torch
    from transformers import AutoConfig, AutoModel
    from transformers.utils import logging

    logging.disable_progress_bar()
    torch.manual_seed(0)
    keys = dict(config)
    AutoModel.from_config(AutoConfig.for_model(keys.pop("model_type"), **keys)).save_pretrained(folder)


def stored_matrices(folder: Path) -> dict[str, list[int]]:
    """Name of a tensor -> shape, as they stand in the files of a folder; vectors and tables left out."""
    shapes: dict[str, list[int]] = {}
    for path in sorted(folder.glob("*.safetensors")):
        with safe_open(path, "np") as file:
            shapes |= {name: list(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
    return {name: shapes[name] for name in sorted(shapes) if len(shapes[name]) > 1 and not APART.search(name)}


def written_matrices(config: dict[str, Any]) -> dict[str, list[int]]:
    """The matrices of the files that transformers writes of a model of `config`."""
    with tempfile.TemporaryDirectory() as folder:
        write_model(config, Path(folder))
        return stored_matrices(Path(folder))


def recorded_matrices() -> dict[str, dict[str, list[int]]]:
    """Label -> the matrices of its config, as they were found by transformers 5.24.0."""
    found: dict[str, dict[str, list[int]]] = json.loads(RECORDED.read_text())
    return found


def as_text(found: dict[str, dict[str, list[int]]]) -> str:
    """What the file holds, a matrix a line."""
    return (
        re.sub(r"\n  ? ? (?=[ \d\]])\s*", " ", json.dumps(found, indent=1)).replace("[ ", "[").replace(" ]", "]") + "\n"
    )


if __name__ == "__main__":
    RECORDED.write_text(as_text({label: written_matrices(config) for label, config in FAMILY_CONFIGS.items()}))
