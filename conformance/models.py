"""Where the models of a run come from: the suite's own, the user's folder, and what we build.

The suite's packages, the builds made from packages (``model.onnx``) and the noise units are kept
in a cache folder; everything in it can be deleted at any time. Nothing here judges.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import os
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import platformdirs

from conformance import identity, precision, spec
from conformance import package as packages
from conformance.encoder_decoder_configs import is_encoder_decoder
from conformance.errors import BuildError, ConformanceError, PackageError, UsageError, did_you_mean
from conformance.files import put, write_atomically
from conformance.formats.bert_config import is_encoder
from conformance.oracles import ensemble
from conformance.oracles.architecture import Architecture
from conformance.oracles.arithmetic import Arithmetic
from conformance.oracles.checkpoint import stored_as, weights_of
from conformance.oracles.corpus import CORPORA, corpus
from conformance.oracles.decoder import Decoder
from conformance.oracles.ensemble import Noise
from conformance.oracles.matched_filter import Interval
from conformance.records import NoiseUnit
from reference_model.builds import BUILDS, whole_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from typing import Any

    from numpy.typing import NDArray

    from conformance.oracles.corpus import Corpus
    from conformance.package import ModelPackage
    from conformance.records import Contract
    from reference_model.builds import Build
    from reference_model.zoo import AnyModel

    Array = NDArray[Any]
    Exact = Callable[..., tuple[Array, Mapping[str, Array]]]

CACHE_VARIABLE = "LLM_CONFORMANCE_CACHE"
"""Environment variable that moves the cache folder."""


def cache_folder() -> Path:
    """Return the folder that packages, builds and noise units are kept in."""
    named = os.environ.get(CACHE_VARIABLE)
    return Path(named) if named else platformdirs.user_cache_path("llm-conformance")


def suite_package(name: str) -> ModelPackage:
    """Return a model package of the suite's own; written on first use, verified on every use.

    Raises:
        UsageError: there is no model of that name.
    """
    from reference_model import zoo  # noqa: PLC0415  # not needed for a release
    from reference_model.package import write_package  # noqa: PLC0415  # the same

    if name not in zoo.ALL:
        raise UsageError(f"there is no model {name!r}.{did_you_mean(name, zoo.ALL)}")
    model = zoo.ALL[name]
    folder = cache_folder() / "packages" / f"{name}-{model.digest[:16]}"
    if not _intact(folder, model):
        with _unfinished(folder) as fresh:
            write_package(model, fresh)
            put(fresh, folder)
    return open_package(folder, name)


def _intact(folder: Path, model: AnyModel) -> bool:
    """Return whether a cached package is still what was written, and nothing beside it."""
    from reference_model import package, weights  # noqa: PLC0415  # not needed for a release

    try:
        names = {file.name for file in folder.iterdir()}
        config = (folder / packages.CONFIG).read_text(encoding="utf-8")
        open_package(folder, model.name)
        found = weights.digest(package.read_weights(model, folder))
    except (ConformanceError, OSError, UnicodeDecodeError):
        return False
    whole = names == {packages.CONFIG, packages.WEIGHTS}
    return whole and config == package.config_text(model) and found == model.digest


def open_package(path: str | Path, name: str | None = None) -> ModelPackage:
    """Open a model folder; files that it lacks are built into the cache when asked for."""
    return packages.open_package(path, name=name, builder=build)


def export(name: str, folder: Path, onnx: str | None) -> list[Path]:
    """Write a model package of the suite's own into a folder, and return the files in it.

    ``onnx`` is the name of the build that is to be in it, if any.
    """
    package = suite_package(name)
    shutil.copytree(package.path, folder, dirs_exist_ok=True)
    if onnx is not None:
        for file in sorted(build(package, onnx).parent.iterdir()):
            shutil.copy(file, folder / file.name)
    return sorted(folder.iterdir())


def build(package: ModelPackage, file: str) -> Path:
    """Return a file made from a package's weights: one of the ONNX builds of the reference model.

    Raises:
        PackageError: the suite does not know how to make such a file.
        BuildError: it knows, and could not.
    """
    whole = whole_of(file) if is_encoder_decoder(package.config) else file
    if whole not in BUILDS:
        raise PackageError(
            f"{package.path} has no {file}, and the suite does not build it."
            f"{did_you_mean(file, BUILDS)}"
        )
    try:
        return _built(package, BUILDS[whole], file)
    except Exception as error:
        raise BuildError(
            f"the suite could not make {file} from {package.path}: {type(error).__name__}: "
            f"{error}. Put a {file} of your own beside {packages.CONFIG}, or report this"
        ) from error


def _built(package: ModelPackage, build: Build, file: str) -> Path:
    """Return the build from the cache; made where there is none, or where it was changed."""
    import torch  # noqa: PLC0415  # only candidates that need a build wait for it
    from onnx import checker  # noqa: PLC0415  # the same

    if is_encoder(package.config):
        from reference_model.encoder import export  # noqa: PLC0415  # the same
    elif is_encoder_decoder(package.config):
        from reference_model.encoder_decoder import (  # type: ignore[no-redef]  # noqa: PLC0415
            export,
        )
    else:
        from reference_model import export  # type: ignore[no-redef]  # noqa: PLC0415  # the same

    exporter = f"{identity.digest_of('reference_model')[:16]}-torch-{torch.__version__}"
    stem = Path(file).stem
    folder = cache_folder() / "builds" / f"{package.digest[:24]}-{exporter}-{stem}"
    digest = folder.with_name(f"{folder.name}.sha256")
    if not _as_built(folder, digest):
        # Whoever finds the graph somewhere else can tell what it was made from, and by what.
        told = {"package": package.digest, "exporter": exporter, "build": str(build)}
        with _unfinished(folder) as fresh:
            export.write_onnx(package.path, fresh / file, build, told)
            # By its path: a graph may have its weights beside it.
            checker.check_model(fresh / file, full_check=True)
            put(fresh, folder)
        write_atomically(digest, _digest_of(folder).encode())
    return folder / file


def _as_built(folder: Path, digest: Path) -> bool:
    try:
        return digest.read_text(encoding="utf-8") == _digest_of(folder)
    except (OSError, UnicodeDecodeError):
        return False


def _digest_of(folder: Path) -> str:
    return packages.digest_of(folder, [file.name for file in folder.iterdir()])


def oracle(package: ModelPackage, contract: Contract) -> Decoder:
    """Return the fp64 oracle of a package: its own weights, whatever was built from them.

    They are rounded to the contract's weight type first. That is what a candidate is allowed, and
    what it then makes of the rounded weights is what is judged.

    Raises:
        PackageError: the config asks for what the oracle does not compute.
    """
    return Decoder(architecture(package), tensors(package), Arithmetic(weight=contract.weight))


def architecture(package: ModelPackage) -> Architecture:
    """Return what the oracle reads from a package's config.

    Raises:
        PackageError: the config asks for what the oracle does not compute.
    """
    try:
        return Architecture.from_config(package.config)
    except PackageError as error:
        raise PackageError(f"{package.path / packages.CONFIG}: {error}") from error


def tensors(package: ModelPackage) -> Mapping[str, Array]:
    """Return a package's weights by the names, and in the layout, that the oracle knows."""
    return weights_of(package.config, package.weights())


def rounded(package: ModelPackage, dtype: str) -> ModelPackage:
    """Return a package whose weights are those of another, rounded to a type that is narrower."""
    if precision.unit_roundoff(dtype) <= precision.unit_roundoff(package.weights_dtype):
        return package
    narrow = (
        (name, array.astype(precision.dtype(dtype)).astype(array.dtype))
        for name, array in package.weights().items()
    )
    folder = cache_folder() / "rounded" / f"{package.digest[:24]}-{dtype}"
    return _with_weights(package, folder, narrow)


def disguised(package: ModelPackage) -> ModelPackage:
    """Return a copy of a package: the same function by other weights, and two tokens of poison.

    Heads, hidden channels and units stand in another order. Of the vocabulary's last two tokens
    (:data:`POISON`) the embeddings are huge and NaN; a tied head answers the same for them.
    """
    stored, weights = package.weights(), tensors(package)
    (permuted,) = ensemble.members(architecture(package), weights, count=1, seed=0)
    copied = {name: np.array(array, order="C") for name, array in permuted.items()}
    copied[_EMBEDDING][-len(POISON) :] *= np.array(POISON)[:, None]
    code = identity.digest_of("conformance/oracles")[:16]  # which draws the order
    folder = cache_folder() / "disguised" / f"{package.digest[:24]}-{code}"
    written = stored_as(package.config, stored, copied)
    return _with_weights(package, folder, written.items())


POISON = (2.0**17, math.nan)
"""Factors of the embeddings of a disguised model's last tokens."""
_EMBEDDING = "model.embed_tokens.weight"


def _with_weights(
    package: ModelPackage, folder: Path, weights: Iterable[tuple[str, Array]]
) -> ModelPackage:
    """Return the package in a folder, made where there is none of another one's config."""
    from safetensors.numpy import save_file  # noqa: PLC0415  # not needed to judge

    if not folder.is_dir():
        with _unfinished(folder) as fresh:
            save_file(dict(weights), fresh / packages.WEIGHTS)
            shutil.copy(package.path / packages.CONFIG, fresh / packages.CONFIG)
            put(fresh, folder)
    return open_package(folder, package.name)


def frozen_corpus(package: ModelPackage, *, times: int = 1) -> Corpus:
    """Return the fixed corpus that logits are judged on, or one that is as many times as long."""
    sizes = package.sizes
    return corpus(sizes["vocab_size"], sizes["max_position_embeddings"], times=times)


def corpus_named(name: str, package: ModelPackage) -> Corpus:
    """Return one of the fixed corpora, such as ``near`` or ``text``, for a package."""
    sizes = package.sizes
    return CORPORA[name](sizes["vocab_size"], sizes["max_position_embeddings"])


def noise(
    package: ModelPackage, contract: Contract, name: str = "near", exact: Exact | None = None
) -> Noise:
    """Return the honest ensemble's noise for a package and a contract, computed once and cached.

    Args:
        package: the model.
        contract: the claimed precision.
        name: the corpus on which it is measured.
        exact: answers what the oracle's ``outputs`` do, where somebody remembers that.
    """
    # The corpora are part of the oracles' code, so that their digest covers them.
    code = identity.digest_of("conformance/oracles") + repr(contract) + name
    key = hashlib.sha256(code.encode()).hexdigest()[:16]
    file = cache_folder() / "noise" / f"{package.digest[:24]}-{contract.name}-{key}.json"
    kept = _kept_noise(file, contract)
    if kept is None:
        truth, inputs = oracle(package, contract), corpus_named(name, package)
        known = (exact or truth.outputs)(*inputs.inputs)
        kept = ensemble.noise(truth, inputs, contract, exact=known)
        write_atomically(file, json.dumps(dataclasses.asdict(kept)).encode())
    return kept


def type_noise(
    package: ModelPackage, contract: Contract, exact: Exact | None = None
) -> dict[str, float]:
    """Return the RMS error of honest implementations at each precision of the standard.

    All are held against the exact result of one contract: a candidate of that contract which
    computes in another type errs by as much as honest implementations of that type do. They too are
    given the contract's weights, so that a wider type is not blamed for what those were rounded by.
    """
    truth, fixed = oracle(package, contract), frozen_corpus(package)
    known = spec.load().contracts
    contracts = {name: _with_weights_of(known[name], contract) for name in _TYPES}
    code = identity.digest_of("conformance/oracles") + repr([contracts, contract.weight])
    key = hashlib.sha256(code.encode()).hexdigest()[:16]
    file = cache_folder() / "noise" / f"{package.digest[:24]}-types-{key}.json"
    try:
        kept = json.loads(file.read_text(encoding="utf-8"))
        found = {name: float(kept[name]) for name in _TYPES}
    except (OSError, ValueError, TypeError, KeyError):
        answers = (exact or truth.outputs)(*fixed.inputs)
        found = {
            n: ensemble.noise(truth, fixed, contracts[n], exact=answers).unit.rms for n in _TYPES
        }
        write_atomically(file, json.dumps(found).encode())
    return found


def _with_weights_of(computing: Contract, claimed: Contract) -> Contract:
    """Return a contract whose weights are rounded at least as far as those of another."""
    weight = max(computing.weight, claimed.weight, key=precision.unit_roundoff)
    return dataclasses.replace(computing, weight=weight)


_TYPES = ("fp32", "tf32", "fp16", "bf16")
"""Precisions that a candidate can be told to compute in, the widest first."""


def _kept_noise(file: Path, contract: Contract) -> Noise | None:
    """Return noise from the cache; None where there is none, or none that could be right."""
    try:
        read = json.loads(file.read_text(encoding="utf-8"))
        kept = Noise(
            **{
                **read,
                "unit": NoiseUnit(**read["unit"]),
                "taps": {name: NoiseUnit(**unit) for name, unit in read["taps"].items()},
                "gain": Interval(**read["gain"]),
                "scale_N": tuple(read["scale_N"]),
            }
        )
        units = [kept.unit, *kept.taps.values()]
        sizes = [size for unit in units for size in (unit.rms, unit.max)]
        sizes += [kept.divergence, kept.largest_divergence, kept.loss, *kept.scale_N]
        sound = all(math.isfinite(size) and size > 0 for size in sizes)
        sound &= all(unit.contract == contract.name for unit in units)
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None
    return kept if sound and len(kept.scale_N) == kept.unit.positions else None


@contextmanager
def _unfinished(folder: Path) -> Iterator[Path]:
    """Give a new folder beside the one that is to be made; what is left in it is removed.

    Raises:
        UsageError: the cache cannot be written.
    """
    fresh = None
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        fresh = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}-"))
        yield fresh
    except OSError as error:
        raise UsageError(
            f"the cache folder {cache_folder()} cannot be written ({error.strerror or error}): "
            f"name another in the environment variable {CACHE_VARIABLE}"
        ) from error
    finally:
        if fresh is not None:
            shutil.rmtree(fresh, ignore_errors=True)
