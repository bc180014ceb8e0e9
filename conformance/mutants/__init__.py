"""Mutants: candidates with exactly one fault, each a bug that some implementation really had.

They prove the checks: a check that kills none of them checks nothing. A mutant is one function. It
gets the honest thing first, then the arguments of what it replaces::

    @mutant("attend", kills=("LOGITS-001",), bug="huggingface/transformers#1")
    def attention_scale_missing(honest, q_BHTK, k_BHSK, v_BHSK, allowed_B1TS, shape):
        '''Scores are not divided by the root of the head dim.'''
        q_BHTK = q_BHTK * math.sqrt(q_BHTK.shape[-1])
        return honest(q_BHTK, k_BHSK, v_BHSK, allowed_B1TS, shape)

What can be replaced: a function or method of ``reference_model.model``, ``norms``, ``mlp`` or
``moe`` by its name (``attend``, ``RMSNorm.forward``, ``build_decoder`` for the weights);
``config``, the model's configuration; ``graph``, the exported ONNX graph, which then runs in ONNX
Runtime; ``operator <Name>``, an operator of the standard; ``logits``, a whole answer of the model;
``start``, which begins a session, and the session's ``append``, ``copy``, ``crop`` and ``reorder``;
``generate``, the answer to a request, and ``generation.<name>``, a function of
``reference_model.generation``; ``encode_tokens``, an encoder's answer, and ``encoder.<name>``, a
function or method of ``reference_model.encoder.model``; ``decode_tokens``, ``start_target``,
``append_target`` and ``reorder_target``, an encoder-decoder's answers, and
``encoder_decoder.<name>``, of ``reference_model.encoder_decoder.model``, and
``transformer.<name>``, of ``reference_model.encoder_decoder.transformer.model``; ``process`` and
``draw``, the shares of tokens and the draw from them; ``encode``, ``decode``, ``token_bytes`` and
``stream``, a tokenizer's answers, ``tokenizer.<name>``, a function or method of
``reference_model.tokenizer``, ``word_level.<name>``, a function of ``reference_model.word_level``,
whose tokenizer of words, or of characters where the fault is in ``characters``, the candidate then
has, and ``facts``, what is declared of it; ``load``, the loading of a package; and ``info``, what
the candidate says of itself. ``config``, ``graph``, ``facts`` and ``info`` are values, and the
fault gets the value alone.

A mutant that changes nothing by mathematics says so in ``equivalent``, kills nothing, and has to
pass every check: a check that fails it is wrong. ``equivalent_at`` says the same of one precision,
at which the fault is what the contract allows, and ``below_noise_at`` names the precisions at which
it is a fault, and smaller than the rounding of honest candidates. Everywhere else it has to be
killed.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import pkgutil
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Fault = Callable[..., Any]


SESSION = ("start", "append", "copy", "crop", "reorder")
"""What can be replaced that only a session has: one pass is the honest candidate's own."""
TARGET = ("start_target", "append_target", "reorder_target")
"""What can be replaced of an encoder-decoder's session as a whole."""
TEXT = ("encode", "decode", "token_bytes", "stream", "facts")
"""What can be replaced of a tokenizer as a whole."""


@dataclass(frozen=True, slots=True)
class Mutant:
    """One fault."""

    name: str
    replaces: str
    summary: str
    kills: tuple[str, ...]
    """The requirements whose checks must each fail it."""
    bug: str
    """The historic bug, as repository#thread; ``generic`` for a fault that everybody makes."""
    topic: str
    fault: Fault
    equivalent: str = ""
    """Why it is no fault, where it changes nothing by mathematics: the proof."""
    survives: str = ""
    """Why no check fails it yet, though it is a fault: what would have to be checked."""
    equivalent_at: Mapping[str, str] = field(default_factory=dict)
    """By precision contract: why it is no fault there."""
    below_noise_at: tuple[str, ...] = ()
    """Precision contracts under which it is too small to be told from honest rounding."""

    @property
    def operator(self) -> str | None:
        """The operator that it replaces; None where it replaces a part of a model."""
        kind, _, name = self.replaces.partition(" ")
        return name if kind == "operator" else None

    def proof(self, precision: str) -> str:
        """Return why it is no fault under a precision contract; empty where it is one."""
        return self.equivalent or self.equivalent_at.get(precision, "")


def mutant(
    replaces: str,
    *,
    bug: str,
    kills: tuple[str, ...] = (),
    equivalent: str = "",
    survives: str = "",
    equivalent_at: Mapping[str, str] | None = None,
    below_noise_at: tuple[str, ...] = (),
) -> Callable[[Fault], Mutant]:
    """Make a mutant of a function; its name and docstring are the mutant's.

    Args:
        replaces: what the function stands in for.
        bug: the historic bug, as repository#thread, or ``generic``.
        kills: the requirements that have to fail it.
        equivalent: the proof that it changes nothing; then nothing may fail it.
        survives: why nothing fails it, where that is known and not right.
        equivalent_at: by precision contract, why it is no fault there.
        below_noise_at: precision contracts under which it is smaller than honest rounding.
    """

    def make(fault: Fault) -> Mutant:
        summary = inspect.getdoc(fault)
        assert summary, f"{fault.__name__} has no docstring"
        reasons = (bool(kills), bool(equivalent), bool(survives))
        assert sum(reasons) == 1, f"{fault.__name__}: kills, equivalent or survives, one of them"
        return Mutant(
            name=fault.__name__.replace("_", "-"),
            replaces=replaces,
            summary=summary,
            kills=kills,
            bug=bug,
            topic=fault.__module__.rpartition(".")[2],
            fault=fault,
            equivalent=equivalent,
            survives=survives,
            equivalent_at=equivalent_at or {},
            below_noise_at=below_noise_at,
        )

    return make


@functools.cache
def all_mutants() -> Mapping[str, Mutant]:
    """Return every mutant by name, in the order of the topics' modules."""
    found: dict[str, Mutant] = {}
    for info in pkgutil.iter_modules(__path__):
        module = importlib.import_module(f"{__name__}.{info.name}")
        for value in vars(module).values():
            if isinstance(value, Mutant):
                assert value.name not in found, f"two mutants are called {value.name}"
                found[value.name] = value
    return found
