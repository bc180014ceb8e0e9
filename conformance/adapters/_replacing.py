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
"""What faults of these modules of ``reference_model`` have before the name of what they replace."""


@contextmanager
def replaced_in_model(mutant: Mutant) -> Iterator[None]:
    """Put the fault into ``reference_model.model`` for the time of the ``with`` block.

    The oracle shares no code with it, and so stays right meanwhile.
    """
    from reference_model import model  # noqa: PLC0415  # imports torch

    if mutant.replaces == "config":
        with mock.patch(f"{model.__name__}.open_folder", _with_config(mutant)):
            yield
        return
    if not is_in_decoder(mutant):
        yield
        return
    owner, _, attribute = mutant.replaces.rpartition(".")
    place = getattr(model, owner) if owner else model
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
    place = importlib.import_module(f"reference_model.{module}")
    place = getattr(place, owner) if owner else place
    with mock.patch.object(place, attribute, _faulty(mutant, getattr(place, attribute))):
        yield


def is_in_decoder(mutant: Mutant) -> bool:
    """Return whether a fault replaces something of the reference decoder."""
    from reference_model import model  # noqa: PLC0415  # imports torch

    owner, _, attribute = mutant.replaces.rpartition(".")
    place = getattr(model, owner, None) if owner else model
    return mutant.replaces == "config" or hasattr(place, attribute)


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
