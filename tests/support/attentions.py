"""What tests of attention share: calls, random inputs, and torch's answer in fp64."""

from __future__ import annotations

import numpy as np
import torch

from conformance.records import OWN_DOMAIN, OperatorCall
from honest import f32


def call(inputs, operator="Attention", opset=25, outputs=("Y",), **attributes):
    domain = "" if operator == "Attention" else OWN_DOMAIN
    return OperatorCall(operator, opset, inputs, attributes, outputs, domain)


def drawn(rng, *, heads=4, shared=2, queries=5, keys=33, size=1.0):
    """Return Q, K and V as float32 by their names."""
    shapes = {"Q": (2, heads, queries, 8), "K": (2, shared, keys, 8), "V": (2, shared, keys, 6)}
    sizes = {"Q": size, "K": size, "V": 1.0}
    return {n: (rng.normal(size=s) * sizes[n]).astype(f32) for n, s in shapes.items()}


def varied(rng, **sizes):
    """Return the same of many or few keys, with values of both signs or of one."""
    size = rng.choice([0.1, 1, 4])
    inputs = drawn(rng, keys=int(rng.choice([5, 6, 33])), size=size, **sizes)
    inputs["V"] = np.abs(inputs["V"]) if rng.integers(2) else inputs["V"]
    return inputs


def torch_attention(inputs, mask=None, sinks=None, scale=None):
    """Return attention in torch's fp64, with repeated heads and a softmax over scores and sink."""
    q, k, v = (torch.from_numpy(inputs[n]).double() for n in "QKV")
    k, v = (x.repeat_interleave(q.shape[1] // x.shape[1], 1) for x in (k, v))
    scores = q @ k.mT * (q.shape[-1] ** -0.5 if scale is None else scale)
    if mask is not None:
        scores = scores + torch.from_numpy(np.array(mask, dtype=np.float64))
    if sinks is not None:
        column = torch.from_numpy(sinks).double()[:, None, None].expand(*scores.shape[:-1], 1)
        scores = torch.cat([scores, column], -1)
    return scores.softmax(-1)[..., : k.shape[2]] @ v


def additive(allowed):
    return np.where(allowed, 0.0, -np.inf)
