"""Mixtures of experts in the oracle: how a checkpoint holds them, and which routings are decided.

From Jiang et al. 2024, section 2.1, and the authors' mistralai/mistral-inference (``moe.py``).

**Near-ties.** Between the last expert that is chosen and the first that is left out the output
jumps. Where their scores differ by less than what rounding moves them, honest implementations
choose differently and differ by far more than any noise: no limit tells them from faulty ones. So
the oracle answers only where the choice is decided (``check_decided``): a token that is seen and
whose router is near a tie ends the check as not evaluated, and neither passes nor fails. The
suite's own mixture is made so that this happens to no token in any context; its embedding holds
each token's ranking.

B batch, T tokens, N tokens of all rows, E experts.
"""

from __future__ import annotations

from functools import partial
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import numpy as np

from conformance.errors import PackageError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from conformance.oracles.checkpoint import Part

    Array = NDArray[Any]

MARGIN = 2.0**-4
"""How far a choice has to be from a tie, as a share of the largest score of its token: at least a
sixteenth. A score in bfloat16 errs by a 512th of itself, one rounding, and by what its inputs err:
the stream of the suite's decoders by some hundredths in bfloat16. Half of a sixteenth is left to
each of the two scores."""
_APART = {"gate_proj": "w1", "up_proj": "w3", "down_proj": "w2"}


def check_decided(scores_NE: Array, chosen: int) -> None:
    """Check that no token's choice of experts is near a tie.

    Raises:
        PackageError: one is, so that logits which differ say nothing of who is right.
    """
    if chosen == scores_NE.shape[-1]:
        return  # all are chosen
    ranked_NE = np.sort(scores_NE, axis=-1)[:, ::-1]
    gap_N = ranked_NE[:, chosen - 1] - ranked_NE[:, chosen]
    share_N = gap_N / np.maximum(np.abs(scores_NE).max(axis=-1), np.finfo(float).tiny)
    if len(share_N) and share_N.min() < MARGIN:
        raise PackageError(
            f"a router's score of the last expert that it chooses is {share_N.min():.3g} of the "
            f"largest above that of the next; at least {MARGIN} are needed: rounding decides who "
            "is chosen, so logits that differ would tell nothing. Mixtures whose routers decide "
            "are judged, as the suite's own are"
        )


def mix(
    x_ND: Array, weights_NC: Array, chosen_NC: Array, expert: Callable[[int, Array], Array]
) -> Array:
    """Return the sum of the chosen experts' answers times their weights, (N, D).

    Each expert is given its own tokens, and is not asked where it has none.
    """
    y_ND = np.zeros_like(x_ND)
    for e in np.unique(chosen_NC):
        token_M, place_M = np.nonzero(chosen_NC == e)
        y_ND[token_M] += weights_NC[token_M, place_M, None] * expert(int(e), x_ND[token_M])
    return y_ND


def gpt_oss_parts(config: Mapping[str, Any], _: Mapping[str, Any]) -> dict[str, Part]:
    """Return where a gpt-oss's checkpoint holds its experts and routers.

    All of a layer's in one array, (E, D, 2F), in whose columns gates and what they multiply take
    turns, and their biases likewise (openai/gpt-oss, ``swiglu``; transformers' names).
    """
    found: dict[str, Part] = {}
    for i in range(int(config["num_hidden_layers"])):
        prefix = f"model.layers.{i}.mlp."
        for kind, end in (("weight", ""), ("bias", "_bias")):
            found[f"{prefix}gate.{kind}"] = (f"{prefix}router.{kind}", _whole)
            for e in range(int(config["num_local_experts"])):
                ours, both = f"{prefix}experts.{e}.", f"{prefix}experts.gate_up_proj{end}"
                for name, first in (("gate_proj", 0), ("up_proj", 1)):
                    found[f"{ours}{name}.{kind}"] = both, partial(_columns, e=e, first=first)
                down = f"{prefix}experts.down_proj{end}"
                found[f"{ours}down_proj.{kind}"] = down, partial(_transposed, e=e)
    return found


def _columns(stacked: Array, e: int, first: int) -> Array:
    columns: Array = stacked[e, ..., first::2]
    return columns.T


def _transposed(stacked: Array, e: int) -> Array:
    one: Array = stacked[e]
    return one.T


def parts(config: Mapping[str, Any], names: Mapping[str, Any]) -> dict[str, Part]:
    """Return where a Mixtral's checkpoint holds what is not stored under the oracle's name.

    Each expert apart, w1 gating w3 and w2 leading back; or all of a layer's experts in one array,
    (E, 2F, D), with their gates above (transformers 5).
    """
    hidden = int(config["intermediate_size"])
    found: dict[str, Part] = {}
    for i in range(int(config["num_hidden_layers"])):
        ours, apart = f"model.layers.{i}.mlp.", f"model.layers.{i}.block_sparse_moe."
        stacked = f"{ours}experts.gate_up_proj" in names
        if not stacked:
            found[f"{ours}gate.weight"] = (f"{apart}gate.weight", _whole)
        for e in range(int(config["num_local_experts"])):
            for name, old in _APART.items():
                place: Part = (f"{apart}experts.{e}.{old}.weight", _whole)
                if stacked:
                    place = _stacked(ours, name, e, hidden)
                found[f"{ours}experts.{e}.{name}.weight"] = place
    return found


def qwen2_moe_parts(config: Mapping[str, Any], names: Mapping[str, Any]) -> dict[str, Part]:
    """Return where a Qwen2-MoE's checkpoint holds its routed experts, where they are stacked.

    Else each tensor has the oracle's own name (transformers 4).
    """
    hidden, found = int(config["moe_intermediate_size"]), {}
    for i in range(int(config["num_hidden_layers"])):
        ours = f"model.layers.{i}.mlp."
        count = int(config["num_experts"]) if f"{ours}experts.gate_up_proj" in names else 0
        for e in range(count):
            for name in _APART:
                found[f"{ours}experts.{e}.{name}.weight"] = _stacked(ours, name, e, hidden)
    return found


def _stacked(ours: str, name: str, e: int, hidden: int) -> Part:
    if name == "down_proj":
        return f"{ours}experts.down_proj", itemgetter(e)
    first = 0 if name == "gate_proj" else hidden
    return f"{ours}experts.gate_up_proj", partial(_rows, e=e, first=first, count=hidden)


def _rows(stacked: Array, e: int, first: int, count: int) -> Array:
    return stacked[e, first : first + count]


def _whole(weight: Array) -> Array:
    return weight
