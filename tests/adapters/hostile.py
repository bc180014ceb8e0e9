"""A candidate that misbehaves on demand, for the tests of the worker; each operator is a deed."""

# ruff: noqa: ARG002, T201
# A session takes arguments that it has no use for, and prints are among the deeds.

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
import time
import weakref
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import ml_dtypes
import numpy as np

from conformance.errors import CandidateUnavailable, MalformedOutput, Unsupported
from conformance.records import CandidateInfo, Claims


def pipes():
    """Return the protocol's pipes: (from the parent, to the parent)."""
    return int(sys.argv[-2]), int(sys.argv[-1])


def segfault():
    print("about to read address 0")
    ctypes.string_at(0)


def below(depth, deed):
    return below(depth - 1, deed) if depth else deed()


def forks():
    if os.fork() == 0:
        time.sleep(60)
    os._exit(4)


def forks_and_floods():
    if os.fork() == 0:
        while True:
            os.write(1, b"noise" * 1000)
    os._exit(4)


def prints():
    print("a banner on stdout")
    os.write(1, b"bytes on stdout" * 20000)
    return {"Y": np.ones(2, np.float32)}


def garbage(data):
    os.write(pipes()[1], data)
    return {"Y": np.ones(2)}


def header(text, data=b""):
    return garbage(len(text).to_bytes(4, "little") + text + data)


def late():
    """Write into the answers' pipe when the parent has its answer already."""
    threading.Timer(0.2, os.write, (pipes()[1], b"\x02\0\0\0{}")).start()
    return {"Y": np.ones(1)}


class Odd:
    def __str__(self):
        raise RuntimeError("no text for you")


DEEDS = {
    "fine": lambda: {"Y": np.ones(2, np.float32)},
    "segfault": segfault,
    "segfault below": lambda: below(60, segfault),
    "exit": lambda: os._exit(3),
    "sys.exit": lambda: sys.exit(5),
    "sleep": lambda: ctypes.CDLL(None).sleep(60),
    "stop": lambda: os.kill(os.getpid(), signal.SIGSTOP),
    "allocate": lambda: {"Y": np.ones(1 << 32, np.uint8)},
    "prints": prints,
    "raises": lambda: DEEDS[0],
    "raises oddly": lambda: (_ for _ in ()).throw(ValueError("\x1b[31m" + "x" * 9999)),
    "unsupported": lambda: (_ for _ in ()).throw(Unsupported("no kernel")),
    "malformed": lambda: (_ for _ in ()).throw(MalformedOutput("a shape is wrong")),
    "object": lambda: {"Y": np.array([Odd()], object)},
    "text": lambda: "Y",
    "names": lambda: {1: np.ones(1)},
    "list": lambda: {"Y": [1.0]},
    "float16": lambda: {"Y": np.array([[1.5]], np.float16)},
    "garbage": lambda: garbage(b"\xff" * 5000),
    "huge header": lambda: garbage((1 << 31).to_bytes(4, "little")),
    "no json": lambda: header(b"{'ok'"),
    "nan": lambda: header(b'{"ok":true,"x":NaN,"arrays":[]}'),
    "twice": lambda: header(b'{"ok":true,"ok":true,"arrays":[]}'),
    "deep": lambda: header(b"[" * 100000),
    "no answer": lambda: header(b'{"fine":true,"arrays":[]}'),
    "no error": lambda: header(b'{"ok":false,"error":"SystemExit","message":"","arrays":[]}'),
    "objects": lambda: header(b'{"ok":true,"arrays":[["Y","object",[1]]]}', b"12345678"),
    "negative": lambda: header(b'{"ok":true,"arrays":[["Y","float32",[-1,-1]]]}'),
    "huge array": lambda: header(b'{"ok":true,"arrays":[["Y","int8",[4294967296,4294967296]]]}'),
    "two of a name": lambda: header(b'{"ok":true,"arrays":[["Y","int8",[1]],["Y","int8",[1]]]}'),
    "half an array": lambda: header(b'{"ok":true,"arrays":[["Y","int8",[9]]]}') and os._exit(6),
    "forks": forks,
    "forks and floods": forks_and_floods,
    "closes": lambda: os.close(pipes()[1]) or time.sleep(60),
    "late": late,
    "sessions": lambda: {"Y": np.array(len(SESSIONS))},
    "pid": lambda: {"Y": np.array([os.getpid()])},
}

SESSIONS = weakref.WeakSet()


class Session:
    def __init__(self, total):
        self.total = total
        SESSIONS.add(self)

    def append(self, ids, mask, positions):
        self.total = self.total + ids.sum()
        return np.full((*ids.shape, 1), self.total, ml_dtypes.bfloat16)

    def copy(self):
        return Session(self.total)

    def crop(self, length):
        self.total = length

    def reorder(self, rows):
        self.total = int("".join(map(str, rows)))


class Model:
    def __init__(self, package):
        self.package = package

    def logits(self, ids, mask, positions):
        if (ids == 666).any():
            os._exit(7)
        return np.stack([ids, mask, positions], -1).astype(np.float32)

    def hidden_states(self, ids, mask, positions):
        return {"layer.0": ids * 2, "layer.1": np.array(3.0), "none": np.zeros((2, 0, 3), bool)}

    def start(self, batch):
        return Session(batch)

    graph_file = Path("model.onnx")

    def feed(self, ids, mask, positions):
        return {"input_ids": ids, "past": np.zeros((1, 0), np.float32)}

    def showing(self, names):
        def shown(wanted, ids, *_):
            if (ids == 666).any():
                os._exit(7)
            return [np.array(names.index(name) + ids.sum()) for name in wanted]

        return shown


class Candidate:
    info = CandidateInfo(
        "hostile", "1", "none", "cpu", Claims(frozenset({"operators"}), "bf16"), {"a": "b"}
    )

    def load(self, package):
        return Model(package)

    def operator(self, call):
        if call.operator == "Echo":
            assert (call.opset, call.outputs) == (13, ("Y", "Z"))
            return {"Y": call.inputs["X"], "Z": np.array(call.attributes["alpha"])}
        return DEEDS[call.operator]()


def open_package(path, name):
    return SimpleNamespace(path=path, name=name, built={"model.onnx"})


@contextmanager
def open(target, options):  # noqa: A001, ARG001  # the seam
    if target == "absent":
        raise CandidateUnavailable("hostile is not installed")
    if target == "crash":
        os._exit(9)
    if target == "hang":
        time.sleep(60)
    yield Candidate()
