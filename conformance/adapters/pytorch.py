"""PyTorch: the suite's reference decoder in torch, and torch's own functions for the operators.

``pytorch[:cpu|cuda|cuda:<n>][?dtype=...&compile=decoder|true&attention=sdpa|eager&invariant=true]``

What is under test is torch: its kernels, its compiler, its devices and types. Operators of
attention are torch's scaled_dot_product_attention, or composed of plain functions.
Encoders and encoder-decoders are those of the reference model in torch.
``compile=decoder`` compiles the model for free sizes, ``compile=true`` each operator too; torch
makes a program anew where a size is 0 or 1, in seconds, so that profile ``operators`` then takes
about an hour. ``invariant=true`` computes one token of one row at a time, and claims that no bit
depends on batch or steps. Shape letters: B batch, T tokens, S keys, V vocabulary.
"""

from __future__ import annotations

import dataclasses
import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from conformance.adapters import _torch, _torch_operators
from conformance.adapters._one_by_one import PROMISES, OneByOne
from conformance.adapters._session import ArraySession
from conformance.adapters._torch_encoder import TorchEncoder
from conformance.adapters._torch_encoder_decoder import TorchEncoderDecoder
from conformance.candidate import choose, not_importable
from conformance.encoder_decoder_configs import is_encoder_decoder
from conformance.errors import Refused
from conformance.formats.bert_config import is_encoder
from conformance.records import CandidateInfo, Continuation

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import numpy as np
    from numpy.typing import NDArray

    from conformance.candidate import Candidate
    from conformance.package import ModelPackage
    from conformance.records import GenerationRequest, OperatorCall

    _Other = TorchEncoder | TorchEncoderDecoder
    Array = NDArray[Any]
    Ints = NDArray[np.int64]

_CAPABILITIES = frozenset(
    {"logits", "cache", "operators", "hidden_states", "encoder", "encoder_decoder"}
)
_EAGER_CAPABILITIES = _CAPABILITIES | {"generation", "packed", "target_cache"}
"""The reference loop of generation asks the decoder itself, which a compiled one is not, and so do
steps of an encoder-decoder; packed rows were not tried compiled."""
_INVARIANT_CAPABILITIES = _CAPABILITIES - {"hidden_states", "encoder", "encoder_decoder"}
"""What is computed token by token; hidden states would be those of one pass, and encoders are."""
_COMPILED = {"false": "eager", "decoder": "decoder compiled, operators eager", "true": "compiled"}
"""By ``compile``: how the runtime describes itself."""
_LAYER = re.compile(r"layer\.\d+")


@contextmanager
def open(target: str, options: Mapping[str, str]) -> Iterator[Candidate]:  # noqa: A001  # the seam
    """Open torch on a device; ``dtype`` is the type of weights and activations, and the claim.

    Raises:
        CandidateUnavailable: torch is not installed, or the device or an option is unknown.
    """
    chosen = choose(
        options,
        {
            "dtype": tuple(_torch.PRECISIONS),
            "compile": tuple(_COMPILED),
            "attention": ("sdpa", "eager"),
            "invariant": ("false", "true"),
        },
    )
    try:
        import torch  # noqa: PLC0415
    except ImportError as error:
        raise not_importable("torch", "pip install torch", error) from error

    where = _torch.device(target)
    with _torch.as_claimed():
        yield _Candidate(where, getattr(torch, chosen["dtype"]), chosen)


class _Candidate:
    """torch on one device, in one type."""

    def __init__(self, where: Any, dtype: Any, options: Mapping[str, str]) -> None:
        import torch  # noqa: PLC0415

        self._where, self._dtype = where, dtype
        self._compiled = options["compile"]
        self._eager_attention = options["attention"] == "eager"
        self._invariant = options["invariant"] == "true"
        claims = _torch.claims(self._capabilities(), options["dtype"])
        how = _COMPILED[self._compiled]
        if self._eager_attention:  # a softmax of minus infinities alone is 0 / 0
            terms = {**claims.contract, "query_without_keys": "nan"}
            claims = dataclasses.replace(claims, contract=terms)
            how += ", attention composed"
        self.info = CandidateInfo(
            name="pytorch",
            version=torch.__version__,
            runtime=f"torch {torch.__version__}, {how}",
            device=_torch.device_name(where),
            claims=claims,
        )

    def _capabilities(self) -> frozenset[str]:
        """Return what is there in this mode, and the promises of bits that were measured in it."""
        measured = self._where.type == "cpu" and self._compiled == "false"
        promised = frozenset({"deterministic"}) if measured else frozenset()
        if self._invariant:
            return _INVARIANT_CAPABILITIES | promised | (PROMISES if measured else promised)
        return promised | (_CAPABILITIES if self._compiled != "false" else _EAGER_CAPABILITIES)

    def load(self, package: ModelPackage) -> _Model | OneByOne | _Other:
        """Load a package's weights into the reference model, rounded once to the type."""
        compiled = self._compiled != "false"
        if is_encoder(package.config):
            return TorchEncoder(package.path, self._dtype, self._where, compiled=compiled)
        if is_encoder_decoder(package.config):
            return TorchEncoderDecoder(package.path, self._dtype, self._where, compiled=compiled)
        from reference_model.model import load_decoder  # noqa: PLC0415

        decoder = load_decoder(package.path, self._dtype).to(self._where)
        forward = _torch.compiled(decoder) if compiled else decoder
        model = _Model(decoder, forward, self._where)
        return OneByOne(model) if self._invariant else model

    def operator(self, call: OperatorCall) -> dict[str, Array]:
        """Compute one standard operator by torch's own functions, in the inputs' types."""
        import torch  # noqa: PLC0415

        with torch.no_grad():
            return _torch_operators.compute(
                call,
                self._where,
                eager_attention=self._eager_attention,
                compiled=self._compiled == "true",
            )


class _Model:
    """The reference decoder on a device."""

    def __init__(self, decoder: Any, forward: Any, where: Any) -> None:
        self._decoder, self._forward, self._where = decoder, forward, where

    def _call(
        self,
        *tokens: Ints,
        cache: Any = None,
        taps: bool = False,
        documents_BT: Ints | None = None,
    ) -> Any:
        import torch  # noqa: PLC0415

        more = {}
        if documents_BT is not None:
            more = {"document_ids_BT": _torch.to_tensor(documents_BT, self._where)}
        with torch.no_grad():
            arguments = (_torch.to_tensor(array, self._where) for array in tokens)
            return self._forward(*arguments, cache=cache, taps=taps, **more)

    def logits(self, input_ids_BT: Ints, attention_mask_BT: Ints, position_ids_BT: Ints) -> Array:
        """Return the logits (B, T, V)."""
        output = self._call(input_ids_BT, attention_mask_BT, position_ids_BT)
        return _torch.to_array(output.logits_BTV)

    def packed_logits(
        self, input_ids_BT: Ints, document_ids_BT: Ints, position_ids_BT: Ints
    ) -> Array:
        """Return the logits (B, T, V) of packed rows."""
        mask_BT = (document_ids_BT != 0).astype(input_ids_BT.dtype)
        output = self._call(input_ids_BT, mask_BT, position_ids_BT, documents_BT=document_ids_BT)
        return _torch.to_array(output.logits_BTV)

    def hidden_states(
        self, input_ids_BT: Ints, attention_mask_BT: Ints, position_ids_BT: Ints
    ) -> dict[str, Array]:
        """Return the stream after each block, (B, T, D)."""
        output = self._call(input_ids_BT, attention_mask_BT, position_ids_BT, taps=True)
        return {
            name: _torch.to_array(tap)
            for name, tap in output.taps.items()
            if _LAYER.fullmatch(name)
        }

    def generate(self, request: GenerationRequest) -> list[Continuation]:
        """Return what the reference decoder's own greedy loop adds to each prompt."""
        from reference_model import generation  # noqa: PLC0415
        from reference_model.errors import RequestError  # noqa: PLC0415

        ends = generation.Ends(request.max_new_tokens, request.eos_ids, request.stop_sequences)
        try:
            rows = generation.continue_greedily(self._decoder, request.prompts, ends)
        except RequestError as error:
            raise Refused(str(error)) from error
        return [
            Continuation(tuple(r.tokens), r.finish, tuple(r.logprobs) if request.logprobs else None)
            for r in rows
        ]

    def start(self, batch: int) -> ArraySession:
        """Return an empty session for ``batch`` rows."""
        shape = self._decoder.config.attention
        weight = self._decoder.model.embed_tokens.weight
        none_BGSK = weight.new_empty((batch, shape.kv_heads, 0, shape.head_dim))
        layers = self._decoder.config.layers
        return ArraySession(self._step, (none_BGSK,) * (2 * layers))

    def _step(
        self, ids_BT: Ints, mask_BS: Ints, positions_BT: Ints, past: tuple[Any, ...]
    ) -> tuple[Array, tuple[Any, ...]]:
        from reference_model.answers import LayerCache  # noqa: PLC0415

        pairs = zip(past[::2], past[1::2], strict=True)
        cache = tuple(LayerCache(keys, values) for keys, values in pairs)
        output = self._call(ids_BT, mask_BS, positions_BT, cache=cache)
        longer = tuple(tensor for layer in output.cache for tensor in layer)
        return _torch.to_array(output.logits_BTV), longer
