"""The suite's own models: tiny decoders that together use every mechanism of the architecture.

A model is a config, a seed and the digest that its weights must have; nothing is downloaded. They
know no language. Beside them stand the planted models, whose logits are known in closed form, and
one that was trained, whose weights are a file.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from reference_model import planted, trained
from reference_model.encoder.zoo import ENCODERS
from reference_model.encoder_decoder.zoo import ENCODER_DECODERS
from reference_model.zoo import gemmas, llamas, relatives, strangers
from reference_model.zoo.seeded import SuiteModel

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reference_model.encoder.zoo import SuiteEncoder
    from reference_model.encoder_decoder.zoo import SuiteEncoderDecoder, SuiteTransformer
    from reference_model.planted import PlantedModel
    from reference_model.trained import TrainedModel

    AnyEncoding = SuiteEncoder | SuiteEncoderDecoder | SuiteTransformer
    AnyModel = SuiteModel | PlantedModel | TrainedModel | AnyEncoding

__all__ = ["ALL", "MODELS", "SuiteModel"]

MODELS: Mapping[str, SuiteModel] = MappingProxyType(
    {
        model.name: model
        for model in (
            llamas.GQA,
            llamas.MQA_TIED,
            llamas.MHA_SCALED,
            relatives.MISTRAL,
            relatives.QWEN2,
            relatives.QWEN3,
            gemmas.GEMMA2,
            gemmas.GEMMA3,
            relatives.PHI3,
            relatives.GLM4,
            llamas.YARN,
            strangers.GPT2,
            strangers.BLOOM,
            relatives.MIXTRAL,
            strangers.GPT_OSS,
            relatives.QWEN2_MOE,
            llamas.LONG,
            llamas.LONGEST,
        )
    }
)
"""The seeded models by name."""

ALL: Mapping[str, AnyModel] = MappingProxyType(
    {
        **MODELS,
        **planted.MODELS,
        trained.BYTES.name: trained.BYTES,
        **ENCODERS,
        **ENCODER_DECODERS,
    }
)
"""Every model of the suite by name: decoders (seeded, planted, trained), encoders, and both."""
