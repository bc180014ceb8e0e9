"""Candidates with one fault each: the fault is the target of the adapter."""

# ruff: noqa: ARG001, ARG005
# Functions take arguments that they have no use for.

from __future__ import annotations

import ctypes
import os
from contextlib import contextmanager

import numpy as np

from conformance.adapters import reference
from conformance.errors import Unsupported
from conformance.records import CandidateInfo, Claims

FAULTS = {
    "raises": lambda honest: 1 // 0,
    "unsupported": lambda honest: (_ for _ in ()).throw(Unsupported("no kernel for this size")),
    "nan": lambda honest: np.full_like(honest, np.nan),
    "shape": lambda honest: honest[..., :-1],
    "type": lambda honest: honest.astype(np.float64),
    "none": lambda honest: None,
    "list": lambda honest: honest.tolist(),
    "one-and-a-half": lambda honest: honest * np.float32(1.5),
    "segfault": lambda honest: ctypes.string_at(0),
    "exit": lambda honest: os._exit(0),
    "dies-on-batches": lambda honest: honest if len(honest) == 1 else os._exit(5),
    "hang": lambda honest: sum(range(10**12)),
}


@contextmanager
def open(target, options):  # noqa: A001
    if target == "open":
        raise OSError("the device is on fire")
    with reference.open("", {}) as honest:
        yield Candidate(honest, target)


class Candidate:
    def __init__(self, honest, fault):
        self.honest, self.fault = honest, fault
        claims = Claims(frozenset({"logits", "cache"}))
        self.info = CandidateInfo("faulty", "1", "numpy", "cpu", claims)

    def load(self, package):
        if self.fault == "load":
            raise MemoryError("no room for the weights")
        return Model(self.honest.load(package), self.fault)


class Model:
    def __init__(self, honest, fault):
        self.honest, self.fault = honest, fault

    def logits(self, ids_BT, mask_BT, positions_BT):
        honest = self.honest.logits(ids_BT, mask_BT, positions_BT)
        if self.fault in FAULTS:
            return FAULTS[self.fault](honest)
        return honest
