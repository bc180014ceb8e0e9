"""Faults of the exported ONNX graph: an exporter's, a converter's or an optimiser's.

A fault takes and returns an ``onnx.ModelProto``; the graph is the suite's own export, opset 20.
Nodes are found by what they do, not by their names.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from conformance.mutants import mutant

if TYPE_CHECKING:
    from collections.abc import Callable


def nodes(model: Any, kind: str) -> list[Any]:
    """Return the nodes of an operator, in the graph's order."""
    return [node for node in model.graph.node if node.op_type == kind]


def _reading(model: Any, value: str) -> list[Any]:
    """Return the nodes that read a value."""
    return [node for node in model.graph.node if value in node.input]


def changed(model: Any, name: str, change: Callable[[Any], Any]) -> None:
    """Replace an initializer by what ``change`` makes of it."""
    from onnx import numpy_helper  # noqa: PLC0415  # this module is imported where onnx is not

    for tensor in model.graph.initializer:
        if tensor.name == name:
            array = numpy_helper.to_array(tensor)
            changed = np.asarray(change(array), dtype=array.dtype)
            tensor.CopyFrom(numpy_helper.from_array(changed, name))
            return
    raise AssertionError(f"the graph has no initializer {name}")


def _redirected(model: Any, old: str, new: str) -> None:
    """Let every reader of one value read another."""
    for node in _reading(model, old):
        node.input[:] = [new if name == old else name for name in node.input]


def _cast(model: Any, value: str, kind: str) -> None:
    """Insert a cast to a narrower type and one back behind a value."""
    from onnx import TensorProto, helper  # noqa: PLC0415  # see above

    narrow, back = f"{value}_narrow", f"{value}_back"
    _redirected(model, value, back)
    nodes = list(model.graph.node)
    made = [place for place, node in enumerate(nodes) if value in node.output]
    at = made[0] + 1 if made else 0
    there = helper.make_node("Cast", [value], [narrow], to=getattr(TensorProto, kind))
    again = helper.make_node("Cast", [narrow], [back], to=TensorProto.FLOAT)
    del model.graph.node[:]
    model.graph.node.extend([*nodes[:at], there, again, *nodes[at:]])


def _head(model: Any) -> Any:
    return nodes(model, "MatMul")[-1]


@mutant("graph", kills=("LOGITS-001",), bug="generic")
def graph_epsilon_changed(model: Any) -> Any:
    """The constant epsilon is a tenth of what it was."""
    mean = nodes(model, "ReduceMean")[0].output[0]
    changed(model, _reading(model, mean)[0].input[1], lambda eps: eps / 10)
    return model


@mutant("graph", kills=("LOGITS-001", "LOGITS-002"), bug="generic")
def graph_softmax_over_queries(model: Any) -> Any:
    """The attribute axis of every Softmax is that of the queries."""
    for node in nodes(model, "Softmax"):
        node.attribute[0].i = -2
    return model


@mutant("graph", kills=("LOGITS-001", "LOGITS-002"), bug="generic")
def graph_scale_of_one_more(model: Any) -> Any:
    """The constant that scores are divided by is the root of the head dim plus one."""
    scores = nodes(model, "Where")[0].input[1]
    scale = next(n for n in nodes(model, "Div") if scores in n.output).input[1]
    changed(model, scale, lambda root: math.sqrt(float(root) ** 2 + 1))
    return model


@mutant("graph", kills=("PKG-003", "LOGITS-001"), bug="ggml-org/llama.cpp#8650")
def graph_frequencies_of_the_default(model: Any) -> Any:
    """The frequencies are a stale initializer, of base 10000 and unscaled."""
    angle = nodes(model, "Cos")[0].input[0]
    frequencies = next(n for n in nodes(model, "Mul") if angle in n.output).input[1]
    changed(model, frequencies, lambda f: 1e4 ** (-np.arange(f.size) / f.size).reshape(f.shape))
    return model


@mutant("graph", kills=("LOGITS-001", "LOGITS-002"), bug="huggingface/transformers#29285")
def graph_angle_through_float16(model: Any) -> Any:
    """A cast of the angles to float16 and back is left by a conversion."""
    _cast(model, nodes(model, "Cos")[0].input[0], "FLOAT16")
    return model


@mutant("graph", kills=("LOGITS-001", "LOGITS-002", "TAP-001"), bug="generic")
def graph_scores_through_bfloat16(model: Any) -> Any:
    """A cast of the first layer's scores to bfloat16 and back is left by a conversion."""
    _cast(model, nodes(model, "Where")[0].input[1], "BFLOAT16")
    return model


@mutant("graph", kills=("LOGITS-001", "LOGITS-002"), bug="generic")
def graph_head_in_float16(model: Any) -> Any:
    """The head's weight was converted to float16 and is cast back."""
    _cast(model, _head(model).input[1], "FLOAT16")
    return model


@mutant("graph", kills=("PKG-002", "LOGITS-001", "LOGITS-002"), bug="generic")
def graph_weight_transposed(model: Any) -> Any:
    """The first square weight is transposed, where a Transpose was folded twice."""
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    weights = [node.input[1] for node in nodes(model, "MatMul") if node.input[1] in constants]
    square = [name for name in weights if len({*constants[name].dims}) == 1]
    for name in square[:1]:
        changed(model, name, lambda weight: weight.T)
    return model


@mutant("graph", kills=("LOGITS-001", "LOGITS-002"), bug="generic")
def graph_final_norm_without_weight(model: Any) -> Any:
    """The product with the final norm's weight is removed."""
    value = _head(model).input[0]
    product = next(n for n in nodes(model, "Mul") if value in n.output)
    _redirected(model, value, product.input[0])
    return model


@mutant("graph", kills=("LOGITS-001", "LOGITS-002", "TAP-001"), bug="generic")
def graph_residual_cut(model: Any) -> Any:
    """The first feed-forward is added to the stream as it was before attention."""
    sums = [n for n in nodes(model, "Add") if not n.input[1].startswith("val_")]
    stream = nodes(model, "Gather")[0].output[0]
    after = next(n for n in sums if stream in n.input).output[0]
    mlp = next(n for n in sums if after in n.input)
    mlp.input[:] = [stream if name == after else name for name in mlp.input]
    return model


@mutant("graph", kills=("LOGITS-001", "LOGITS-002"), bug="generic")
def graph_blind_to_itself(model: Any) -> Any:
    """The comparison of slots is Less, where LessOrEqual was meant."""
    nodes(model, "LessOrEqual")[0].op_type = "Less"
    return model


@mutant("graph", kills=("ATTN-004", "LOGITS-001", "LOGITS-002"), bug="generic")
def graph_padding_mask_dropped(model: Any) -> Any:
    """The edge from the attention mask to the scores is cut."""
    both = nodes(model, "And")[0]
    both.input[1] = both.input[0]
    return model


@mutant("graph", kills=("LOGITS-001", "LOGITS-002"), bug="generic")
def graph_rotation_sign_flipped(model: Any) -> Any:
    """The first difference of a rotation is a sum."""
    joined = {name for node in nodes(model, "Concat") for name in node.input}
    next(n for n in nodes(model, "Sub") if n.output[0] in joined).op_type = "Add"
    return model


@mutant("graph", kills=("LOGITS-001", "LOGITS-002"), bug="generic")
def graph_sigmoid_piecewise(model: Any) -> Any:
    """Sigmoid is replaced by HardSigmoid, as quantisation tools do."""
    for node in nodes(model, "Sigmoid"):
        node.op_type = "HardSigmoid"
    return model


@mutant("graph", kills=("CACHE-001",), bug="generic")
def graph_past_of_another_layer(model: Any) -> Any:
    """The first layer's values of the past are those of the second layer."""
    joined = next(n for n in nodes(model, "Concat") if "past_key_values.0.value" in n.input)
    joined.input[0] = "past_key_values.1.value"
    return model


@mutant(
    "graph",
    bug="generic",
    equivalent="Every position that a model allows is a 32-bit integer.",
)
def graph_positions_in_32_bits(model: Any) -> Any:
    """Positions are cast to int32 before they are made numbers."""
    from onnx import TensorProto, helper  # noqa: PLC0415  # see above

    cast = helper.make_node("Cast", ["position_ids"], ["positions_32"], to=TensorProto.INT32)
    _redirected(model, "position_ids", "positions_32")
    model.graph.node.insert(0, cast)
    return model
