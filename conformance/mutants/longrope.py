"""Faults of LongRoPE, and of heads of which a part is turned, in a decoder.

A model that has neither has no place for these; those of the operator RotaryPhases stand in
``scalings``. Sources: Ding et al. 2024; Abouelenin et al. 2025. I rotary pairs.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from conformance.mutants import mutant

if TYPE_CHECKING:
    from collections.abc import Callable

    Honest = Callable[..., Any]

NEAR = ("LOGITS-001", "LOGITS-002", "ROPE-003")
"""Requirements whose inputs stay within the original context."""
FAR = ("ROPE-014",)
"""Those whose inputs go beyond it."""
EVERY = (*NEAR, *FAR)


def _longrope(config: Any, change: Callable[[Any], dict[str, Any]]) -> Any:
    """Return a configuration with some numbers of its LongRoPE replaced, if it has any."""
    scaling: Any = getattr(config.rope, "scaling", None)
    if type(scaling).__name__ != "LongRope":  # of a module that a vendor need not have
        return config
    scaling = dataclasses.replace(scaling, **change(scaling))
    return dataclasses.replace(config, rope=dataclasses.replace(config.rope, scaling=scaling))


@mutant("config", kills=FAR, bug="mlc-ai/mlc-llm#3375")
def longrope_never_leaves_the_short_factors(config: Any) -> Any:
    """LongRoPE takes the short factors however long a context becomes."""
    return _longrope(config, lambda scaling: {"long": scaling.short})


@mutant("config", kills=NEAR, bug="lablup/mlxcel#1358")
def longrope_by_long_factors_from_the_start(config: Any) -> Any:
    """LongRoPE takes the long factors within the original context, too."""
    return _longrope(config, lambda scaling: {"short": scaling.long})


@mutant("config", kills=EVERY, bug="generic")
def longrope_attention_factor_dropped(config: Any) -> Any:
    """Cosines and sines are not multiplied by LongRoPE's attention factor."""
    return _longrope(config, lambda _: {"attention_factor": 1.0})


@mutant("config", kills=EVERY, bug="generic")
def longrope_attention_factor_of_yarn(config: Any) -> Any:
    """LongRoPE's attention factor is 1 + 0.1 ln(factor), which is YaRN's."""
    import math  # noqa: PLC0415  # of one fault

    return _longrope(config, lambda s: {"attention_factor": 1 + 0.1 * math.log(s.factor)})


@mutant("longrope_frequencies", kills=EVERY, bug="generic")
def longrope_multiplies_by_its_factors(
    honest: Honest, rope: Any, factors: tuple[float, ...], dim: int
) -> Any:
    """LongRoPE's frequencies are multiplied by their factors, where they are to be divided."""
    return honest(rope, tuple(1 / factor for factor in factors), dim)


@mutant("Rotary.frequencies", kills=FAR, bug="generic")
def longrope_by_each_position(_: Honest, self: Any, position_ids_BT: Any, dtype: Any) -> Any:
    """A position takes the factors of its own side of the original length, not of the batch's."""
    near_I = position_ids_BT.new_tensor(self.inverse_frequencies, dtype=dtype)
    if self.far_frequencies is None:
        return near_I
    far_I = position_ids_BT.new_tensor(self.far_frequencies, dtype=dtype)
    beyond_BT1 = (position_ids_BT >= self.original).unsqueeze(-1)
    return far_I.where(beyond_BT1, near_I)


@mutant("config", kills=EVERY, bug="generic")
def heads_turned_whole(config: Any) -> Any:
    """All of a head is turned, where a share is to be; LongRoPE's last factors go on."""
    if config.rope is None:
        return config
    rope = config.rope
    if rope.share == 1:
        return config
    pairs = config.attention.head_dim // 2

    def longer(factors: tuple[float, ...]) -> tuple[float, ...]:
        return (*factors, *(factors[-1:] * (pairs - len(factors))))

    whole = dataclasses.replace(config, rope=dataclasses.replace(rope, share=1.0))
    return _longrope(whole, lambda s: {"short": longer(s.short), "long": longer(s.long)})


@mutant("Rotary.forward", kills=EVERY, bug="generic")
def last_channels_turned(honest: Honest, self: Any, x_BHTK: Any, phases: Any) -> Any:
    """Of a head of which a share is turned, it is the last channels and not the first."""
    kept = x_BHTK.shape[-1] - 2 * phases[0].shape[-1]
    return honest(self, x_BHTK.roll(-kept, dims=-1), phases).roll(kept, dims=-1)


@mutant("inverse_frequencies", kills=NEAR, bug="generic")
def exponents_of_the_whole_head(honest: Honest, rope: Any, head_dim: int) -> Any:
    """Of a head of which a share is turned, frequencies fall as if all of it were."""
    if rope.share == 1:
        return honest(rope, head_dim)
    return honest(dataclasses.replace(rope, theta=rope.theta**rope.share), head_dim)
