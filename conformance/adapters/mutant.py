"""Mutants as candidates: ``mutant:<name>[?export=onnx]``; the reference decoder with one fault.

It runs in torch; with ``export=onnx`` it is exported with its fault and runs in ONNX Runtime, as a
fault of the exported graph always does. Without a target it is the honest candidate that all
others are made from.
"""

from __future__ import annotations

import dataclasses
import functools
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from conformance import mutants, spec
from conformance.adapters import _sampling, _tokenizer, _words, onnxruntime, pytorch
from conformance.adapters._faulty import FaultyModel, FaultyStream
from conformance.adapters._one_by_one import PROMISES
from conformance.adapters._replacing import (
    ENCODER,
    TOKENIZER,
    WORD_LEVEL,
    calls_noted,
    is_in_decoder,
    replaced_in,
    replaced_in_encoder_decoders,
    replaced_in_model,
)
from conformance.candidate import choose
from conformance.errors import CandidateUnavailable, did_you_mean
from conformance.records import SamplingPolicy

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

    from conformance.candidate import Candidate, Model
    from conformance.mutants import Mutant
    from conformance.package import ModelPackage
    from conformance.records import OperatorCall, SamplingCall


@contextmanager
def open(target: str, options: Mapping[str, str]) -> Iterator[Candidate]:  # noqa: A001  # the seam
    """Open the mutant of a name; options are ``export`` and those of ``pytorch``.

    Raises:
        CandidateUnavailable: there is no such mutant, torch is not installed, or a graph, which is
            float32, is asked for in another type or of a fault that is in no decoder.
    """
    known = mutants.all_mutants()
    if target and target not in known:
        raise CandidateUnavailable(f"there is no mutant {target!r}.{did_you_mean(target, known)}")
    mutant = known.get(target)
    others = {name: value for name, value in options.items() if name != "export"}
    own = choose({n: v for n, v in options.items() if n not in others}, {"export": ("no", "onnx")})
    if mutant is not None and (mutant.replaces == "graph" or own["export"] == "onnx"):
        with _graph(mutant, others) as faulty:
            yield faulty
        return
    broken = _broken_promises(mutant)
    if broken & PROMISES:  # only what keeps a promise can be seen to break it
        others = {**others, "invariant": "true"}
    with pytorch.open("cpu", others) as torch:
        honest = _Extended(torch)
        yield _Candidate(honest, mutant, broken) if mutant else honest


def met(chosen: Collection[Mutant], package: ModelPackage, inputs: Sequence[Any]) -> list[Mutant]:
    """Return the faults that the logits of a pass can hold.

    Left out are faults of functions that the decoder never calls for this model, such as those of a
    router, and of configurations that they leave as they are.
    """
    from reference_model import huggingface  # noqa: PLC0415  # imports torch

    config, _ = huggingface.open_folder(package.path)
    with (
        calls_noted({mutant.replaces for mutant in chosen}) as called,
        pytorch.open("cpu", {"dtype": "float64"}) as honest,
    ):
        honest.load(package).logits(*inputs)
    return [mutant for mutant in chosen if _is_met(mutant, config, called)]


def _is_met(mutant: Mutant, config: Any, called: set[str]) -> bool:
    if mutant.replaces == "config":
        return bool(mutant.fault(config) != config)
    return mutant.replaces in called or not is_in_decoder(mutant)


def _broken_promises(mutant: Mutant | None) -> frozenset[str]:
    """Return the promises of bits that a fault breaks, by the requirements that it names."""
    known = spec.load().requirements
    needs = (known[name].needs for name in (mutant.kills if mutant else ()))
    return frozenset(need for each in needs for need in each) & (PROMISES | {"deterministic"})


@contextmanager
def _graph(mutant: Mutant, options: Mapping[str, str]) -> Iterator[Candidate]:
    """Open ONNX Runtime with a fault in every graph that it loads."""
    if options.get("dtype", "float32") != "float32":
        raise CandidateUnavailable(f"mutant {mutant.name!r}: the exported graph is float32")
    if mutant.replaces != "graph" and not is_in_decoder(mutant):
        raise CandidateUnavailable(
            f"mutant {mutant.name!r} replaces {mutant.replaces}, which no exported graph holds"
        )
    # The graphs stay as long as the candidate: who shows their inner values opens them again.
    with (
        onnxruntime.open("", {"threads": "1"}) as honest,
        tempfile.TemporaryDirectory() as folder,
    ):
        yield _GraphCandidate(honest, mutant, Path(folder))


class _Extended:
    """The honest candidate, with the reference model's sampler and tokenizer."""

    def __init__(self, honest: Candidate) -> None:
        claims = dataclasses.replace(
            honest.info.claims,
            capabilities=honest.info.claims.capabilities
            | _sampling.CAPABILITIES
            | _tokenizer.CAPABILITIES,
            sampling=SamplingPolicy(),
            tokenizer=_tokenizer.facts(),
        )
        self.info = dataclasses.replace(honest.info, claims=claims)
        self.load, self.operator = honest.load, honest.operator
        self.process = _sampling.process
        self.encode, self.decode = _tokenizer.encode, _tokenizer.decode
        self.token_bytes, self.stream = _tokenizer.token_bytes, _tokenizer.stream

    def sample(self, call: SamplingCall, seed: int, draws: int) -> Any:
        """Return tokens (B, N) of the call's distributions."""
        return _sampling.draw(self.process(call), seed, draws)


class _Candidate:
    """The honest candidate with one thing replaced."""

    def __init__(self, honest: _Extended, mutant: Mutant, promises: frozenset[str]) -> None:
        self._honest, self._mutant = honest, mutant
        self._text = _words.text_of(mutant)
        claims = _words.claimed(honest.info.claims, self._text)
        claims = dataclasses.replace(claims, capabilities=claims.capabilities | promises)
        if mutant.replaces == "facts":
            claims = dataclasses.replace(claims, tokenizer=mutant.fault(claims.tokenizer))
        info = dataclasses.replace(honest.info, name=f"mutant {mutant.name}", claims=claims)
        self.info = mutant.fault(info) if mutant.replaces == "info" else info

    def _replaced(self, what: str, honest: Callable[..., Any]) -> Callable[..., Any]:
        """Return the mutant's version of ``what``, or the honest one if that is not its fault."""
        if self._mutant.replaces != what:
            return honest
        return functools.partial(self._mutant.fault, honest)

    def load(self, package: ModelPackage) -> Model:
        """Load a package into the faulty decoder."""
        with (
            replaced_in_model(self._mutant),
            replaced_in(ENCODER, self._mutant),
            replaced_in_encoder_decoders(self._mutant),
        ):
            model = self._replaced("load", self._honest.load)(package)
        return FaultyModel(model, self._mutant, self._replaced)

    def operator(self, call: OperatorCall) -> dict[str, Any]:
        """Compute one standard operator, with the fault if it is in this one."""
        answer = self._replaced(f"operator {call.operator}", self._honest.operator)(call)
        return dict(answer)

    def process(self, call: SamplingCall) -> Any:
        """Return the distributions (B, V), with the fault if it is in them."""
        return self._replaced("process", _sampling.process)(call)

    def sample(self, call: SamplingCall, seed: int, draws: int) -> Any:
        """Return tokens (B, N) of the same distributions, with the fault if it is in the draw."""
        return self._replaced("draw", _sampling.draw)(self.process(call), seed, draws)

    def encode(self, texts: Any, **asked: bool) -> Any:
        """Return the ids and offsets of each text."""
        with replaced_in(TOKENIZER, self._mutant), replaced_in(WORD_LEVEL, self._mutant):
            return self._replaced("encode", self._text.encode)(texts, **asked)

    def decode(self, rows: Any, **asked: bool) -> Any:
        """Return the text of each row of ids."""
        with replaced_in(TOKENIZER, self._mutant), replaced_in(WORD_LEVEL, self._mutant):
            return self._replaced("decode", self._text.decode)(rows, **asked)

    def token_bytes(self, ids: Any) -> Any:
        """Return the bytes of each id."""
        return self._replaced("token_bytes", _tokenizer.token_bytes)(ids)

    def stream(self, **asked: bool) -> Any:
        """Return an empty stream, with the fault if it is in streams."""
        return FaultyStream(self._replaced("stream", _tokenizer.stream)(**asked), self._mutant)


class _GraphCandidate:
    """ONNX Runtime, which is given graphs that were edited, or exported with a fault."""

    def __init__(self, honest: Candidate, mutant: Mutant, folder: Path) -> None:
        self._honest, self._mutant, self._folder = honest, mutant, folder
        self.info = dataclasses.replace(honest.info, name=f"mutant {mutant.name}")
        self.operator = honest.operator

    def load(self, package: ModelPackage) -> Model:
        """Load a package whose graph has the fault."""
        file = Path(tempfile.mkdtemp(dir=self._folder)) / "model.onnx"
        if self._mutant.replaces == "graph":
            import onnx  # noqa: PLC0415  # only graphs need it

            onnx.save(self._mutant.fault(onnx.load(package.file(file.name))), file)
        else:
            from reference_model import export  # noqa: PLC0415  # the same

            with replaced_in_model(self._mutant):
                export.write_onnx(package.path, file)
        faulty: Model = self._honest.load(dataclasses.replace(package, path=file.parent))
        return faulty
