"""What was replaced in the suite's own code is found, whoever came first and however he did it."""

from __future__ import annotations

import dataclasses
import sys
import types

import numpy as np
import pytest

from conformance import evidence, integrity, spec
from conformance.judge import noise, settling
from conformance.oracles import arithmetic
from conformance.records import Measurement


def flatter(*measurements):
    for one in measurements:
        evidence.record(dataclasses.replace(one, observed=0.0))


REPLACED = {
    # name that is told: (what is replaced, its name there, what by)
    "conformance.judge.related": ("conformance.judge", "related", print),
    "conformance.judge.values.settle": ("conformance.judge.values", "settle", flatter),
    "conformance.judge.settling.settle.__code__": (settling.settle, "__code__", flatter.__code__),
    "conformance.judge.noise.related.__defaults__": (noise.related, "__defaults__", (np.eye(1),)),
    "conformance.judge.noise._BLOCK": ("conformance.judge.noise", "_BLOCK", 0),
    "conformance.judge.noise.float": (noise, "float", lambda _: 0.0),
    "conformance.evidence.Sink.measurements": (evidence.Sink, "measurements", ()),
    "conformance.records.results.Measurement.ok": (Measurement, "ok", True),
    "conformance.records.results.Measurement.__lt__": (Measurement, "__lt__", lambda *_: False),
    "conformance.checks.test_logits.judge": (
        "conformance.checks.test_logits",
        "judge",
        types.ModuleType("judge"),
    ),
    "numpy.abs": (np, "abs", np.zeros_like),
    "numpy.linalg": (np, "linalg", types.ModuleType("numpy.linalg")),
    "numpy.linalg.inv": (np.linalg, "inv", np.zeros_like),
}


UNSEEN_BEFORE = {
    "conformance.judge.noise.related.__defaults__",
    "conformance.judge.noise._BLOCK",
    "conformance.judge.noise.float",
    "conformance.records.results.Measurement.__lt__",
    "numpy.abs",
    "numpy.linalg",
    "numpy.linalg.inv",
}
"""Nothing but functions and imports is held against the source files when a run begins."""


@pytest.fixture(scope="module")
def watch():
    return integrity.Watch()


@pytest.fixture
def replace(monkeypatch):
    def call(name):
        owner, attribute, value = REPLACED[name]
        target = (f"{owner}.{attribute}",) if isinstance(owner, str) else (owner, attribute)
        monkeypatch.setattr(*target, value, raising=False)

    return call


def test_an_untouched_suite_is_believed(watch):
    assert watch.replaced() == ""


def test_what_is_imported_or_added_below_later_is_no_replacement(watch, monkeypatch):
    later = types.ModuleType("conformance.judge.later")
    monkeypatch.setattr("conformance.judge.later", later, raising=False)
    monkeypatch.setattr(np, "float", float, raising=False)
    assert watch.replaced() == ""


@pytest.mark.parametrize("name", REPLACED)
def test_a_name_that_stands_for_something_else_is_told(name, watch, replace):
    replace(name)
    assert f"({name}" in watch.replaced()
    assert "--isolate" in watch.replaced()


@pytest.mark.parametrize("name", [name for name in REPLACED if name not in UNSEEN_BEFORE])
def test_a_function_that_was_replaced_before_the_run_began_is_told(name, replace):
    replace(name)
    assert f"({name.removesuffix('.__code__')})" in integrity.Watch().replaced()


def test_names_that_were_exchanged_are_told(watch):
    names = vars(settling)
    before = dict(names)
    exchanged = {"settle": "comparable", "comparable": "settle"}
    try:
        names.clear()
        names.update((exchanged.get(name, name), value) for name, value in before.items())
        assert "conformance.judge.settling.settle" in watch.replaced()
    finally:
        names.clear()
        names.update(before)
    assert watch.replaced() == ""


def test_what_is_behind_a_remembered_function_is_watched(watch, monkeypatch):
    inner = arithmetic._narrows.__wrapped__
    monkeypatch.setattr(inner, "__code__", flatter.__code__)
    assert "conformance.oracles.arithmetic._narrows.__code__" in watch.replaced()


def test_a_module_that_was_exchanged_is_told(watch, monkeypatch):
    other = types.ModuleType("conformance.judge.noise")
    monkeypatch.setitem(sys.modules, "conformance.judge.noise", other)
    assert "(conformance.judge.noise)" in watch.replaced()


def test_limits_that_were_written_over_are_told(watch):
    contract = spec.load().contracts["fp32"]
    before = contract.noise_max
    object.__setattr__(contract, "noise_max", 1e30)
    try:
        assert "(the precision contracts)" in watch.replaced()
    finally:
        object.__setattr__(contract, "noise_max", before)
