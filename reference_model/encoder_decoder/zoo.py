"""The suite's own encoder-decoders: seeded, tiny, and knowing no language."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from reference_model.encoder_decoder.config import Buckets, EncoderDecoderConfig
from reference_model.encoder_decoder.transformer import weights as transformer
from reference_model.encoder_decoder.transformer.config import Side, TransformerConfig
from reference_model.encoder_decoder.weights import EncoderDecoderDesign, make_weights

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class SuiteEncoderDecoder:
    """One of the suite's encoder-decoders. ``digest`` is ``weights.digest`` of its weights."""

    name: str
    summary: str
    config: EncoderDecoderConfig
    seed: int
    digest: str
    design: EncoderDecoderDesign

    def weights(self) -> dict[str, NDArray[np.float32]]:
        """Return the weights, float32, in canonical order."""
        return make_weights(self.config, self.seed, self.design)


@dataclass(frozen=True, slots=True)
class SuiteTransformer:
    """One of the suite's original Transformers. ``digest`` is ``weights.digest`` of its weights."""

    name: str
    summary: str
    config: TransformerConfig
    seed: int
    digest: str
    design: transformer.TransformerDesign

    def weights(self) -> dict[str, NDArray[np.float32]]:
        """Return the weights, float32, in canonical order."""
        return transformer.make_weights(self.config, self.seed, self.design)


_TIED = SuiteEncoderDecoder(
    name="t5-tied-relu",
    summary="as T5: ReLU, tied and scaled head, wide heads, one decoder layer more",
    config=EncoderDecoderConfig(
        vocab=320,
        dim=64,
        encoder_layers=2,
        decoder_layers=3,
        heads=4,
        head_dim=24,
        hidden=128,
        buckets=Buckets(count=32, max_distance=128),
        activation="relu",
        gated=False,
        eps=1e-6,
        tied=True,
        start=0,
    ),
    seed=111,
    digest="8bed35cb7e4bf47ac9129649f3a57b04f1a825b664ad733c11d681f43d289ba0",
    design=EncoderDecoderDesign(),
)

_GATED = SuiteEncoderDecoder(
    name="t5-gated-untied",
    summary="as T5 1.1: gated GELU, a head of its own, buckets of other numbers, epsilon 1e-5",
    config=EncoderDecoderConfig(
        vocab=256,
        dim=48,
        encoder_layers=3,
        decoder_layers=2,
        heads=3,
        head_dim=16,
        hidden=112,
        buckets=Buckets(count=20, max_distance=60),
        activation="gelu_tanh",
        gated=True,
        eps=1e-5,
        tied=False,
        start=3,
    ),
    seed=112,
    digest="455711666c2aa069e0b2b4704b2ae9f5a2cf1837fa1b89d05b0ca3d8a8dd61de",
    design=EncoderDecoderDesign(embedding=0.03),
)

_SILU = SuiteEncoderDecoder(
    name="t5-gated-silu",
    summary="as UL2: units gated by SiLU, a head of its own, one encoder layer",
    config=EncoderDecoderConfig(
        vocab=208,
        dim=40,
        encoder_layers=1,
        decoder_layers=2,
        heads=4,
        head_dim=12,
        hidden=88,
        buckets=Buckets(count=32, max_distance=64),
        activation="silu",
        gated=True,
        eps=1e-6,
        tied=False,
        start=0,
    ),
    seed=115,
    digest="b7bd6207609f8b3f5397c1a29f5d37705d423b209658685f897d8cdbaadeb0ff",
    design=EncoderDecoderDesign(embedding=0.03),
)

_SINUSOIDAL = SuiteTransformer(
    name="transformer-sinusoidal",
    summary="as Vaswani et al. 2017: sinusoids, norms behind, biases; heads of two sizes",
    config=TransformerConfig(
        vocab=288,
        dim=48,
        encoder=Side(layers=2, heads=3, hidden=112),
        decoder=Side(layers=3, heads=4, hidden=96),
        activation="relu",
        max_positions=160,
        start=287,
    ),
    seed=113,
    digest="1f5dba23fe806ea24fa0533d31cd49a8f1730ef9df6fd6c09ad3f5a489d1d249",
    design=transformer.TransformerDesign(),
)

_SWISH = SuiteTransformer(
    name="transformer-swish",
    summary="as translators are published: swish; three layers that encode and two that decode",
    config=TransformerConfig(
        vocab=272,
        dim=40,
        encoder=Side(layers=3, heads=5, hidden=96),
        decoder=Side(layers=2, heads=2, hidden=120),
        activation="silu",
        max_positions=152,
        start=271,
    ),
    seed=114,
    digest="af540d27e3db9b932831158e7520ebb1fb54f1e2f2f2cec6ca99eac0a9fe6ba2",
    design=transformer.TransformerDesign(),
)

ENCODER_DECODERS: Mapping[str, SuiteEncoderDecoder | SuiteTransformer] = MappingProxyType(
    {model.name: model for model in (_TIED, _GATED, _SILU, _SINUSOIDAL, _SWISH)}
)
"""The encoder-decoders by name."""
