"""What a candidate has to offer: small protocols, of which only what is claimed is ever called.

Shape letters: B batch, T tokens of this call, S tokens seen so far (keys), V vocabulary.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from conformance.errors import CandidateRaised

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path
    from typing import Any

    import numpy as np
    from numpy.typing import NDArray

    from conformance.package import ModelPackage
    from conformance.records import (
        CandidateInfo,
        Continuation,
        Encoding,
        GenerationRequest,
        OperatorCall,
        SamplingCall,
    )

    Array = NDArray[Any]
    Ints = NDArray[np.int64]


class Session(Protocol):
    """A running sequence batch with its key/value cache (capability ``cache``)."""

    def append(self, input_ids_BT: Ints, attention_mask_BS: Ints, position_ids_BT: Ints) -> Array:
        """Feed T more tokens and return their logits (B, T, V).

        ``attention_mask_BS`` covers all S tokens so far, and each step's own counts: it may hide
        what was seen, as rejected drafts are; what was hidden once is never shown again. Positions
        are those of the T tokens, and may leave gaps.
        """
        ...

    def copy(self) -> Session:
        """Return an independent session in the same state."""
        ...

    def crop(self, length: int) -> None:
        """Forget everything after the first ``length`` tokens; all of it where that is 0."""
        ...

    def reorder(self, rows: Sequence[int]) -> None:
        """Make row i of the cache what row ``rows[i]`` was; there may be fewer rows or more."""
        ...


class Model(Protocol):
    """A loaded model. Only methods whose capability is claimed are ever called."""

    def logits(self, input_ids_BT: Ints, attention_mask_BT: Ints, position_ids_BT: Ints) -> Array:
        """Return logits (B, T, V) in the native type; mask 1 attends (capability ``logits``)."""
        ...

    def start(self, batch: int) -> Session:
        """Return an empty session for ``batch`` rows; several may live (capability ``cache``)."""
        ...

    def hidden_states(
        self, input_ids_BT: Ints, attention_mask_BT: Ints, position_ids_BT: Ints
    ) -> dict[str, Array]:
        """Return the taps ``layer.<i>`` after each layer (capability ``hidden_states``)."""
        ...


class Encoder(Protocol):
    """A loaded encoder (capability ``encoder``): what ``load`` returns for a package of one."""

    def encode_tokens(
        self, input_ids_BT: Ints, attention_mask_BT: Ints, token_type_ids_BT: Ints
    ) -> dict[str, Array]:
        """Return all that the package's tensors make, by name and in the native type.

        Args:
            input_ids_BT: token ids; their positions are their slots, padding counted.
            attention_mask_BT: 1 where a token may be seen, by all tokens.
            token_type_ids_BT: token types.

        Returns:
            ``last_hidden_state`` (B, T, D); ``pooler_output`` (B, D) where there is a pooler;
            ``logits`` (B, T, V) of masked tokens where there is a head.
        """
        ...


class TargetSession(Protocol):
    """A source with the target so far, and the keys and values of both."""

    def append_target(self, target_ids_BT: Ints) -> Array:
        """Feed T more target tokens of each row and return their logits (B, T, V)."""
        ...

    def reorder_target(self, rows: Sequence[int]) -> None:
        """Make row i what row ``rows[i]`` was, its source too; there may be fewer or more."""
        ...


class EncoderDecoder(Protocol):
    """A loaded encoder-decoder: what ``load`` returns for a package of one.

    A target is what the decoder is given, its start token included. All its tokens are seen by
    those behind them.
    """

    def decode_tokens(
        self, source_ids_BS: Ints, source_mask_BS: Ints, target_ids_BT: Ints
    ) -> dict[str, Array]:
        """Answer a source and a given target (capability ``encoder_decoder``).

        Args:
            source_ids_BS: token ids that are encoded.
            source_mask_BS: 1 where a token of the source may be seen, by source and target.
            target_ids_BT: token ids that are decoded.

        Returns:
            ``encoder_last_hidden_state`` (B, S, D) and ``logits`` (B, T, V), in the native type.
        """
        ...

    def start_target(self, source_ids_BS: Ints, source_mask_BS: Ints) -> TargetSession:
        """Encode a source and return its session of no target token (capability ``target_cache``).

        Several may live.
        """
        ...


class Packing(Protocol):
    """A model that computes several documents in one row (capability ``packed``)."""

    def packed_logits(
        self, input_ids_BT: Ints, document_ids_BT: Ints, position_ids_BT: Ints
    ) -> Array:
        """Return logits (B, T, V) in the native type; no document sees another.

        The tokens of a document stand together and share a number of their own in their row; 0 is
        padding behind the last of them. Positions begin anew with each document. What a runtime is
        given instead, a mask (B, 1, T, T), lengths added up, or the positions alone, is the
        adapter's to make of it.
        """
        ...


class Generating(Protocol):
    """A model that generates text (capability ``generation``)."""

    def generate(self, request: GenerationRequest) -> Sequence[Continuation]:
        """Return what is added to each prompt, in their order.

        Raises:
            Refused: the request cannot be answered as it stands: an empty prompt, one that is too
                long, no token to be added.
        """
        ...


class Inspectable(Protocol):
    """A model that computes an ONNX graph and can show its inner values; for diagnosis alone.

    Nothing shown is judged, and nobody has to claim it.
    """

    graph_file: Path | None
    """The graph; None where nothing can be shown."""

    def feed(
        self, input_ids_BT: Ints, attention_mask_BT: Ints, position_ids_BT: Ints
    ) -> dict[str, Array]:
        """Return the graph's inputs, by name, for tokens before which there are none."""
        ...

    def showing(self, names: Sequence[str]) -> Callable[[Sequence[str], Ints, Ints, Ints], Any]:
        """Open the graph once more, with these values as outputs too.

        Returns:
            what computes some of its outputs, in order, from token ids, mask and positions.
        """
        ...


class Candidate(Protocol):
    """The runtime or model under test. ``info`` is read before anything is asked of it."""

    info: CandidateInfo

    def load(self, package: ModelPackage) -> Any:
        """Load a package: a ``Model`` of a decoder's, an ``Encoder`` or an ``EncoderDecoder``.

        Capabilities ``logits``, ``encoder`` and ``encoder_decoder``; only packages of what is
        claimed are ever loaded.
        """
        ...

    def operator(self, call: OperatorCall) -> dict[str, Array]:
        """Compute one standard operator, outputs by formal name (capability ``operators``)."""
        ...


class Sampler(Protocol):
    """What a candidate has too that claims ``distributions`` or ``sampling``; it needs no model."""

    def process(self, call: SamplingCall) -> Array:
        """Return the distributions that tokens are drawn from, float32 (B, V).

        By the steps and policies that the claims declare (capability ``distributions``).
        """
        ...

    def sample(self, call: SamplingCall, seed: int, draws: int) -> Array:
        """Return token ids, int64 (B, N), each row drawn ``draws`` times from its distribution.

        Every draw is as if it were the only one: nothing that was drawn before counts (capability
        ``sampling``). Where ``seeded`` is claimed too the same seed draws the same tokens. Seeds
        that follow each other draw others, and not the same ones a draw later.
        """
        ...


class TextStream(Protocol):
    """Ids come one by one, and text goes out (capability ``text_streams``)."""

    def add(self, token: int) -> str:
        """Take one more id; return the text that can go out now, empty where there is none."""
        ...

    def finish(self) -> str:
        """Return what is left; no more ids come."""
        ...


class Tokenizer(Protocol):
    """What a candidate has too that claims ``tokenizer``; it needs no model.

    Text has no lone surrogates, and ids are from 0 to the declared size less 1.
    """

    def encode(
        self, texts: Sequence[str], *, add_special: bool, parse_special: bool
    ) -> Sequence[Encoding]:
        """Return the ids of each text, and their offsets where ``token_offsets`` is claimed.

        Args:
            texts: any texts, of any lengths.
            add_special: whether the declared special tokens are put at the ends of each.
            parse_special: whether a special token's spelling in a text stands for that token; it is
                text like any other where not.
        """
        ...

    def decode(self, rows: Sequence[Sequence[int]], *, skip_special: bool) -> Sequence[str]:
        """Return the text of each row of ids, with special tokens spelled out or left out."""
        ...

    def token_bytes(self, ids: Sequence[int]) -> Sequence[bytes]:
        """Return the bytes of each id (capability ``token_bytes``)."""
        ...

    def stream(self, *, skip_special: bool) -> TextStream:
        """Return an empty stream; several may live (capability ``text_streams``)."""
        ...


_CAPABILITIES = {
    "operator": "operators",
    "logits": "logits",
    "hidden_states": "hidden_states",
    "encode_tokens": "encoder",
    "decode_tokens": "encoder_decoder",
    **dict.fromkeys(("start_target", "append_target", "reorder_target"), "target_cache"),
    "packed_logits": "packed",
    "generate": "generation",
    "process": "distributions",
    "sample": "sampling",
    **dict.fromkeys(("encode", "decode"), "tokenizer"),
    "token_bytes": "token_bytes",
    **dict.fromkeys(("stream", "add", "finish"), "text_streams"),
}


def method_of(owner: Any, name: str) -> Callable[..., Any]:
    """Return a method that the candidate needs for what it claims.

    Raises:
        CandidateRaised: there is none.
    """
    method = getattr(owner, name, None)
    if not callable(method):
        raise CandidateRaised(
            f"the candidate claims {_CAPABILITIES.get(name, 'cache')!r}, but its "
            f"{type(owner).__name__} has no method {name}; write it, or claim less"
        )
    found: Callable[..., Any] = method
    return found
