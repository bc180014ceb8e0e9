"""Hugging Face Transformers: the model that the package's own config and weights make.

``transformers[:eager|sdpa][?dtype=...]``: the target is the attention implementation. Works from
the folder alone, without a network. Shape letters: B batch, T tokens, S keys, V vocabulary.
"""

from __future__ import annotations

import copy
import dataclasses
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from conformance.adapters import (
    _torch,
    _transformers_encoder,
    _transformers_encoder_decoder,
    _transformers_generation,
    _transformers_sampling,
)
from conformance.candidate import choose, not_importable
from conformance.encoder_decoder_configs import is_encoder_decoder
from conformance.errors import CandidateUnavailable, Unsupported, did_you_mean
from conformance.formats.bert_config import is_encoder
from conformance.records import CandidateInfo

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from conformance.candidate import Candidate
    from conformance.package import ModelPackage
    from conformance.records import Continuation, GenerationRequest, OperatorCall, SamplingCall

    _Other = _transformers_encoder.Encoder | _transformers_encoder_decoder.EncoderDecoder
    Array = NDArray[Any]
    Ints = NDArray[np.int64]

_ATTENTION = ("eager", "sdpa")
_CAPABILITIES = (
    frozenset({"logits", "cache", "hidden_states", "generation"})
    | {"encoder", "encoder_decoder", "target_cache"}
    | _transformers_sampling.CAPABILITIES
)


@contextmanager
def open(target: str, options: Mapping[str, str]) -> Iterator[Candidate]:  # noqa: A001  # the seam
    """Open Transformers on the CPU; ``dtype`` is the type of weights and activations.

    Raises:
        CandidateUnavailable: it is not installed, or the target or an option is unknown.
    """
    chosen = choose(options, {"dtype": tuple(_torch.PRECISIONS)})
    attention = target or _ATTENTION[0]
    if attention not in _ATTENTION:
        raise CandidateUnavailable(
            f"unknown attention implementation {target!r}.{did_you_mean(target, _ATTENTION)}"
        )
    try:
        import transformers  # noqa: PLC0415
    except ImportError as error:
        install = "pip install llm-conformance[transformers]"
        raise not_importable("transformers", install, error) from error

    with _quiet(transformers.utils.logging), _torch.as_claimed():
        yield _Candidate(transformers.__version__, attention, chosen["dtype"])


@contextmanager
def _quiet(logging: Any) -> Iterator[None]:
    """Silence progress bars and advice; both come back at the end."""
    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()


class _Candidate:
    """Transformers with one attention implementation, in one type."""

    def __init__(self, version: str, attention: str, dtype: str) -> None:
        import torch  # noqa: PLC0415

        self._version, self._attention, self._dtype = version, attention, dtype
        claims = _torch.claims(_CAPABILITIES, dtype)
        self.info = CandidateInfo(
            name="transformers",
            version=version,
            runtime=f"transformers {version} ({attention}), torch {torch.__version__}",
            device="cpu",
            claims=dataclasses.replace(claims, sampling=_transformers_sampling.POLICY),
        )

    def load(self, package: ModelPackage) -> _Model | _Other:
        """Load the package's folder as Transformers itself understands it."""
        if is_encoder(package.config):
            return _transformers_encoder.load(package, self._settings())
        if is_encoder_decoder(package.config):
            return _transformers_encoder_decoder.load(package, self._settings())
        from transformers import (  # noqa: PLC0415
            AutoConfig,
            AutoModelForCausalLM,
            GenerationConfig,
        )

        config = AutoConfig.from_pretrained(str(package.path), local_files_only=True)
        kind = AutoModelForCausalLM._model_mapping[type(config)]  # noqa: SLF001  # asks no other way
        if self._attention == "sdpa" and not kind._supports_sdpa:  # noqa: SLF001  # the same
            raise Unsupported(f"{kind.__name__} of Transformers has no sdpa; ask for eager")
        model = AutoModelForCausalLM.from_pretrained(str(package.path), **self._settings())
        # What a checkpoint wishes for generation (ends, penalties) is not what is asked here.
        model.generation_config = GenerationConfig()
        return _Model(model.eval())

    def _settings(self) -> dict[str, Any]:
        """Return how models are loaded: from here, with the chosen attention, in the type."""
        import torch  # noqa: PLC0415

        release = tuple(int(part) for part in self._version.split(".")[:2])
        keyword = "dtype" if release >= (4, 56) else "torch_dtype"
        return {
            "local_files_only": True,
            "attn_implementation": self._attention,
            keyword: getattr(torch, self._dtype),
        }

    def operator(self, call: OperatorCall) -> dict[str, Array]:
        """Refuse: Transformers is made of models, and claims no operators."""
        raise Unsupported(f"Transformers has no single operators such as {call.operator}")

    def process(self, call: SamplingCall) -> Array:
        """Return the distributions (B, V) of its logits processors."""
        return _transformers_sampling.process(call)

    def sample(self, call: SamplingCall, seed: int, draws: int) -> Ints:
        """Return tokens (B, N), drawn as ``generate`` draws them."""
        return _transformers_sampling.sample(call, seed, draws)


class _Model:
    """A causal language model of Transformers."""

    def __init__(self, model: Any) -> None:
        self._model = model

    def call(self, ids_BT: Ints, mask_BS: Ints, positions_BT: Ints, cache: Any = None) -> Array:
        """Return the logits (B, T, V); ``cache`` is made longer in place."""
        import torch  # noqa: PLC0415

        with torch.no_grad():
            output = self._model(
                input_ids=_torch.to_tensor(ids_BT, "cpu"),
                attention_mask=_torch.to_tensor(mask_BS, "cpu"),
                position_ids=_torch.to_tensor(positions_BT, "cpu"),
                past_key_values=cache,
                use_cache=cache is not None,
            )
        return _torch.to_array(output.logits)

    def logits(self, input_ids_BT: Ints, attention_mask_BT: Ints, position_ids_BT: Ints) -> Array:
        """Return the logits (B, T, V)."""
        return self.call(input_ids_BT, attention_mask_BT, position_ids_BT)

    def hidden_states(
        self, input_ids_BT: Ints, attention_mask_BT: Ints, position_ids_BT: Ints
    ) -> dict[str, Array]:
        """Return the stream after each layer, (B, T, D).

        By hooks: the last of Transformers' own ``hidden_states`` is the one after the final norm.
        """
        taps: dict[str, Array] = {}

        def tap(name: str) -> Any:
            def keep(_: Any, __: Any, output: Any) -> None:
                stream = output[0] if isinstance(output, tuple) else output
                taps[name] = _torch.to_array(stream).copy()

            return keep

        hooks = [
            layer.register_forward_hook(tap(f"layer.{i}"))
            for i, layer in enumerate(_layers(self._model))
        ]
        try:
            self.call(input_ids_BT, attention_mask_BT, position_ids_BT)
        finally:
            for hook in hooks:
                hook.remove()
        return taps

    def generate(self, request: GenerationRequest) -> list[Continuation]:
        """Return what Transformers' own greedy generation adds to each prompt."""
        return _transformers_generation.generate(self._model, request)

    def start(self, batch: int) -> _Session:
        """Return an empty session."""
        del batch
        return _Session(self, _empty_cache())


def _layers(model: Any) -> Any:
    """Return the layers of a causal language model; GPT-2's class has names of its own."""
    return model.transformer.h if hasattr(model, "transformer") else model.model.layers


def _empty_cache() -> Any:
    """Return Transformers' own cache, which takes its batch from the first tokens."""
    from transformers import DynamicCache  # noqa: PLC0415

    return DynamicCache()


class _Session:
    """Transformers' own cache object."""

    def __init__(self, model: _Model, cache: Any) -> None:
        self._model, self._cache = model, cache

    def append(self, input_ids_BT: Ints, attention_mask_BS: Ints, position_ids_BT: Ints) -> Array:
        """Feed T more tokens; return their logits (B, T, V)."""
        return self._model.call(input_ids_BT, attention_mask_BS, position_ids_BT, self._cache)

    def copy(self) -> _Session:
        """Return an independent session in the same state."""
        return _Session(self._model, copy.deepcopy(self._cache))

    def crop(self, length: int) -> None:
        """Forget everything after the first ``length`` tokens."""
        surplus = self._cache.get_seq_length() - length
        if not length:  # cropped to nothing a cache keeps its batch, and reorders no more
            self._cache = _empty_cache()
        elif surplus:
            # Negative: what to remove. Releases differ on what a positive number means.
            self._cache.crop(-surplus)

    def reorder(self, rows: Sequence[int]) -> None:
        """Make row i of the cache what row ``rows[i]`` was."""
        import torch  # noqa: PLC0415

        self._cache.reorder_cache(torch.tensor(list(rows)))
