"""ONNX Runtime: the package's ``model.onnx``, and single-node graphs for the operators.

``onnxruntime[:<execution provider>][?optimization=all|extended|basic|disable&dtype=...&threads=N]``

A graph has types of its own: with a ``dtype`` other than float32 operators alone are claimed. Shape
letters: B batch, T tokens, S keys, G key/value heads, K head dim, V vocabulary.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from conformance.adapters._session import ArraySession
from conformance.candidate import choose, not_importable
from conformance.errors import CandidateUnavailable, Unsupported, did_you_mean
from conformance.records import CandidateInfo, Claims

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    from conformance.candidate import Candidate
    from conformance.package import ModelPackage
    from conformance.records import OperatorCall

    Array = NDArray[Any]
    Ints = NDArray[np.int64]

_DEFAULT = "CPUExecutionProvider"
_LEVELS = {
    "all": "ORT_ENABLE_ALL",
    "extended": "ORT_ENABLE_EXTENDED",
    "basic": "ORT_ENABLE_BASIC",
    "disable": "ORT_DISABLE_ALL",
}
_FATAL = 4
"""ONNX Runtime's log level: errors reach us as exceptions, and need not be printed too."""
_TYPES = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(double)": np.float64,
}
_CLAIMS = {
    "float32": Claims(frozenset({"logits", "cache", "operators"})),
    "float64": Claims(frozenset({"operators"}), "fp64"),
    "float16": Claims(frozenset({"operators"}), "fp16"),
    "bfloat16": Claims(
        frozenset({"operators"}),
        "bf16",
        operators=frozenset({"Gather", "LayerNormalization"}),
    ),
}
"""By ``dtype``. In bfloat16 the CPU provider has hardly a kernel."""
_TOKENS = ("input_ids", "attention_mask", "position_ids")


@contextmanager
def open(target: str, options: Mapping[str, str]) -> Iterator[Candidate]:  # noqa: A001  # the seam
    """Open ONNX Runtime with one execution provider.

    Raises:
        CandidateUnavailable: it is not installed, or the provider or an option is unknown.
    """
    chosen = choose(
        options, {"optimization": tuple(_LEVELS), "threads": (), "dtype": tuple(_CLAIMS)}
    )
    if not (chosen["threads"] or "1").isdecimal():
        raise CandidateUnavailable(f"option threads={chosen['threads']!r} is not a number")
    try:
        import onnxruntime  # noqa: PLC0415
    except ImportError as error:
        raise not_importable("onnxruntime", "pip install onnxruntime", error) from error

    provider = target or _DEFAULT
    if provider not in onnxruntime.get_available_providers():
        raise CandidateUnavailable(_no_provider(provider, onnxruntime))
    claims = _CLAIMS[chosen["dtype"]]
    yield _Candidate(_Opener(provider, chosen), onnxruntime.__version__, claims)


def _no_provider(provider: str, onnxruntime: Any) -> str:
    known, here = onnxruntime.get_all_providers(), onnxruntime.get_available_providers()
    if provider not in known:
        return f"there is no execution provider {provider!r}.{did_you_mean(provider, known)}"
    return (
        f"execution provider {provider!r} is not in this build of onnxruntime, which has "
        f"{', '.join(here)}: another build is needed, such as onnxruntime-gpu or the vendor's own"
    )


class _Opener:
    """Makes inference sessions with the chosen provider and options."""

    def __init__(self, provider: str, options: Mapping[str, str]) -> None:
        self.provider, self._options = provider, options

    def __call__(self, model: str | bytes) -> Any:
        """Return an inference session for a file or the bytes of a graph.

        Raises:
            CandidateUnavailable: the provider could not be started, and ONNX Runtime would have
                computed on another one.
        """
        import onnxruntime  # noqa: PLC0415

        options = onnxruntime.SessionOptions()
        options.log_severity_level = _FATAL
        level = _LEVELS[self._options["optimization"]]
        options.graph_optimization_level = getattr(onnxruntime.GraphOptimizationLevel, level)
        options.intra_op_num_threads = int(self._options["threads"] or 0)
        session = onnxruntime.InferenceSession(model, options, providers=[self.provider])
        if self.provider not in session.get_providers():
            raise CandidateUnavailable(
                f"{self.provider} could not be started; onnxruntime offers "
                f"{', '.join(session.get_providers())} in its place"
            )
        return session


class _Candidate:
    """ONNX Runtime with one execution provider."""

    def __init__(self, opener: _Opener, version: str, claims: Claims) -> None:
        from conformance.adapters._onnx_operators import Operators  # noqa: PLC0415

        self._opener, self._operators = opener, Operators(opener)
        self.info = CandidateInfo(
            name="onnxruntime",
            version=version,
            runtime=f"onnxruntime {version} {opener.provider}",
            device=opener.provider,
            claims=claims,
        )

    def load(self, package: ModelPackage) -> _Model:
        """Load the package's ``model.onnx``, the suite's export where it has none."""
        return _Model(self._opener(str(package.file("model.onnx"))))

    def operator(self, call: OperatorCall) -> dict[str, Array]:
        """Compute one standard operator as a graph with that single node."""
        return self._operators.compute(call)


class _Model:
    """A graph with the inputs and outputs that exporters have agreed on, matched by name."""

    def __init__(self, session: Any) -> None:
        self._session = session
        self._inputs = {value.name: value for value in session.get_inputs()}
        outputs = {value.name for value in session.get_outputs()}
        self._past = [name for name in self._inputs if name.startswith("past_key_values.")]
        self._present = [name.replace("past_key_values", "present", 1) for name in self._past]
        unknown = set(self._inputs) - {*_TOKENS, *self._past}
        missing = {"logits", *self._present} - outputs
        if unknown or missing:
            raise Unsupported(
                f"model.onnx has inputs {sorted(unknown)} that mean nothing here, and lacks "
                f"outputs {sorted(missing)}; understood are {', '.join(_TOKENS)}, "
                "past_key_values.<i>.key and .value; logits, present.<i>.key and .value"
            )

    def logits(self, input_ids_BT: Ints, attention_mask_BT: Ints, position_ids_BT: Ints) -> Array:
        """Return the logits (B, T, V)."""
        past = self._empty(len(input_ids_BT))
        feed = self._feed(input_ids_BT, attention_mask_BT, position_ids_BT, past)
        logits_BTV: Array = self._session.run(["logits"], feed)[0]
        return logits_BTV

    def start(self, batch: int) -> ArraySession:
        """Return an empty session for ``batch`` rows.

        Raises:
            Unsupported: the graph has no cache.
        """
        if not self._past:
            raise Unsupported("model.onnx has no inputs past_key_values.<i>.key: it has no cache")
        return ArraySession(self._step, self._empty(batch))

    def _step(
        self, ids_BT: Ints, mask_BS: Ints, positions_BT: Ints, past: tuple[Array, ...]
    ) -> tuple[Array, tuple[Array, ...]]:
        feed = self._feed(ids_BT, mask_BS, positions_BT, past)
        logits_BTV, *present = self._session.run(["logits", *self._present], feed)
        return logits_BTV, tuple(present)

    def _empty(self, batch: int) -> tuple[Array, ...]:
        """Return keys and values of no tokens, each (B, G, 0, K)."""
        return tuple(
            np.zeros((batch, value.shape[1], 0, value.shape[3]), _TYPES[value.type])
            for value in (self._inputs[name] for name in self._past)
        )

    def _feed(self, *arrays: Any) -> dict[str, Array]:
        *tokens, past = arrays
        given = dict(zip(_TOKENS, tokens, strict=True)) | dict(zip(self._past, past, strict=True))
        return {name: array for name, array in given.items() if name in self._inputs}

    def hidden_states(
        self, input_ids_BT: Ints, attention_mask_BT: Ints, position_ids_BT: Ints
    ) -> dict[str, Array]:
        """Refuse: a graph answers its outputs alone."""
        del input_ids_BT, attention_mask_BT, position_ids_BT
        raise Unsupported("model.onnx has no outputs for hidden states")
