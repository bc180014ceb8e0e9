"""Noise units by output, measured once and kept in the cache: of encoders and encoder-decoders."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from typing import TYPE_CHECKING

from conformance import identity, models
from conformance.files import write_atomically
from conformance.records import NoiseUnit

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from conformance.package import ModelPackage
    from conformance.records import Contract

    Units = dict[str, NoiseUnit]


def kept(
    package: ModelPackage, contract: Contract, corpus: str, measure: Callable[[], Units]
) -> Units:
    """Return noise units from the cache, measured where there are none that could be right.

    Args:
        package: the model.
        contract: the claimed precision.
        corpus: the name of that on which they are measured.
        measure: measures them.
    """
    code = identity.digest_of("conformance/oracles") + repr(contract) + corpus
    key = hashlib.sha256(code.encode()).hexdigest()[:16]
    folder = models.cache_folder() / "noise"
    file = folder / f"{package.digest[:24]}-{contract.name}-{key}.json"
    found = _read(file, contract)
    if found is None:
        found = measure()
        units = {output: dataclasses.asdict(unit) for output, unit in found.items()}
        write_atomically(file, json.dumps(units).encode())
    return found


def _read(file: Path, contract: Contract) -> dict[str, NoiseUnit] | None:
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
