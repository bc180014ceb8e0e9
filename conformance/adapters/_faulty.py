"""A model, a session and a stream of the honest candidate, with a fault while each answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from conformance.adapters._replacing import (
    ENCODER,
    GENERATION,
    TOKENIZER,
    replaced_in,
    replaced_in_encoder_decoders,
    replaced_in_model,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from conformance.candidate import Session
    from conformance.mutants import Mutant
    from conformance.records import GenerationRequest


class FaultyStream:
    def __init__(self, honest: Any, mutant: Mutant) -> None:
        self._honest, self._mutant = honest, mutant

    def add(self, token: int) -> Any:
        with replaced_in(TOKENIZER, self._mutant):
            return self._honest.add(token)

    def finish(self) -> Any:
        with replaced_in(TOKENIZER, self._mutant):
            return self._honest.finish()


class FaultyModel:
    def __init__(self, honest: Any, mutant: Mutant, replaced: Callable[..., Any]) -> None:
        self._honest, self._mutant, self._replaced = honest, mutant, replaced

    def logits(self, *inputs: Any) -> Any:
        with replaced_in_model(self._mutant):
            return self._replaced("logits", self._honest.logits)(*inputs)

    def hidden_states(self, *inputs: Any) -> Any:
        with replaced_in_model(self._mutant):
            return self._honest.hidden_states(*inputs)

    def packed_logits(self, *inputs: Any) -> Any:
        with replaced_in_model(self._mutant):
            return self._replaced("packed_logits", self._honest.packed_logits)(*inputs)

    def encode_tokens(self, *inputs: Any) -> Any:
        with replaced_in(ENCODER, self._mutant):
            return self._replaced("encode_tokens", self._honest.encode_tokens)(*inputs)

    def decode_tokens(self, *inputs: Any) -> Any:
        with replaced_in_encoder_decoders(self._mutant):
            return self._replaced("decode_tokens", self._honest.decode_tokens)(*inputs)

    def start_target(self, *source: Any) -> FaultyTarget:
        with replaced_in_encoder_decoders(self._mutant):
            started = self._replaced("start_target", self._honest.start_target)(*source)
        return FaultyTarget(started, self._mutant, self._replaced)

    def generate(self, request: GenerationRequest) -> Any:
        with replaced_in_model(self._mutant), replaced_in(GENERATION, self._mutant):
            return self._replaced("generate", self._honest.generate)(request)

    def start(self, batch: int) -> FaultySession:
        started = self._replaced("start", self._honest.start)(batch)
        return FaultySession(started, self._mutant, self._replaced)


class FaultyTarget:
    def __init__(self, honest: Any, mutant: Mutant, replaced: Callable[..., Any]) -> None:
        self._honest, self._mutant, self._replaced = honest, mutant, replaced

    def append_target(self, target_ids_BT: Any) -> Any:
        with replaced_in_encoder_decoders(self._mutant):
            return self._replaced("append_target", self._honest.append_target)(target_ids_BT)

    def reorder_target(self, rows: Any) -> None:
        with replaced_in_encoder_decoders(self._mutant):
            self._replaced("reorder_target", self._honest.reorder_target)(rows)


class FaultySession:
    def __init__(self, honest: Session, mutant: Mutant, replaced: Callable[..., Any]) -> None:
        self._honest, self._mutant, self._replaced = honest, mutant, replaced

    def append(self, *inputs: Any) -> Any:
        with replaced_in_model(self._mutant):
            return self._replaced("append", self._honest.append)(*inputs)

    def copy(self) -> FaultySession:
        copied = self._replaced("copy", self._honest.copy)()
        return FaultySession(copied, self._mutant, self._replaced)

    def crop(self, length: int) -> None:
        self._replaced("crop", self._honest.crop)(length)

    def reorder(self, rows: Any) -> None:
        self._replaced("reorder", self._honest.reorder)(rows)
