"""The candidate protocols as the parent sees them: each method is a question to the child."""

from __future__ import annotations

import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from conformance.errors import UsageError
from conformance.worker import generation, sampling, tokenizer
from conformance.worker.held import (
    Remote,
    Session,
    Shown,
    Stream,
    TargetSession,
    only,
    tokens_out,
)
from conformance.worker.supervisor import Limits, Supervisor, built_in

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from conformance.candidate import Candidate
    from conformance.package import ModelPackage
    from conformance.records import (
        CandidateInfo,
        Continuation,
        Encoding,
        GenerationRequest,
        OperatorCall,
        SamplingCall,
    )
    from conformance.worker.wire import Message

    Array = NDArray[Any]
    Ints = NDArray[np.int64]


@contextmanager
def isolated(
    text: str, limits: Limits | None = None, open_package: str = "conformance.models:open_package"
) -> Iterator[Candidate]:
    """Open the candidate that ``text`` names in a process of its own, and end it at the end.

    Args:
        text: the candidate as it is written on the command line.
        limits: time, memory and restarts.
        open_package: ``module:function`` with which the child opens a model package, called as
            ``function(path, name)``; it decides how builds are made.

    Raises:
        UsageError: there is no such adapter, or this system has no process groups.
        CandidateUnavailable: the adapter says that it cannot be opened here.
        CandidateFault: the candidate crashed, hung or raised while it was opened.
    """
    if os.name != "posix":
        raise UsageError(f"--isolate needs a POSIX system, this one is {os.name!r}; leave it out")
    supervisor = Supervisor(text, limits or Limits(), open_package)
    try:
        supervisor.current_life()
        yield _Candidate(supervisor)
    finally:
        supervisor.close()


class _Candidate:
    """A candidate that lives in the child."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor
        self.info: CandidateInfo = supervisor.info

    def load(self, package: ModelPackage) -> _Model:
        """Load a model package, in the child, from its folder."""
        model = _Model(self._supervisor, package)
        model.remote()
        return model

    def operator(self, call: OperatorCall) -> dict[str, Array]:
        """Compute one standard operator in the child."""
        self._supervisor.current_life()
        fields = {
            "domain": call.domain,
            "operator": call.operator,
            "opset": call.opset,
            "attributes": {name: _plain(value) for name, value in call.attributes.items()},
            "outputs": list(call.outputs),
        }
        seconds = self._supervisor.limits.call_s
        return dict(self._supervisor.ask("operator", call.inputs, seconds, call=fields).arrays)

    def process(self, call: SamplingCall) -> Array:
        """Return the distributions (B, V) that tokens are drawn from."""
        return self._of_sampling("process", call)

    def sample(self, call: SamplingCall, seed: int, draws: int) -> Array:
        """Return drawn token ids (B, N)."""
        return self._of_sampling("sample", call, int(seed), int(draws))

    def encode(
        self, texts: Sequence[str], *, add_special: bool, parse_special: bool
    ) -> list[Encoding]:
        """Return the ids of each text, with their offsets where the candidate tells them."""
        asked = {"add_special": add_special, "parse_special": parse_special}
        return tokenizer.encodings_in(self._of_text("encode", tokenizer.texts_out(texts), **asked))

    def decode(self, rows: Sequence[Sequence[int]], *, skip_special: bool) -> list[str]:
        """Return the text of each row of ids."""
        arrays = tokenizer.rows_out(rows)
        return tokenizer.texts_in(self._of_text("decode", arrays, skip_special=skip_special))

    def token_bytes(self, ids: Sequence[int]) -> list[bytes]:
        """Return the bytes of each id."""
        return tokenizer.pieces_in(self._of_text("token_bytes", tokenizer.rows_out([ids])))

    def stream(self, *, skip_special: bool) -> Stream:
        """Return what turns ids into text as they come, in the child."""
        answer = self._of_text("stream", {}, skip_special=skip_special)
        return Stream(self._supervisor, Remote(self._supervisor, self._supervisor.life, answer))

    def _of_text(self, verb: str, arrays: dict[str, Array], **fields: Any) -> Message:
        self._supervisor.current_life()
        return self._supervisor.ask(verb, arrays, self._supervisor.limits.call_s, **fields)

    def _of_sampling(self, verb: str, call: SamplingCall, *wanted: int) -> Array:
        self._supervisor.current_life()
        fields, arrays = sampling.told(call)
        seconds = self._supervisor.limits.call_s
        answer = self._supervisor.ask(verb, arrays, seconds, call=fields, wanted=list(wanted))
        return only(answer, verb)


class _Model:
    """A model in the child, loaded again in each life of the child in which it is used."""

    def __init__(self, supervisor: Supervisor, package: ModelPackage) -> None:
        self._supervisor, self._package = supervisor, package
        self._remote: Remote | None = None
        self._graph_file: Path | None = None

    def remote(self) -> Remote:
        """Return the model's object in the child, loaded where it is not yet."""
        life = self._supervisor.current_life()
        if self._remote is None or self._remote.life != life:
            seconds = self._supervisor.limits.load_s
            path, name = str(self._package.path), self._package.name
            answer = self._supervisor.ask("load", {}, seconds, path=path, name=name)
            self._remote = Remote(self._supervisor, life, answer)
            self._package.built.update(built_in(answer))
            graph = answer.header.get("graph")
            self._graph_file = Path(graph) if isinstance(graph, str) else None
        return self._remote

    @property
    def graph_file(self) -> Path | None:
        """The graph that the candidate computes, where inner values of it can be shown."""
        self.remote()
        return self._graph_file

    def _ask(self, verb: str, arrays: dict[str, Array], **fields: Any) -> Message:
        handle = self.remote().handle
        seconds = self._supervisor.limits.call_s
        return self._supervisor.ask(verb, arrays, seconds, handle=handle, **fields)

    def logits(self, input_ids_BT: Ints, attention_mask_BT: Ints, position_ids_BT: Ints) -> Array:
        """Return the logits (B, T, V) in the native type."""
        arrays = tokens_out(input_ids_BT, attention_mask_BT, position_ids_BT)
        return only(self._ask("logits", arrays))

    def packed_logits(
        self, input_ids_BT: Ints, document_ids_BT: Ints, position_ids_BT: Ints
    ) -> Array:
        """Return the logits (B, T, V) of packed rows."""
        arrays = {
            "input_ids": input_ids_BT,
            "document_ids": document_ids_BT,
            "position_ids": position_ids_BT,
        }
        return only(self._ask("packed_logits", arrays))

    def hidden_states(
        self, input_ids_BT: Ints, attention_mask_BT: Ints, position_ids_BT: Ints
    ) -> dict[str, Array]:
        """Return the taps by name."""
        arrays = tokens_out(input_ids_BT, attention_mask_BT, position_ids_BT)
        return dict(self._ask("hidden_states", arrays).arrays)

    def encode_tokens(
        self, input_ids_BT: Ints, attention_mask_BT: Ints, token_type_ids_BT: Ints
    ) -> dict[str, Array]:
        """Return what an encoder answers, by name."""
        arrays = {
            "input_ids": input_ids_BT,
            "attention_mask": attention_mask_BT,
            "token_type_ids": token_type_ids_BT,
        }
        return dict(self._ask("encode_tokens", arrays).arrays)

    def decode_tokens(
        self, source_ids_BS: Ints, source_mask_BS: Ints, target_ids_BT: Ints
    ) -> dict[str, Array]:
        """Return what an encoder-decoder answers to a given target, by name."""
        arrays = {
            "source_ids": source_ids_BS,
            "source_mask": source_mask_BS,
            "target_ids": target_ids_BT,
        }
        return dict(self._ask("decode_tokens", arrays).arrays)

    def start_target(self, source_ids_BS: Ints, source_mask_BS: Ints) -> TargetSession:
        """Return a session of no target token on a source."""
        arrays = {"source_ids": source_ids_BS, "source_mask": source_mask_BS}
        answer = self._ask("start_target", arrays)
        return TargetSession(
            self._supervisor, Remote(self._supervisor, self._supervisor.life, answer)
        )

    def feed(
        self, input_ids_BT: Ints, attention_mask_BT: Ints, position_ids_BT: Ints
    ) -> dict[str, Array]:
        """Return the graph's inputs by name."""
        arrays = tokens_out(input_ids_BT, attention_mask_BT, position_ids_BT)
        return dict(self._ask("feed", arrays).arrays)

    def showing(self, names: Sequence[str]) -> Shown:
        """Open the graph in the child with inner values as outputs."""
        answer = self._ask("showing", {}, names=list(names))
        return Shown(self._supervisor, Remote(self._supervisor, self._supervisor.life, answer))

    def generate(self, request: GenerationRequest) -> list[Continuation]:
        """Return what is added to each prompt."""
        fields, arrays = generation.told(request)
        return generation.continuations_of(self._ask("generate", arrays, **fields))

    def start(self, batch: int) -> Session:
        """Return an empty session for ``batch`` rows."""
        answer = self._ask("start", {}, batch=int(batch))
        return Session(self._supervisor, Remote(self._supervisor, self._supervisor.life, answer))


def _plain(value: Any) -> Any:
    """Return an attribute's value as JSON knows it."""
    return value.tolist() if isinstance(value, np.generic | np.ndarray) else value
