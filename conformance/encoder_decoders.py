"""The encoder-decoders of a run: their fp64 oracle and their noise units.

Nothing here judges.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from conformance import kept_units
from conformance.checked.encoder_decoder import CheckedEncoderDecoder
from conformance.checked.remembered import RememberedAnswers
from conformance.encoder_decoder_configs import is_encoder_decoder, is_transformer
from conformance.oracles.arithmetic import Arithmetic
from conformance.oracles.encoder_decoder import ensemble
from conformance.oracles.encoder_decoder.architecture import EncoderDecoderArchitecture
from conformance.oracles.encoder_decoder.corpus import CORPORA
from conformance.oracles.encoder_decoder.model import EncoderDecoder
from conformance.oracles.encoder_decoder.transformer.architecture import TransformerArchitecture
from conformance.oracles.encoder_decoder.transformer.model import Transformer

if TYPE_CHECKING:
    from collections.abc import Callable

    from conformance.oracles.encoder_decoder.ensemble import AnyEncoderDecoder
    from conformance.package import ModelPackage
    from conformance.records import Contract, NoiseUnit

__all__ = ["checked", "is_encoder_decoder", "noise", "oracle"]


def checked(
    load: Callable[[ModelPackage], Any], package: ModelPackage, contract: Contract, who: str = ""
) -> CheckedEncoderDecoder:
    """Return an encoder-decoder of a candidate as checks see it.

    Args:
        load: the candidate's own ``load``.
        package: the encoder-decoder.
        contract: the claimed precision.
        who: the candidate's name, where there are two.
    """
    return CheckedEncoderDecoder(
        load=load,
        package=package,
        oracle=_remembered(package, contract.weight),
        contract=contract,
        measure_noise=functools.partial(noise, package, contract),
        who=who,
    )


_ORACLES: dict[tuple[str, str, str], RememberedAnswers] = {}
"""By folder, digest and type of weights: candidates of one type are held against one truth."""


def _remembered(package: ModelPackage, weight: str) -> RememberedAnswers:
    key = str(package.path), package.digest, weight
    if key not in _ORACLES:
        exact = _oracle(package, weight)
        _ORACLES[key] = RememberedAnswers(exact, exact.decode)
    return _ORACLES[key]


def oracle(package: ModelPackage, contract: Contract) -> AnyEncoderDecoder:
    """Return the fp64 oracle of a package, its weights rounded to the contract's weight type."""
    return _oracle(package, contract.weight)


def _oracle(package: ModelPackage, weight: str) -> AnyEncoderDecoder:
    way = Arithmetic(weight=weight)
    if is_transformer(package.config):
        shape = TransformerArchitecture.of(package.config)
        return Transformer(shape, package.weights(), way)
    architecture = EncoderDecoderArchitecture.of(package.config)
    return EncoderDecoder(architecture, package.weights(), way)


def noise(package: ModelPackage, contract: Contract, name: str = "near") -> dict[str, NoiseUnit]:
    """Return the honest ensemble's noise units by output, computed once and cached.

    Args:
        package: the encoder-decoder.
        contract: the claimed precision.
        name: the corpus on which they are measured.
    """
    truth = oracle(package, contract)
    shape = truth.architecture
    corpus = CORPORA[name](shape.vocab, shape.start, shape.reach)
    measure = functools.partial(ensemble.noise, truth, corpus, contract)
    return kept_units.kept(package, contract, name, measure)
