"""How a mutant's fault is put into the reference model, and taken out again.

The oracle shares no code with it, and so stays right meanwhile.
"""

from __future__ import annotations

import functools
import importlib
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from unittest import mock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from conformance.mutants import Mutant

GENERATION, TOKENIZER = "generation", "tokenizer"
ENCODER, ENCODER_DECODER = "encoder", "encoder_decoder"
"""What faults of these modules of ``reference_model`` have before the name of what they replace."""
_MODULES = {ENCODER: "encoder.model", ENCODER_DECODER: "encoder_decoder.model"}
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
    place = _place_in_decoder(mutant)
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


def is_in_decoder(mutant: Mutant) -> bool:
    """Return whether a fault replaces something of the reference decoder."""
    return mutant.replaces == "config" or _place_in_decoder(mutant) is not None


def _place_in_decoder(mutant: Mutant) -> Any:
    """Return the module or the class that holds what a fault replaces; None if none does."""
    owner, _, attribute = mutant.replaces.rpartition(".")
    for name in DECODER:
        module = importlib.import_module(f"reference_model.{name}")  # imports torch
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
