"""Every key of a ``config.json`` that all families have, and the values that are understood.

Data only: ``huggingface`` reads by these tables, and refuses each key that stands neither in one
of them nor in its family's (``families``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

READ = frozenset(
    (
        "vocab_size",
        "hidden_size",
        "num_hidden_layers",
        "num_attention_heads",
        "num_key_value_heads",
        "head_dim",
        "intermediate_size",
        "rms_norm_eps",
        "tie_word_embeddings",
        "max_position_embeddings",
        "rope_theta",
        "rope_scaling",
        "rope_parameters",
        "dtype",
        "torch_dtype",
    )
)

DTYPES = (None, "float64", "float32", "float16", "bfloat16")

NEUTRAL: Mapping[str, tuple[Any, ...]] = {
    "attention_bias": (False,),
    "mlp_bias": (False,),
    "pretraining_tp": (1,),
    "partial_rotary_factor": (1.0,),
    "rope_interleaved": (False,),
    "use_mrope": (False,),  # Qwen2.5 files say so; rotation by several axes is of its vision models
    "is_llama_config": (True,),
    "quantization_config": (None,),
    "is_decoder": (False, True),
    "is_encoder_decoder": (False,),
    "add_cross_attention": (False,),
    "cross_attention_hidden_size": (None,),
    "tie_encoder_decoder": (False,),
    "chunk_size_feed_forward": (0,),
    "pruned_heads": (None, {}),
    "use_bfloat16": (False,),
    "torchscript": (False,),
    "tf_legacy_loss": (False,),
    # What transformers 4 writes about generation when it writes everything.
    "max_length": (20,),
    "min_length": (0,),
    "do_sample": (False,),
    "early_stopping": (False,),
    "num_beams": (1,),
    "num_beam_groups": (1,),
    "diversity_penalty": (0.0,),
    "temperature": (1.0,),
    "top_k": (50,),
    "top_p": (1.0,),
    "typical_p": (1.0,),
    "repetition_penalty": (1.0,),
    "length_penalty": (1.0,),
    "no_repeat_ngram_size": (0,),
    "encoder_no_repeat_ngram_size": (0,),
    "bad_words_ids": (None,),
    "num_return_sequences": (1,),
    "remove_invalid_values": (False,),
    "exponential_decay_length_penalty": (None,),
    "suppress_tokens": (None,),
    "begin_suppress_tokens": (None,),
    "forced_bos_token_id": (None,),
    "forced_eos_token_id": (None,),
    "decoder_start_token_id": (None,),
    "task_specific_params": (None,),
    "problem_type": (None,),
    "finetuning_task": (None,),
    "prefix": (None,),
}
"""Keys that may be absent, and whose other values would change what is computed or generated."""

BOOKKEEPING = frozenset(
    (
        "transformers_version",
        "_name_or_path",
        "_attn_implementation_autoset",
        "use_cache",
        "return_dict",
        "return_dict_in_generate",
        "output_scores",
        "output_attentions",
        "output_hidden_states",
        "initializer_range",
        "attention_dropout",
        "id2label",
        "label2id",
        "tokenizer_class",
        "bos_token_id",
        "eos_token_id",
        "pad_token_id",
        "sep_token_id",
    )
)
"""Keys of any value: they say nothing about the logits of a given sequence at inference."""

ROPE_KEYS: Mapping[str, tuple[str, ...]] = {
    "default": (),
    "linear": ("factor",),
    "llama3": (
        "factor",
        "low_freq_factor",
        "high_freq_factor",
        "original_max_position_embeddings",
    ),
    "yarn": ("factor", "original_max_position_embeddings"),
    "longrope": ("short_factor", "long_factor"),
}
"""The rope types that the reference model computes, with the parameters that each demands."""

ROPE_OPTIONS: Mapping[str, tuple[str, ...]] = {
    "yarn": (
        "beta_fast",
        "beta_slow",
        "truncate",
        "attention_factor",
        "mscale",
        "mscale_all_dim",
    ),
    "longrope": ("factor", "attention_factor", "original_max_position_embeddings"),
}
"""Parameters that may be absent: the paper, or the type's authors, say what is then meant."""
