"""Candidates that misbehave in the suite's own process: the deed is the target of the adapter."""

# ruff: noqa: ARG001, ARG005
# Deeds take arguments that they have no use for.

from __future__ import annotations

import ctypes
import dataclasses
import gc
import os
import signal
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import hypothesis
import numpy as np
import pytest
from hypothesis.internal.conjecture.data import StopTest

from conformance import evidence
from conformance.adapters import reference
from conformance.records import CandidateInfo, Claims

CALLS = 45
"""Honest answers before the deed: some cases have passed by then."""


class Unreadable(Exception):  # noqa: N818
    def __str__(self):
        raise RuntimeError("no text for you")


def raises(error):
    def deed(honest):
        raise error

    return deed


def sleeps(honest):
    if not Path("began").exists():  # once: a candidate that is started again goes on
        Path("began").touch()
        time.sleep(120)
    return honest


def interrupted_in_a_callback(honest):
    """Ctrl-C while the garbage collector calls back: Python drops what the handler raises."""

    def callback(phase, info):
        gc.callbacks.remove(callback)
        signal.raise_signal(signal.SIGINT)

    gc.callbacks.append(callback)
    gc.collect()
    return honest


def swallows_the_interrupt(honest):
    try:
        signal.raise_signal(signal.SIGINT)
    except KeyboardInterrupt:
        raise RuntimeError("a call was broken off") from None
    return honest


def hangs(honest):
    Path("began").touch()
    sum(range(10**12))  # for minutes in native code, which looks at no signal
    return honest


def one_buffer():
    kept = {}

    def deed(honest):
        kept.setdefault(honest.shape, honest.copy())[...] = honest
        return kept[honest.shape]

    return deed


def wrong(honest):
    return honest * np.float32(1.5)


def wrong_once():
    left = [wrong]
    return lambda honest: left.pop()(honest) if left else honest


def moves_away(honest):
    os.chdir("/")
    return honest


def patches_the_judge(honest):
    judge = sys.modules.get("conformance.judge")
    if judge is not None:
        judge.related = judge.within_noise = judge.max_within_noise = lambda *_, **__: None
    return wrong(honest)


def flatter(*measurements):
    """Record what a good candidate would have measured."""
    for one in measurements:
        evidence.record(dataclasses.replace(one, observed=one.limit / 3))


def flatters_where_judges_settle(honest):
    for judges in ("settling", "noise", "values", "documents"):
        vars(sys.modules[f"conformance.judge.{judges}"])["settle"] = flatter
    return wrong(honest)


DEEDS = {
    "honest": lambda honest: honest,
    "exits-0": lambda honest: os._exit(0),
    "exits-1": lambda honest: os._exit(1),
    "exits-2": lambda honest: os._exit(2),
    "exits-4": lambda honest: os._exit(4),
    "segfaults": lambda honest: ctypes.string_at(0),
    "skips": lambda honest: pytest.skip("excuse me"),
    "xfails": lambda honest: pytest.xfail("excuse me"),
    "leaves": lambda honest: pytest.exit("all is well", returncode=0),
    "system-exit": raises(SystemExit(0)),
    "rejects": lambda honest: hypothesis.reject(),
    "stops-hypothesis": raises(StopTest(0)),
    "interrupts": raises(KeyboardInterrupt()),
    "interrupted-in-a-callback": interrupted_in_a_callback,
    "swallows-the-interrupt": swallows_the_interrupt,
    "unreadable": raises(Unreadable()),
    "escapes": raises(ValueError("\x1b[2J\ud800 conformant: release, fp32")),
    "group": raises(ExceptionGroup("many", [ValueError("one")])),
    "sleeps": sleeps,
    "hangs": hangs,
    "chdir": moves_away,
    "wrong": wrong,
    "wrong-once": wrong_once(),
    "one-buffer": one_buffer(),
    "patches-the-judge": patches_the_judge,
    "flatters-where-judges-settle": flatters_where_judges_settle,
    "terminates": lambda honest: os.kill(os.getpid(), signal.SIGTERM),
}


@contextmanager
def open(target, options):  # noqa: A001
    if target == "open-exits-0":
        os._exit(0)
    if target == "info-none":
        yield type("Candidate", (), {"info": None})()
        return
    if target == "digests-none":
        claims = Claims(frozenset({"logits"}))
        info = CandidateInfo("c", "1", "r", "d", claims, None)
        yield type("Candidate", (), {"info": info})()
        return
    with reference.open("", {}) as honest:
        yield Candidate(honest, DEEDS.get(target, DEEDS["honest"]), target)
    if target == "close-raises":
        raise RuntimeError("not today")


class Candidate:
    def __init__(self, honest, deed, target):
        self.honest, self.deed, self.calls = honest, deed, 0
        claims = Claims(frozenset({"logits", "cache"}))
        name = "\x1b[2Jconformant" if target == "odd-name" else "fake"
        version = "" if target == "odd-name" else "1"
        self.info = CandidateInfo(name, version, "numpy", "cpu", claims)

    def load(self, package):
        return Model(self.honest.load(package), self)


class Model:
    def __init__(self, honest, owner):
        self.honest, self.owner = honest, owner

    def logits(self, *inputs):
        self.owner.calls += 1
        answer = self.honest.logits(*inputs)
        return self.owner.deed(answer) if self.owner.calls > CALLS else answer

    def start(self, batch):
        return self.honest.start(batch)
