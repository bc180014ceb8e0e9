"""What judging a release will take, before anything heavy: memory and time, or a refusal.

The suite's own share alone. It reads weights a block at a time, so that memory goes to logits and
activations; time goes to the products of the oracle and of the honest ensemble, whose speed is
measured on a layer of a few million parameters. What the candidate needs is its own matter.
Letters: B batch, T tokens, N tokens of a corpus, D model, V vocabulary.
"""

from __future__ import annotations

import math
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from conformance import catalogue, models, precision
from conformance.checked.remembered import KEPT_BYTES
from conformance.errors import UsageError
from conformance.oracles.architecture import Architecture
from conformance.oracles.arithmetic import FP64, honest
from conformance.oracles.corpus import CORPORA
from conformance.oracles.decoder import Decoder
from conformance.oracles.ensemble import MEMBERS
from conformance.oracles.rope import Rope
from conformance.oracles.shapes import weight_shapes
from conformance.records import Preflight

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from conformance.oracles.arithmetic import Arithmetic
    from conformance.package import ModelPackage
    from conformance.records import Contract

MEMORY_VARIABLE = "LLM_CONFORMANCE_MEMORY"
"""Environment variable that says how many bytes may be used, in place of what the machine says."""
_WIDE = 8
"""Bytes of a number in fp64."""
_BASE = 250 << 20
"""Bytes of an interpreter that has imported the suite, of the one that waits for it, and of blocks
of weights."""
_SCORES = 4 << 22
"""Numbers of the blocks of attention scores that live at once, at most."""
_GENERATED = 1500
"""Tokens that a check with generated inputs asks the oracle, and in how many calls, about."""
_CALLS = 25
_SMALL = Architecture(
    512, 512, 1, 8, 8, 64, 2048, 1e-5, tied=True, rope=Rope(1e4), max_positions=64
)
_TIMED = 128
"""The layer, and the tokens, by which the speed is measured."""
_TRIES = 4
"""Of which the fastest counts; each run waits for them."""


def of_releases(
    packages: Sequence[ModelPackage], contract: Contract, requirements: Collection[str]
) -> dict[str, Preflight]:
    """Return what each release will take, by its name.

    Raises:
        UsageError: more than the machine has.
    """
    checks = [one for one in catalogue.all_checks() if one.requirement in requirements]
    generated = sum(one.per_model and hasattr(one.function, "llm_check") for one in checks)
    found = {one.name: estimated(one, contract, requirements, generated) for one in packages}
    for name, one in found.items():
        check(name, one)
    return found


def estimated(
    package: ModelPackage, contract: Contract, requirements: Collection[str], generated: int
) -> Preflight:
    """Return what the suite will need to judge a model.

    Args:
        package: the model.
        contract: the claimed precision.
        requirements: the ids that are decided.
        generated: how many checks draw their inputs.
    """
    shape = models.architecture(package)
    sizes = {name: math.prod(one) for name, one in weight_shapes(shape).items()}
    corpora = _corpora(requirements)
    tokens = [CORPORA[name](shape.vocab, shape.max_positions).input_ids_BT.size for name in corpora]
    stored = precision.dtype(package.weights_dtype).itemsize
    layers = [
        sum(size for name, size in sizes.items() if f".layers.{i}." in name)
        for i in range(shape.layers)
    ]
    return Preflight(
        parameters=sum(sizes.values()),
        layer_bytes=stored * max(layers),
        peak_bytes=_peak(shape, contract, tokens),
        free_bytes=free_memory(),
        seconds=_seconds(shape, sizes, contract, tokens, requirements, generated),
    )


def _corpora(requirements: Collection[str]) -> list[str]:
    """Return the frozen corpora on which a release is judged, in their order."""
    return ["long", "near"] if {"LOGITS-001", "LOGITS-002"} & set(requirements) else ["near"]


def _peak(shape: Architecture, contract: Contract, tokens: list[int]) -> int:
    """Return the bytes that are held at most while one corpus after the other is judged.

    Of a corpus the exact logits and streams, the candidate's answer, the streams of all members and
    the logits of one; of the one before it what the oracle keeps.
    """
    answer = precision.dtype(contract.output).itemsize * shape.vocab
    exact = _WIDE * (shape.vocab + shape.layers * shape.dim)
    peaks, kept = [], 0
    for count in tokens:
        inside = count * (4 * shape.hidden + 6 * shape.heads * shape.head_dim)
        inside += min(_SCORES, 4 * count * shape.heads * max(1, count // 2))
        streams = count * MEMBERS * shape.dim
        peaks.append(kept + count * (exact + 2 * answer) + _WIDE * (inside + streams))
        kept = min(KEPT_BYTES, count * exact)
    return _BASE + max(peaks)


def _seconds(
    shape: Architecture,
    sizes: dict[str, int],
    contract: Contract,
    tokens: list[int],
    requirements: Collection[str],
    generated: int,
) -> float:
    head = shape.vocab * shape.dim
    multiplied = sum(s for n, s in sizes.items() if ".layers." in n) + head
    exact, member = speed(FP64), speed(honest(contract)[0])
    passes = MEMBERS * sum(tokens)
    if "PREC-001" in requirements:  # members of four types
        passes += 4 * MEMBERS * tokens[0]
    asked = sum(tokens) + generated * _GENERATED
    read = generated * _CALLS * multiplied * exact  # a pass reads all weights, however few tokens
    return multiplied * (exact * asked + member * passes) + read


def speed(way: Arithmetic) -> float:
    """Return the seconds of one multiplication by a weight and its addition, as measured now."""
    weights = {n: np.full(s, 2.0**-7, np.float32) for n, s in weight_shapes(_SMALL).items()}
    decoder = Decoder(_SMALL, weights, way)
    ids_BT = np.arange(_TIMED).reshape(2, -1) % _SMALL.vocab
    inputs: tuple[Any, ...] = (ids_BT, np.ones_like(ids_BT), np.zeros_like(ids_BT))
    taken = []
    for _ in range(_TRIES):  # the fastest one counts: it is the one that nothing disturbed
        start = time.perf_counter()
        decoder.logits(*inputs)
        taken.append(time.perf_counter() - start)
    return min(taken) / (_TIMED * sum(weight.size for weight in weights.values()))


def free_memory() -> int | None:
    """Return the bytes that can be had: what a variable says, the machine, or the group's limit.

    Raises:
        UsageError: the variable is no number.
    """
    said = os.environ.get(MEMORY_VARIABLE)
    if said is not None:
        if not said.isdecimal():
            raise UsageError(f"{MEMORY_VARIABLE} is {said!r}; wanted a number of bytes")
        return int(said)
    found = [size for size in (_of_the_machine(), _of_the_group()) if size is not None]
    return min(found, default=None)


def _of_the_machine() -> int | None:
    try:
        rows = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        sizes = dict(row.split(":", 1) for row in rows)
        return int(sizes["MemAvailable"].split()[0]) * 1024
    except (OSError, ValueError, KeyError):
        return None


def _of_the_group(root: Path = Path("/sys/fs/cgroup")) -> int | None:
    """Return what a container's limit leaves; pages of files can be taken back."""
    try:
        limit = int((root / "memory.max").read_text())
        rows = (root / "memory.stat").read_text().splitlines()
        return max(0, limit - int(dict(row.split() for row in rows)["anon"]))
    except (OSError, ValueError, KeyError):
        return None


def check(name: str, found: Preflight) -> None:
    """Refuse a model that the machine has no memory for.

    Raises:
        UsageError: the suite alone would need more than there is.
    """
    if found.free_bytes is not None and found.peak_bytes > found.free_bytes:
        raise UsageError(
            f"judging {name} takes {_size(found.peak_bytes)} of memory beside the candidate's own, "
            f"and {_size(found.free_bytes)} can be had: choose profile release-large, end other "
            "programs or take a larger machine; what may be used can be said in the environment "
            f"variable {MEMORY_VARIABLE}, in bytes"
        )


def told(name: str, found: Preflight, contract: Contract) -> str:
    """Return in one line what judging a model will take, and what its weights do in the candidate.

    Those may lie on another machine, or quantised: they are no part of what is refused.
    """
    weights = found.parameters * precision.dtype(contract.weight).itemsize
    free = "" if found.free_bytes is None else f" of {_size(found.free_bytes)}"
    return (
        f"{name}: {found.parameters:.3g} parameters, {_size(found.layer_bytes)} a layer; the suite "
        f"needs {_size(found.peak_bytes)}{free} beside the candidate, whose weights are "
        f"{_size(weights)} in {contract.weight}, and about {found.seconds:.0f} s"
    )


def _size(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e8 else f"{count / 1e6:.1f} MB"
