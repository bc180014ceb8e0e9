"""OpenVINO: the package's ``model.onnx``, and single-node graphs for the operators.

``openvino[:<device>][?precision=default|f32|bf16|f16&threads=N]``

``precision`` is OpenVINO's ``INFERENCE_PRECISION_HINT``, and with it what is claimed. Without it
the device chooses a type by itself and the claim stays that of the graph, float32: OpenVINO is not
asked what it chose, since a runtime that silently computes in another type has not claimed it.
"""

from __future__ import annotations

import functools
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from conformance import precision
from conformance.adapters import _signal_stack
from conformance.adapters._onnx_encoder import GraphEncoder
from conformance.adapters._onnx_encoder_decoder import GraphEncoderDecoder
from conformance.adapters._onnx_graphs import Node, graph, node_of
from conformance.adapters._onnx_model import GraphModel, Input
from conformance.candidate import choose, not_importable, thread_count
from conformance.encoder_decoder_configs import is_encoder_decoder
from conformance.errors import CandidateUnavailable, Unsupported, did_you_mean
from conformance.formats.bert_config import is_encoder
from conformance.records import CandidateInfo, Claims

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from conformance.candidate import Candidate
    from conformance.package import ModelPackage
    from conformance.records import OperatorCall

    Array = NDArray[Any]

_DEFAULT = "CPU"
_MODEL, _ALL = frozenset({"logits", "cache"}), frozenset({"logits", "cache", "operators"})
_CLAIMS = {
    "default": Claims(_ALL),
    "f32": Claims(_ALL | {"encoder", "encoder_decoder"}),
    "bf16": Claims(_MODEL, "bf16"),
    "f16": Claims(_MODEL, "fp16"),
}
"""By ``precision``. What a narrow hint rounds inside one operator is the plug-in's own affair."""
_OUTPUT = {"fp32": "float32", "bf16": "bfloat16", "fp16": "float16"}
"""The type of logits by claim."""
_NARROW = {"bfloat16": "bf16", "float8_e4m3fn": "f8e4m3", "float8_e5m2": "f8e5m2"}
"""Types that NumPy lacks, as ml_dtypes names them and as OpenVINO does."""
_KEPT_GRAPHS = 256


@contextmanager
def open(target: str, options: Mapping[str, str]) -> Iterator[Candidate]:  # noqa: A001  # the seam
    """Open OpenVINO on one device.

    Raises:
        CandidateUnavailable: it is not installed, or the device or an option is unknown.
    """
    chosen = choose(options, {"precision": tuple(_CLAIMS), "threads": ()})
    threads = thread_count(chosen["threads"])
    try:
        import openvino  # noqa: PLC0415
    except ImportError as error:
        install = "pip install 'llm-conformance[openvino]'"
        raise not_importable("openvino", install, error) from error

    with _signal_stack.kept():
        device, here = target or _DEFAULT, openvino.Core().available_devices
        if device not in here:
            raise CandidateUnavailable(
                f"OpenVINO has no device {device!r} here.{did_you_mean(device, here)}"
            )
        compiler, claims = (
            _Compiler(device, chosen["precision"], threads),
            _CLAIMS[chosen["precision"]],
        )
        yield _Candidate(compiler, openvino.__version__, claims)


class _Compiler:
    """Compiles graphs for the chosen device and options."""

    def __init__(self, device: str, precision: str, threads: int) -> None:
        import openvino  # noqa: PLC0415

        self._core, self.device = openvino.Core(), device
        self._settings: dict[str, Any] = {}
        if precision != "default":
            self._settings["INFERENCE_PRECISION_HINT"] = precision
        if threads:
            self._settings["INFERENCE_NUM_THREADS"] = threads

    @property
    def hardware(self) -> str:
        """The device in OpenVINO's words: the type that it chooses depends on it."""
        return str(self._core.get_property(self.device, "FULL_DEVICE_NAME")).strip()

    def operator(self, node: Node) -> _Compiled:
        """Compile a graph of a single call, whose types are those of the call."""
        return self._compiled(self._core.read_model(graph(node)))

    def model(self, file: str) -> _Compiled:
        """Compile a decoder."""
        return self._compiled(self._core.read_model(file))

    def _compiled(self, model: Any) -> _Compiled:
        return _Compiled(self._core.compile_model(model, self.device, self._settings))


class _Compiled:
    """A compiled graph, which answers arrays by the names of its outputs."""

    def __init__(self, compiled: Any) -> None:
        self._request = compiled.create_infer_request()
        self._places = {name: i for i, value in enumerate(compiled.outputs) for name in value.names}
        self.inputs = {
            value.any_name: Input(_sizes(value.partial_shape), _numpy_type(value.element_type))
            for value in compiled.inputs
        }
        self.outputs = list(self._places)

    def run(self, outputs: Sequence[str], feed: Mapping[str, Array]) -> list[Array]:
        """Return the named outputs of a feed, in order."""
        self._request.infer({name: _tensor(array) for name, array in feed.items()})
        return [_array(self._request.get_output_tensor(self._places[name])) for name in outputs]


class _Candidate:
    """OpenVINO on one device."""

    def __init__(self, compiler: _Compiler, version: str, claims: Claims) -> None:
        self._compiler = compiler
        self._operator = functools.lru_cache(maxsize=_KEPT_GRAPHS)(compiler.operator)
        self.info = CandidateInfo(
            name="openvino",
            version=version,
            runtime=f"openvino {version} {compiler.device}, {compiler.hardware}",
            device=compiler.device,
            claims=claims,
        )

    def load(self, package: ModelPackage) -> GraphModel | GraphEncoder | GraphEncoderDecoder:
        """Load the package's ``model.onnx``, the suite's export where it has none.

        Its logits are float32 whatever they were computed in. Where a narrower type is claimed they
        are rounded to it here, and not in the graph: told to answer bfloat16 (PrePostProcessor),
        OpenVINO 2026.4 rounds positions to it too, and is 14 noise units off beyond position 256.
        """
        compiled = self._compiler.model(str(package.file("model.onnx")))
        if is_encoder(package.config):  # claimed where the answers are float32 alone
            return GraphEncoder(compiled.run, compiled.inputs, compiled.outputs)
        if is_encoder_decoder(package.config):
            return GraphEncoderDecoder(compiled.run, compiled.inputs, compiled.outputs)
        kind = _OUTPUT[self.info.claims.precision]

        def run(outputs: Sequence[str], feed: Mapping[str, Array]) -> list[Array]:
            logits, *cache = compiled.run(outputs, feed)
            return [logits.astype(precision.dtype(kind), copy=False), *cache]

        return GraphModel(run, compiled.inputs, compiled.outputs)

    def operator(self, call: OperatorCall) -> dict[str, Array]:
        """Compute one operator as a graph for inputs of these sizes alone.

        Several converters have to know the sizes; and where the number of heads is free too, which
        no exported decoder leaves it, Attention in 2026.4 refuses groups of heads or answers in the
        shape of the call before.

        Raises:
            Unsupported: the standard has no such operator, or OpenVINO cannot compile it.
        """
        try:
            compiled = self._operator(node_of(call, fixed=True))
        except RuntimeError as error:  # OpenVINO's only one: not read, not converted, no kernel
            raise Unsupported(f"OpenVINO cannot compile {call.operator}: {error}") from error
        answers = compiled.run(call.outputs, call.inputs)
        return dict(zip(call.outputs, answers, strict=True))


def _sizes(shape: Any) -> tuple[int, ...]:
    return tuple(0 if size.is_dynamic else size.get_length() for size in shape)


def _numpy_type(kind: Any) -> np.dtype[Any]:
    """Return the NumPy type of OpenVINO's."""
    name = kind.get_type_name()
    ours = next((ours for ours, theirs in _NARROW.items() if theirs == name), None)
    return precision.dtype(ours) if ours else np.dtype(kind.to_dtype())


def _tensor(array: Array) -> Any:
    """Return an array as OpenVINO takes it."""
    import openvino  # noqa: PLC0415

    array = np.asarray(array, order="C")  # ascontiguousarray would give a scalar an axis
    if array.dtype.name not in _NARROW:
        return openvino.Tensor(array)
    kind = getattr(openvino.Type, _NARROW[array.dtype.name])
    return openvino.Tensor(array.view(f"u{array.dtype.itemsize}"), array.shape, kind)


def _array(tensor: Any) -> Array:
    """Return an answer in memory of its own: OpenVINO writes to its own again at the next call."""
    data: Array = np.array(tensor.data)
    return data.view(_numpy_type(tensor.element_type))
