"""The suite's own NumPy oracle as a candidate: exact, then rounded once to the claimed type.

It shows that every check can be passed, and what a perfect candidate measures. It is no evidence
for anything else: it is judged by itself. Shape letters: B batch, T tokens, S tokens seen so far,
V vocabulary.
"""

from __future__ import annotations

import platform
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

import conformance
from conformance import precision, spec
from conformance.adapters import _file_tokenizer
from conformance.adapters._exact_encoder_decoder import ExactEncoderDecoder
from conformance.candidate import choose
from conformance.errors import (
    CandidateUnavailable,
    Refused,
    SpecError,
    Unsupported,
    did_you_mean,
)
from conformance.records import CandidateInfo, Claims, Continuation, SamplingPolicy

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from conformance.adapters._file_tokenizer import FileTokenizer
    from conformance.candidate import Candidate
    from conformance.package import ModelPackage
    from conformance.records import Contract, GenerationRequest, OperatorCall, SamplingCall

    Array = NDArray[Any]
    Ints = NDArray[np.int64]

_CAPABILITIES = frozenset(
    {
        *("logits", "cache", "operators", "hidden_states", "generation", "deterministic"),
        *("encoder", "encoder_decoder", "target_cache", "packed"),
        *("distributions", "sampling", "seeded", "seeded_rows"),
    }
    | _file_tokenizer.CAPABILITIES
)
_TARGET = "numpy"
_DRAFT = 64
"""Tokens that are guessed at once."""


@contextmanager
def open(target: str, options: Mapping[str, str]) -> Iterator[Candidate]:  # noqa: A001  # the seam
    """Open the oracle; it has one target, ``numpy``, and no options.

    Raises:
        CandidateUnavailable: another target or an option is asked for.
    """
    choose(options, {})
    if target not in ("", _TARGET):
        raise CandidateUnavailable(f"unknown target {target!r}.{did_you_mean(target, [_TARGET])}")
    tokenizer = _file_tokenizer.own()
    claims = Claims(_CAPABILITIES, sampling=SamplingPolicy(), tokenizer=tokenizer.facts)
    yield _Candidate(claims, tokenizer, spec.load().contracts[claims.precision])


class _Candidate:
    """The oracle's operators, and its decoder."""

    def __init__(self, claims: Claims, tokenizer: FileTokenizer, contract: Contract) -> None:
        self._contract = contract
        self.encode, self.decode = tokenizer.encode, tokenizer.decode
        self.token_bytes, self.stream = tokenizer.token_bytes, tokenizer.stream
        self.info = CandidateInfo(
            name="reference",
            version=conformance.__version__,
            runtime=f"numpy {np.__version__}",
            device=platform.machine() or "cpu",
            claims=claims,
        )

    def process(self, call: SamplingCall) -> Array:
        """Return the exact distributions (B, V), rounded once."""
        return _rounded(self._distributions(call), np.dtype(np.float32))

    def sample(self, call: SamplingCall, seed: int, draws: int) -> Ints:
        """Return tokens (B, N) that NumPy's own generator chooses."""
        rows = [
            np.random.default_rng([seed, row]).choice(len(p_V), draws, p=p_V)
            for row, p_V in enumerate(self._distributions(call))
        ]
        return np.stack(rows).astype(np.int64)

    def _distributions(self, call: SamplingCall) -> Array:
        from conformance.oracles import sampling  # noqa: PLC0415

        return sampling.distributions(call, SamplingPolicy()).value_BV

    def load(self, package: ModelPackage) -> _Model | _Encoder | ExactEncoderDecoder:
        """Load a package's weights into the fp64 decoder, encoder or encoder-decoder."""
        from conformance import encoder_decoders, encoders  # noqa: PLC0415

        if encoder_decoders.is_encoder_decoder(package.config):
            both = encoder_decoders.oracle(package, self._contract)
            return ExactEncoderDecoder(both, precision.dtype(self._contract.output))

        if encoders.is_encoder(package.config):
            exact = encoders.oracle(package, self._contract)
            return _Encoder(exact, precision.dtype(self._contract.output))
        from conformance.oracles.architecture import Architecture  # noqa: PLC0415
        from conformance.oracles.checkpoint import weights_of  # noqa: PLC0415
        from conformance.oracles.decoder import Decoder  # noqa: PLC0415

        weights = weights_of(package.config, package.weights())
        decoder = Decoder(Architecture.from_config(package.config), weights)
        positions = package.sizes["max_position_embeddings"]
        return _Model(decoder, precision.dtype(self._contract.output), positions)

    def operator(self, call: OperatorCall) -> dict[str, Array]:
        """Return the exact outputs, rounded once to the type of the contract."""
        from conformance.oracles import standard  # noqa: PLC0415

        try:
            expected = standard.expected(call, self._contract)
        except SpecError as error:
            raise Unsupported(str(error)) from error
        return {
            name: _rounded(answer.value, precision.dtype(answer.dtype))
            for name, answer in expected.items()
        }


def _rounded(exact: Array, dtype: np.dtype[Any]) -> Array:
    with np.errstate(over="ignore", under="ignore"):  # infinity is what such a number rounds to
        return exact.astype(dtype)


class _Encoder:
    """The fp64 encoder, its answers rounded once."""

    def __init__(self, encoder: Any, dtype: np.dtype[Any]) -> None:
        self._encoder, self._dtype = encoder, dtype

    def encode_tokens(
        self, input_ids_BT: Ints, attention_mask_BT: Ints, token_type_ids_BT: Ints
    ) -> dict[str, Array]:
        """Return hidden states, and what else its parts answer, by name."""
        exact = self._encoder.encode(input_ids_BT, attention_mask_BT, token_type_ids_BT)
        return {name: _rounded(array, self._dtype) for name, array in exact.items()}


class _Model:
    """The fp64 decoder, its answers rounded once."""

    def __init__(self, decoder: Any, dtype: np.dtype[Any], positions: int) -> None:
        self._decoder, self._dtype, self._positions = decoder, dtype, positions

    def logits(self, input_ids_BT: Ints, attention_mask_BT: Ints, position_ids_BT: Ints) -> Array:
        """Return the logits (B, T, V)."""
        exact = self._decoder.logits(input_ids_BT, attention_mask_BT, position_ids_BT)
        return _rounded(exact, self._dtype)

    def packed_logits(
        self, input_ids_BT: Ints, document_ids_BT: Ints, position_ids_BT: Ints
    ) -> Array:
        """Return the logits (B, T, V) of each document by itself; of padding, zeros."""
        rows = []
        for ids_T, of_T, at_T in zip(input_ids_BT, document_ids_BT, position_ids_BT, strict=True):
            borders = np.flatnonzero(np.diff(of_T)) + 1
            parts = (np.split(array_T, borders) for array_T in (ids_T, of_T, at_T))
            alone = [self._document(*part) for part in zip(*parts, strict=True)]
            rows.append(np.concatenate(alone))
        return np.stack(rows)

    def _document(self, ids_T: Ints, of_T: Ints, at_T: Ints) -> Array:
        ones_1T = np.ones_like(ids_T)[None]
        logits_1TV = self.logits(ids_T[None], ones_1T, at_T[None])
        shown_TV: Array = np.where(of_T[:, None] != 0, logits_1TV[0], logits_1TV.dtype.type(0))
        return shown_TV

    def last_logits(self, first: int, *inputs: Ints) -> Array:
        """Return the logits (B, T, V) of the tokens of rows from the place ``first`` on."""
        places_T = np.arange(first, inputs[0].shape[1])
        return _rounded(self._decoder.logits_at(*inputs, places_T), self._dtype)

    def hidden_states(
        self, input_ids_BT: Ints, attention_mask_BT: Ints, position_ids_BT: Ints
    ) -> dict[str, Array]:
        """Return the stream after each layer, (B, T, D)."""
        exact = self._decoder.hidden_states(input_ids_BT, attention_mask_BT, position_ids_BT)
        return {name: _rounded(tap, self._dtype) for name, tap in exact.items()}

    def generate(self, request: GenerationRequest) -> list[Continuation]:
        """Return what the oracle adds to each prompt, one row at a time."""
        longest = max(map(len, request.prompts), default=0)
        if not all(map(len, request.prompts)) or longest > self._positions:
            raise Refused(f"prompts have from 1 to {self._positions} tokens")
        return [self._continued(prompt, request) for prompt in request.prompts]

    def _continued(self, prompt: tuple[int, ...], request: GenerationRequest) -> Continuation:
        """Add tokens, as many in one pass as were guessed right: none that was only guessed."""
        from conformance.oracles import generation  # noqa: PLC0415
        from conformance.oracles.operators.softmax import log_softmax  # noqa: PLC0415

        tokens: list[int] = []
        logprobs: list[float] = []
        while not (finish := generation.ending(tokens, request)):
            row = [*prompt, *tokens]
            guess = _guess(row)[: request.max_new_tokens - len(tokens) - 1]
            ids_1T = np.array([row + guess], np.int64)
            at_1T = np.arange(ids_1T.shape[1])[None]
            exact_TV = self._decoder.logits(ids_1T, np.ones_like(ids_1T), at_1T)[0]
            for exact_V, guessed in zip(exact_TV[len(row) - 1 :], [*guess, None], strict=True):
                tokens.append(int(np.argmax(exact_V)))
                logprobs.append(float(log_softmax(exact_V)[tokens[-1]]))
                if tokens[-1] != guessed or generation.ending(tokens, request):
                    break
        return Continuation(tuple(tokens), finish, tuple(logprobs) if request.logprobs else None)

    def start(self, batch: int) -> _Session:
        """Return an empty session for ``batch`` rows."""
        none_BS = np.zeros((batch, 0), np.int64)
        return _Session(self, none_BS, none_BS)


def _guess(row: list[int]) -> list[int]:
    """Return what may follow: what did when the row's last two tokens stood in it before, and on.

    Drafts from n-grams, as of prompt lookup decoding; what is guessed wrong costs time alone.
    """
    for end in range(len(row) - 1, 1, -1):
        if row[end - 2 : end] == row[-2:]:
            period = row[end:]
            return (period * (1 + _DRAFT // len(period)))[:_DRAFT]
    return []


class _Session:
    """All tokens so far; each step computes them again, so that no cache can be wrong."""

    def __init__(self, model: _Model, ids_BS: Ints, positions_BS: Ints) -> None:
        self._model, self._ids_BS, self._positions_BS = model, ids_BS, positions_BS

    def append(self, input_ids_BT: Ints, attention_mask_BS: Ints, position_ids_BT: Ints) -> Array:
        """Feed T more tokens; return their logits (B, T, V)."""
        self._ids_BS = np.concatenate([self._ids_BS, input_ids_BT], axis=1)
        self._positions_BS = np.concatenate([self._positions_BS, position_ids_BT], axis=1)
        past = self._ids_BS.shape[1] - input_ids_BT.shape[1]
        inputs = (self._ids_BS, attention_mask_BS, self._positions_BS)
        return self._model.last_logits(past, *inputs)

    def copy(self) -> _Session:
        """Return an independent session in the same state."""
        return _Session(self._model, self._ids_BS, self._positions_BS)

    def crop(self, length: int) -> None:
        """Forget everything after the first ``length`` tokens."""
        self._ids_BS, self._positions_BS = self._ids_BS[:, :length], self._positions_BS[:, :length]

    def reorder(self, rows: Sequence[int]) -> None:
        """Make row i what row ``rows[i]`` was."""
        picked = list(rows)
        self._ids_BS, self._positions_BS = self._ids_BS[picked], self._positions_BS[picked]
