"""The ONNX reference evaluator: the standard's own account of its operators, in NumPy.

``onnx_reference[:numpy][?dtype=...&build=package|opset24|...&data=inside|external]``. Operators are
graphs of a single call, and the decoder is a build of the package. ``dtype`` is the type of both;
there is no build in float64, where operators alone are claimed.
"""

from __future__ import annotations

import functools
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from conformance.adapters import _onnx_builds
from conformance.adapters._onnx_encoder import GraphEncoder
from conformance.adapters._onnx_encoder_decoder import GraphEncoderDecoder
from conformance.adapters._onnx_graphs import Node, graph, node_of
from conformance.adapters._onnx_model import GraphModel, Input
from conformance.candidate import choose, not_importable
from conformance.encoder_decoder_configs import is_encoder_decoder
from conformance.errors import CandidateUnavailable, Unsupported, did_you_mean
from conformance.formats.bert_config import is_encoder
from conformance.records import CandidateInfo, Claims

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    from conformance.candidate import Candidate
    from conformance.package import ModelPackage
    from conformance.records import OperatorCall

    Array = NDArray[Any]

_TARGET = "numpy"
_ALL = frozenset({"logits", "cache", "operators", "hidden_states"})
_ROUNDED = ("accumulation", "intermediate", "score", "probability")
_CLAIMS = {
    "float32": Claims(_ALL | {"encoder", "encoder_decoder"}),
    "float64": Claims(frozenset({"operators"}), "fp64"),
    "float16": Claims(_ALL, "fp16", dict.fromkeys(_ROUNDED, "float16")),
    "bfloat16": Claims(_ALL, "bf16", dict.fromkeys(_ROUNDED, "bfloat16")),
}
"""By ``dtype``. In a narrow type every NumPy function rounds its result to it. NumPy adds float16
up in float32, but bfloat16 in bfloat16."""
_KEPT_GRAPHS = 256


@contextmanager
def open(target: str, options: Mapping[str, str]) -> Iterator[Candidate]:  # noqa: A001  # the seam
    """Open the evaluator; ``dtype`` is the type of the operators' inputs, and the claim.

    Raises:
        CandidateUnavailable: onnx is not installed, or the target or an option is unknown.
    """
    chosen = choose(options, {"dtype": tuple(_CLAIMS), **_onnx_builds.options()})
    if target not in ("", _TARGET):
        raise CandidateUnavailable(f"unknown target {target!r}.{did_you_mean(target, [_TARGET])}")
    try:
        import onnx  # noqa: PLC0415
    except ImportError as error:
        raise not_importable("onnx", "pip install onnx", error) from error
    yield _Candidate(onnx.__version__, chosen)


class _Candidate:
    """The evaluator, on the CPU."""

    def __init__(self, version: str, options: Mapping[str, str]) -> None:
        self._options = options
        self.info = CandidateInfo(
            name="onnx_reference",
            version=version,
            runtime=f"onnx {version} reference evaluator, numpy {np.__version__}",
            device="cpu",
            claims=_CLAIMS[options["dtype"]],
        )

    def load(self, package: ModelPackage) -> GraphModel | GraphEncoder | GraphEncoderDecoder:
        """Load the chosen build, the suite's export where the package has none.

        Raises:
            Unsupported: there is no build in the type.
        """
        from onnx.external_data_helper import load_external_data_for_model  # noqa: PLC0415
        from onnx.helper import tensor_dtype_to_np_dtype  # noqa: PLC0415

        file = package.file(_onnx_builds.file_of(self._options))
        evaluator = _evaluator(str(file))
        kinds = zip(evaluator.input_names, evaluator.input_types, strict=True)
        inputs = {
            name: Input(
                tuple(size.dim_value for size in kind.tensor_type.shape.dim),
                tensor_dtype_to_np_dtype(kind.tensor_type.elem_type),
            )
            for name, kind in kinds
        }

        if is_encoder(package.config):
            return GraphEncoder(evaluator.run, inputs, evaluator.output_names)
        if is_encoder_decoder(package.config):
            return GraphEncoderDecoder(evaluator.run, inputs, evaluator.output_names)

        def opened(model: Any) -> Any:
            load_external_data_for_model(model, str(file.parent))
            return _evaluator(model).run

        return GraphModel(evaluator.run, inputs, evaluator.output_names, file, opened)

    def operator(self, call: OperatorCall) -> dict[str, Array]:
        """Compute one operator as a graph.

        Raises:
            Unsupported: the standard has no such operator, or the evaluator no implementation.
        """
        try:
            answers = _operator(node_of(call)).run(list(call.outputs), dict(call.inputs))
        except NotImplementedError as error:
            raise Unsupported(
                f"the evaluator does not implement {call.operator}: {error}"
            ) from error
        return dict(zip(call.outputs, answers, strict=True))


@functools.lru_cache(maxsize=_KEPT_GRAPHS)
def _operator(node: Node) -> Any:
    return _evaluator(graph(node))


def _evaluator(model: Any) -> Any:
    from onnx.reference import ReferenceEvaluator  # noqa: PLC0415

    return ReferenceEvaluator(model)
