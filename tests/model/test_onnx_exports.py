"""Models of transformers, exported by torch, are what their configs say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cimsolve.model.families import parse_model
from cimsolve.model.load import load_model
from cimsolve.model.model import Step

WIDTHS = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 128}
CONFIGS: dict[str, dict[str, Any]] = {
    "bert": {**WIDTHS, "max_position_embeddings": 512},
    "llama": {**WIDTHS, "max_position_embeddings": 512, "num_key_value_heads": 2},
}


def work(step: Step) -> list[tuple[str, int]]:
    return sorted((each.name, each.elements) for each in step.operations)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("opset", [14, 20])
@pytest.mark.parametrize("attention", ["eager", "sdpa"])
@pytest.mark.parametrize("family", CONFIGS)
def test_an_export_is_what_its_config_says(tmp_path: Path, family: str, attention: str, opset: int) -> None:
    torch = pytest.importorskip("torch", reason="needs cimsolve[hf]")
    transformers = pytest.importorskip("transformers", reason="needs cimsolve[hf]")
    pytest.importorskip("onnx")
    config = transformers.AutoConfig.for_model(family, vocab_size=100, attn_implementation=attention, **CONFIGS[family])
    whole = transformers.AutoModel.from_config(config).eval()

    class Exported(torch.nn.Module):  # type: ignore[name-defined, misc]
        def __init__(self) -> None:
            super().__init__()
            self.model = whole

        def forward(self, ids: Any, mask: Any) -> Any:
            return self.model(input_ids=ids, attention_mask=mask)[0]

    config.use_cache = False
    ids, axes = torch.ones(2, 16, dtype=torch.long), {0: "batch", 1: "sequence"}
    names, path = ["input_ids", "attention_mask"], tmp_path / "net.onnx"
    torch.onnx.export(
        Exported(),
        (ids, ids.clone()),
        str(path),
        input_names=names,
        output_names=["out"],
        dynamic_axes=dict.fromkeys(names, axes),
        opset_version=opset,
        dynamo=False,
    )
    model = load_model(path, 128)
    expected = parse_model({"model_type": family, **CONFIGS[family]}, "config", family, 128)
    mapped = [step for step in model.steps if "pooler" not in step.name]
    assert [[(x.n_in, x.n_out) for x in step.linears] for step in mapped] == [
        [(x.n_in, x.n_out) for x in step.linears] for step in expected.steps
    ]
    assert [work(step) for step in mapped] == [work(step) for step in expected.steps]
    assert [(step.reads, step.phase, step.cache) for step in mapped] == [
        (step.reads, step.phase, step.cache) for step in expected.steps
    ]
    assert model.tails == expected.tails
