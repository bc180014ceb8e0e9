"""A checkpoint that transformers saved, certified on ONNX Runtime."""

from __future__ import annotations

import pytest


@pytest.mark.slow
def test_a_llama_checkpoint_saved_by_transformers_is_certified_on_onnx_runtime(llm, tmp_path):
    transformers = pytest.importorskip("transformers")
    config = transformers.LlamaConfig(
        vocab_size=64,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=256,
    )
    transformers.set_seed(3)
    transformers.LlamaForCausalLM(config).save_pretrained(tmp_path / "my-checkpoint")
    ended = llm("run", "--candidate", "onnxruntime", "--model", "./my-checkpoint")
    assert ended.code == 0, ended.out + ended.err
    assert ended.report["outcome"] == "conformant"
    assert ended.report["profile"] == "release"
    assert ended.report["models"][0]["build"] == "exported by the suite: opset 20, float32"
