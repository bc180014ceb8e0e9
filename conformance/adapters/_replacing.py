"""How a mutant's fault is put into the reference model, and taken out again.

The oracle shares no code with it, and so stays right meanwhile.
"""

from __future__ import annotations

import functools
import importlib
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any
from unittest import mock

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from conformance.mutants import Mutant

GENERATION, TOKENIZER, WORD_LEVEL = "generation", "tokenizer", "word_level"
ENCODER, ENCODER_DECODER, TRANSFORMER = "encoder", "encoder_decoder", "transformer"
"""What faults of these modules of ``reference_model`` have before the name of what they replace."""
_MODULES = {
    ENCODER: "encoder.model",
    ENCODER_DECODER: "encoder_decoder.model",
    TRANSFORMER: "encoder_decoder.transformer.model",
}
"""Where that is in there, if it is a folder."""
DECODER = ("model", "norms", "mlp", "moe", "rotary", "alibi")
"""The modules of the reference model that a fault is looked for in: each uses what it defines."""


@contextmanager
def replaced_in_model(mutant: Mutant) -> Iterator[None]:
    """Put the fault into the reference decoder's modules for the time of the ``with`` block."""
    if mutant.replaces == "config":
        with mock.patch("reference_model.model.open_folder", _with_config(mutant)):
            yield
        return
    place = _place_of(mutant.replaces)
    if place is None:
        yield
        return
    attribute = mutant.replaces.rpartition(".")[2]
    with mock.patch.object(place, attribute, _faulty(mutant, getattr(place, attribute))):
        yield


@contextmanager
def replaced_in(module: str, mutant: Mutant) -> Iterator[None]:
    """Put the fault into another module of ``reference_model``, where it is in there."""
    name, _, rest = mutant.replaces.partition(".")
    if name != module or not rest:
        yield
        return
    owner, _, attribute = rest.rpartition(".")
    place = importlib.import_module(f"reference_model.{_MODULES.get(module, module)}")
    place = getattr(place, owner) if owner else place
    with mock.patch.object(place, attribute, _faulty(mutant, getattr(place, attribute))):
        yield


@contextmanager
def replaced_in_encoder_decoders(mutant: Mutant) -> Iterator[None]:
    """Put the fault into the encoder-decoder of either shape, where it is in there."""
    with replaced_in(ENCODER_DECODER, mutant), replaced_in(TRANSFORMER, mutant):
        yield


@contextmanager
def calls_noted(names: Collection[str]) -> Iterator[set[str]]:
    """Yield the names, of what faults replace in the decoder, that are called in the block.

    Those of no function of the decoder are left out.
    """
    called: set[str] = set()
    with ExitStack() as stack:
        for name in names:
            place, attribute = _place_of(name), name.rpartition(".")[2]
            if place is not None:
                noted = _noted(called, name, getattr(place, attribute))
                stack.enter_context(mock.patch.object(place, attribute, noted))
        yield called


def is_in_decoder(mutant: Mutant) -> bool:
    """Return whether a fault replaces something of the reference decoder."""
    return mutant.replaces == "config" or _place_of(mutant.replaces) is not None


def _place_of(name: str) -> Any:
    """Return the decoder's module or class that holds what a fault replaces; None if none does."""
    owner, _, attribute = name.rpartition(".")
    for part in DECODER:
        module = importlib.import_module(f"reference_model.{part}")  # imports torch
        place = getattr(module, owner, None) if owner else module
        if hasattr(place, attribute):
            return place
    return None


def _with_config(mutant: Mutant) -> Callable[..., Any]:
    from reference_model import huggingface  # noqa: PLC0415  # the suite's own is not touched

    def open_folder(folder: Any) -> tuple[Any, Any]:
        config, weights = huggingface.open_folder(folder)
        return mutant.fault(config), weights

    return open_folder


def _faulty(mutant: Mutant, honest: Callable[..., Any]) -> Callable[..., Any]:
    """Return a plain function, so that a method's fault is bound to its object like the method."""

    @functools.wraps(honest)
    def faulty(*arguments: Any, **named: Any) -> Any:
        return mutant.fault(honest, *arguments, **named)

    return faulty


def _noted(called: set[str], name: str, honest: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(honest)
    def noted(*arguments: Any, **named: Any) -> Any:
        called.add(name)
        return honest(*arguments, **named)

    return noted
