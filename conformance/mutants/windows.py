"""Faults of a decoder's windows; a model without windows has no place for them.

B batch, T queries, S keys.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from conformance.mutants import mutant
from conformance.mutants._attention import EVERYWHERE, with_attention

if TYPE_CHECKING:
    from collections.abc import Callable

    Honest = Callable[..., Any]


@mutant("in_window", kills=EVERYWHERE, bug="huggingface/transformers#39408")
def layer_window_one_key_short(honest: Honest, allowed_B1TS: Any, window: int) -> Any:
    """Layers with a window see one key fewer than it holds, and at least the query's own."""
    return honest(allowed_B1TS, max(1, window - 1))


@mutant("in_window", kills=EVERYWHERE, bug="microsoft/onnxruntime#25927")
def layer_window_one_key_wider(honest: Honest, allowed_B1TS: Any, window: int) -> Any:
    """Layers with a window see as many keys as it holds and the query's own besides."""
    return honest(allowed_B1TS, window + 1)


@mutant("in_window", kills=EVERYWHERE, bug="huggingface/transformers#40700")
def layer_window_halved(honest: Honest, allowed_B1TS: Any, window: int) -> Any:
    """A window is taken for both sides of the query, and half of it for the keys before it."""
    return honest(allowed_B1TS, window // 2 + 1)


@mutant("config", kills=EVERYWHERE, bug="unslothai/unsloth#8253")
def layer_windows_never_applied(config: Any) -> Any:
    """No layer has the window that the checkpoint asks for."""
    # Which layers have one may still say how they turn, so that it becomes wider than any row.
    window = None if config.local_rope is None else config.max_positions
    full = frozenset() if window is None else config.attention.full_layers
    return with_attention(config, window=window, full_layers=full)


@mutant("config", kills=EVERYWHERE, bug="generic")
def layer_windows_in_every_layer(config: Any) -> Any:
    """Every layer has the window, those that see everything too."""
    return with_attention(config, full_layers=frozenset())


@mutant("config", kills=EVERYWHERE, bug="generic")
def layer_windows_in_the_other_layers(config: Any) -> Any:
    """The layers with the window and those without are exchanged."""
    full = config.attention.full_layers
    others = frozenset(range(config.layers)) - full if full else full
    return with_attention(config, full_layers=others)


@mutant("in_window", kills=("CACHE-001",), bug="vllm-project/vllm#4057")
def layer_window_counts_from_the_new_keys(honest: Honest, allowed_B1TS: Any, window: int) -> Any:
    """With a cache, a window is counted from a query's place among the new tokens."""
    past = allowed_B1TS.shape[-1] - allowed_B1TS.shape[-2]
    return honest(allowed_B1TS, window + past)


@mutant("in_window", kills=("LOGITS-004",), bug="generic")
def layer_window_skips_hidden_tokens(honest: Honest, allowed_B1TS: Any, window: int) -> Any:
    """A window counts visible tokens alone, so that holes in the mask make it wider."""
    del honest
    visible = allowed_B1TS.long()
    behind_B1TS = visible.sum(-1, keepdim=True) - visible.cumsum(-1)
    return allowed_B1TS & (behind_B1TS < window)
