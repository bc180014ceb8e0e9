"""The reference decoder in fp64 with faults put into it: one, two, or another configuration.

Shape letters: B batch, T tokens, N judged tokens, V vocabulary.
"""

from __future__ import annotations

import dataclasses
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import numpy as np

from conformance import candidate as candidates
from conformance import faults
from conformance.adapters._replacing import replaced_in_model

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from conformance.mutants import Mutant
    from conformance.oracles.corpus import Corpus
    from conformance.package import ModelPackage

    Array = NDArray[Any]


class Laboratory:
    """Runs faulty decoders on one model and one corpus.

    Args:
        package: the model, with the weights that the contract allows.
        corpus: the tokens.
    """

    def __init__(self, package: ModelPackage, corpus: Corpus) -> None:
        self._package, self._corpus = package, corpus

    def effects(self) -> Iterator[tuple[Mutant, Array]]:
        """Yield each fault with the logits (N, V) that it makes."""
        for effect in faults.effects(self._package, self._corpus):
            yield effect.mutant, effect.logits_BTV[self._corpus.judged_BT]

    def with_both(self, one: Mutant, other: Mutant) -> Array | None:
        """Return the logits (N, V) of two faults at once; None where they cannot be combined."""
        try:
            with ExitStack() as stack:
                stack.enter_context(replaced_in_model(other))
                text = f"mutant:{one.name}?dtype=float64"
                faulty = stack.enter_context(candidates.open_candidate(text))
                return self._judged(faulty.load(self._package).logits(*self._corpus.inputs))
        except Exception:  # noqa: BLE001  # two faults may contradict each other in any way
            return None

    def parameters(self) -> dict[str, float]:
        """Return the numbers of the model's configuration that may be off, by dotted name."""
        from reference_model.huggingface import open_folder  # noqa: PLC0415  # imports torch

        config, _ = open_folder(self._package.path)
        return dict(_numbers("", config))

    def with_parameter(self, name: str, value: float) -> Array | None:
        """Return the logits (N, V) of a model in whose configuration one number is another.

        None where no model can have it, as a share of a head that turns a part of a pair.
        """
        import torch  # noqa: PLC0415

        from reference_model.huggingface import open_folder  # noqa: PLC0415
        from reference_model.model import build_decoder  # noqa: PLC0415

        config, weights = open_folder(self._package.path)
        try:
            changed = _replaced(config, name.split("."), value)
            decoder = build_decoder(changed, weights, torch.float64)
        except ValueError:
            return None
        inputs = (torch.from_numpy(array) for array in self._corpus.inputs)
        with torch.no_grad():
            return self._judged(decoder(*inputs).logits_BTV.numpy())

    def _judged(self, logits_BTV: Array) -> Array:
        judged: Array = np.asarray(logits_BTV, dtype=np.float64)[self._corpus.judged_BT]
        return judged


def _numbers(prefix: str, part: Any) -> Iterator[tuple[str, float]]:
    for field in dataclasses.fields(part):
        value = getattr(part, field.name)
        if dataclasses.is_dataclass(value):
            yield from _numbers(f"{prefix}{field.name}.", value)
        elif isinstance(value, float) and value > 0:
            yield f"{prefix}{field.name}", value


def _replaced(part: Any, path: list[str], value: float) -> Any:
    name, *rest = path
    inner = _replaced(getattr(part, name), rest, value) if rest else value
    return dataclasses.replace(part, **{name: inner})
