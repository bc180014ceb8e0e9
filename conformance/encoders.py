"""The encoders of a run: their fp64 oracle and their noise units, as ``models`` has the decoders'.

Nothing here judges.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from conformance import kept_units
from conformance.checked.encoder import CheckedEncoder
from conformance.checked.remembered import RememberedAnswers
from conformance.formats.bert_config import is_encoder
from conformance.oracles.arithmetic import Arithmetic
from conformance.oracles.encoder import ensemble
from conformance.oracles.encoder.architecture import EncoderArchitecture
from conformance.oracles.encoder.corpus import CORPORA
from conformance.oracles.encoder.model import Encoder

if TYPE_CHECKING:
    from collections.abc import Callable

    from conformance.oracles.encoder.corpus import EncoderCorpus
    from conformance.package import ModelPackage
    from conformance.records import Contract, NoiseUnit

__all__ = ["checked", "corpus_named", "is_encoder", "noise", "oracle"]


def checked(
    load: Callable[[ModelPackage], Any], package: ModelPackage, contract: Contract, who: str = ""
) -> CheckedEncoder:
    """Return an encoder of a candidate as checks see it.

    Args:
        load: the candidate's own ``load``.
        package: the encoder.
        contract: the claimed precision.
        who: the candidate's name, where there are two.
    """
    return CheckedEncoder(
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
        _ORACLES[key] = RememberedAnswers(exact, exact.encode)
    return _ORACLES[key]


def oracle(package: ModelPackage, contract: Contract) -> Encoder:
    """Return the fp64 oracle of a package, its weights rounded to the contract's weight type."""
    return _oracle(package, contract.weight)


def _oracle(package: ModelPackage, weight: str) -> Encoder:
    weights = package.weights()
    architecture = EncoderArchitecture.of(package.config, weights)
    return Encoder(architecture, weights, Arithmetic(weight=weight))


def corpus_named(name: str, package: ModelPackage) -> EncoderCorpus:
    """Return one of the fixed corpora, ``near`` or ``long``, for a package."""
    config = package.config
    return CORPORA[name](
        config["vocab_size"], config["type_vocab_size"], config["max_position_embeddings"]
    )


def noise(package: ModelPackage, contract: Contract, name: str = "near") -> dict[str, NoiseUnit]:
    """Return the honest ensemble's noise units by output, computed once and cached.

    Args:
        package: the encoder.
        contract: the claimed precision.
        name: the corpus on which they are measured.
    """
    return kept_units.kept(
        package,
        contract,
        name,
        lambda: ensemble.noise(oracle(package, contract), corpus_named(name, package), contract),
    )
