"""The encoders of a run: their fp64 oracle and their noise units, as ``models`` has the decoders'.

Nothing here judges.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import math
from typing import TYPE_CHECKING, Any

from conformance import identity, models
from conformance.checked.encoder import CheckedEncoder, RememberedEncoder
from conformance.files import write_atomically
from conformance.formats.bert_config import is_encoder
from conformance.oracles.arithmetic import Arithmetic
from conformance.oracles.encoder import ensemble
from conformance.oracles.encoder.architecture import EncoderArchitecture
from conformance.oracles.encoder.corpus import CORPORA
from conformance.oracles.encoder.model import Encoder
from conformance.records import NoiseUnit

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from conformance.oracles.encoder.corpus import EncoderCorpus
    from conformance.package import ModelPackage
    from conformance.records import Contract

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


_ORACLES: dict[tuple[str, str, str], RememberedEncoder] = {}
"""By folder, digest and type of weights: candidates of one type are held against one truth."""


def _remembered(package: ModelPackage, weight: str) -> RememberedEncoder:
    key = str(package.path), package.digest, weight
    if key not in _ORACLES:
        _ORACLES[key] = RememberedEncoder(_oracle(package, weight))
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
    code = identity.digest_of("conformance/oracles") + repr(contract) + name
    key = hashlib.sha256(code.encode()).hexdigest()[:16]
    folder = models.cache_folder() / "noise"
    file = folder / f"{package.digest[:24]}-{contract.name}-{key}.json"
    kept = _kept(file, contract)
    if kept is None:
        kept = ensemble.noise(oracle(package, contract), corpus_named(name, package), contract)
        units = {output: dataclasses.asdict(unit) for output, unit in kept.items()}
        write_atomically(file, json.dumps(units).encode())
    return kept


def _kept(file: Path, contract: Contract) -> dict[str, NoiseUnit] | None:
    """Return units from the cache; None where there are none, or none that could be right."""
    try:
        read = json.loads(file.read_text(encoding="utf-8"))
        units = {output: NoiseUnit(**unit) for output, unit in read.items()}
        sizes = [size for unit in units.values() for size in (unit.rms, unit.max)]
        sound = all(math.isfinite(size) and size > 0 for size in sizes)
        sound &= all(unit.contract == contract.name for unit in units.values())
    except (OSError, ValueError, TypeError, AttributeError):
        return None
    return units if sound and units else None
