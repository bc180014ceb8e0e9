"""ONNX Runtime: a build of the package, and single-node graphs for the operators.

``onnxruntime[:<execution provider>][?optimization=all|extended|basic|disable&dtype=...&threads=N
&build=package|opset24|...&data=inside|external]``

``dtype`` is the type of the build and of the operators' inputs, and the claim. In float64 and
bfloat16, of which it runs no decoder, operators alone are claimed.
"""

from __future__ import annotations

import dataclasses
import functools
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from conformance import spec
from conformance.adapters import _onnx_builds, _onnx_operators
from conformance.adapters._onnx_encoder import GraphEncoder
from conformance.adapters._onnx_encoder_decoder import Graph, GraphEncoderDecoder
from conformance.adapters._onnx_model import GraphModel, Input
from conformance.candidate import choose, not_importable, thread_count
from conformance.encoder_decoder_configs import is_encoder_decoder
from conformance.errors import CandidateUnavailable, Unsupported, did_you_mean
from conformance.formats.bert_config import is_encoder
from conformance.records import CandidateInfo, Claims

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from conformance.candidate import Candidate
    from conformance.package import ModelPackage
    from conformance.records import OperatorCall

    Array = NDArray[Any]

_DEFAULT = "CPUExecutionProvider"
_LEVELS = {
    "all": "ORT_ENABLE_ALL",
    "extended": "ORT_ENABLE_EXTENDED",
    "basic": "ORT_ENABLE_BASIC",
    "disable": "ORT_DISABLE_ALL",
}
_FATAL = 4
"""ONNX Runtime's log level: errors reach us as exceptions, and need not be printed too."""
_WEIGHTS_FOLDER = "session.model_external_initializers_file_folder_path"
_TYPES = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(double)": np.float64,
}
_ALL = frozenset({"logits", "cache", "operators", "hidden_states", "encoder", "encoder_decoder"})
_CLAIMS = {
    "float32": Claims(_ALL | {"target_cache"}),
    "float64": Claims(frozenset({"operators"}), "fp64"),
    # A graph of several nodes rounds between them. The kernel of Attention keeps scores (softcap
    # and mask included) and weights in float16, and adds up in float32: bit for bit so in 1.32.
    "float16": Claims(
        _ALL,
        "fp16",
        dict.fromkeys(("score", "probability", "intermediate"), "float16"),
    ),
    "bfloat16": Claims(
        frozenset({"operators"}),
        "bf16",
        operators=frozenset({"Gather", "LayerNormalization"}),
    ),
}
"""By ``dtype``. In bfloat16 the CPU provider has hardly a kernel."""
_NOT_IN_FLOAT64 = frozenset(
    {
        "Attention",
        "AttentionWithAlibi",
        "AttentionWithSinks",
        "Gelu",
        "GeGLU",
        "QuantizedMatMul",
        "QuantizedWeightMatMul",
        "RotaryEmbedding",
    }
)
"""Not claimed in float64: there is no kernel, and the standard's function body takes its place.

That of Attention computes the root of the scale in float32 and is off by 2e6 roundings, but where
the root is a power of two. That of Gelu's tanh form has 2 / pi and 0.044715 in float32, 4e6 off;
there is none of its other form. By the standard, RotaryEmbedding takes no float64, and
DequantizeLinear no scales in it.
"""


@contextmanager
def open(target: str, options: Mapping[str, str]) -> Iterator[Candidate]:  # noqa: A001  # the seam
    """Open ONNX Runtime with one execution provider.

    Raises:
        CandidateUnavailable: it is not installed, or the provider or an option is unknown.
    """
    chosen = choose(
        options,
        {
            "optimization": tuple(_LEVELS),
            "threads": (),
            "dtype": tuple(_CLAIMS),
            **_onnx_builds.options(),
        },
    )
    threads = thread_count(chosen["threads"])
    try:
        import onnxruntime  # noqa: PLC0415
    except ImportError as error:
        raise not_importable("onnxruntime", "pip install onnxruntime", error) from error

    provider = target or _DEFAULT
    if provider not in onnxruntime.get_available_providers():
        raise CandidateUnavailable(_no_provider(provider, onnxruntime))
    claims = _claims(chosen["dtype"], provider)
    opener = _Opener(provider, chosen["optimization"], threads)
    yield _Candidate(opener, onnxruntime.__version__, claims, chosen)


def _claims(dtype: str, provider: str) -> Claims:
    claims = _CLAIMS[dtype]
    if provider == _DEFAULT and "logits" in claims.capabilities:
        promised = claims.capabilities | {"deterministic"}
        claims = dataclasses.replace(claims, capabilities=promised)
    if dtype != "float64":
        return claims
    named = (requirement.operator for requirement in spec.load().requirements.values())
    known = frozenset(operator.partition("-")[0] for operator in named if operator)
    return dataclasses.replace(claims, operators=known - _NOT_IN_FLOAT64)


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

    def __init__(self, provider: str, optimization: str, threads: int) -> None:
        self.provider, self._level, self._threads = provider, _LEVELS[optimization], threads

    def __call__(self, model: str | bytes, weights: Path | None = None) -> Any:
        """Return an inference session.

        Args:
            model: a file, or the bytes of a graph.
            weights: the folder with the files that such a graph has its weights in.

        Raises:
            CandidateUnavailable: the provider could not be started, and ONNX Runtime would have
                computed on another one.
        """
        import onnxruntime  # noqa: PLC0415

        options = onnxruntime.SessionOptions()
        options.log_severity_level = _FATAL
        options.graph_optimization_level = getattr(onnxruntime.GraphOptimizationLevel, self._level)
        options.intra_op_num_threads = self._threads
        if weights is not None:
            options.add_session_config_entry(_WEIGHTS_FOLDER, str(weights))
        session = onnxruntime.InferenceSession(model, options, providers=[self.provider])
        if self.provider not in session.get_providers():
            raise CandidateUnavailable(
                f"{self.provider} could not be started; onnxruntime offers "
                f"{', '.join(session.get_providers())} in its place"
            )
        return session


class _Candidate:
    """ONNX Runtime with one execution provider."""

    def __init__(
        self, opener: _Opener, version: str, claims: Claims, options: Mapping[str, str]
    ) -> None:
        self._opener, self._options = opener, options
        self._operators = _onnx_operators.Operators(opener)
        self.info = CandidateInfo(
            name="onnxruntime",
            version=version,
            runtime=f"onnxruntime {version} {opener.provider}",
            device=opener.provider,
            claims=claims,
        )

    def load(self, package: ModelPackage) -> GraphModel | GraphEncoder | GraphEncoderDecoder:
        """Load the chosen build, the suite's export where the package has none.

        Raises:
            Unsupported: there is no build in the type, or ONNX Runtime has no kernel for a node.
        """
        from onnxruntime.capi.onnxruntime_pybind11_state import (  # noqa: PLC0415
            NotImplemented,  # noqa: A004
        )

        file = package.file(_onnx_builds.file_of(self._options))
        try:
            session = self._opener(str(file))
        except NotImplemented as error:
            raise Unsupported(f"ONNX Runtime cannot run {file.name}: {error}") from error
        inputs, outputs = _signature(session)
        if is_encoder(package.config):
            return GraphEncoder(session.run, inputs, outputs)
        if is_encoder_decoder(package.config):
            parts = functools.partial(self._parts, package, file.name)
            return GraphEncoderDecoder(session.run, inputs, outputs, parts)

        def opened(model: Any) -> Any:
            session = self._opener(model.SerializeToString(), file.parent)
            return functools.partial(_onnx_operators.run, session)

        return GraphModel(session.run, inputs, outputs, file, opened)

    def _parts(self, package: ModelPackage, file: str) -> tuple[Graph, Graph]:
        """Open the graphs of the encoder and of steps that stand beside one of both sides."""
        from reference_model.builds import ENCODER, STEPS  # noqa: PLC0415  # listing needs no model

        sessions = (self._opener(str(package.file(part + file))) for part in (ENCODER, STEPS))
        encoder, steps = (Graph(session.run, *_signature(session)) for session in sessions)
        return encoder, steps

    def operator(self, call: OperatorCall) -> dict[str, Array]:
        """Compute one standard operator as a graph with that single node."""
        return self._operators.compute(call)


def _signature(session: Any) -> tuple[dict[str, Input], list[str]]:
    """Return a session's inputs by name, and the names of its outputs."""
    given = session.get_inputs()
    inputs = {value.name: Input(tuple(value.shape), _TYPES.get(value.type)) for value in given}
    return inputs, [value.name for value in session.get_outputs()]
