"""Each error is raised on its real path, and its message read as a stranger would read it.

What was seen, where, what was allowed, what to do: the parts that a message must hold stand in
the table.
"""

from __future__ import annotations

import dataclasses
import inspect
import re
import secrets
import shutil
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import onnx
import pytest
from onnx import helper

from conformance import candidate, checked, errors, evidence, judge, models, package, schema, spec
from conformance import plan as planning
from conformance.adapters._onnx_model import GraphModel
from conformance.records import Claims, GenerationRequest, Measurement, OperatorCall
from conformance.worker import Limits, isolated

SPEC = spec.load()
CONTRACT = SPEC.contracts["fp32"]
CALL = OperatorCall(
    "Softmax", 13, {"input": np.zeros((1, 2), np.float32)}, {"axis": -1}, ("output",)
)

ADAPTER = """
import os, time
from contextlib import contextmanager
from conformance.records import CandidateInfo, Claims

class Candidate:
    info = CandidateInfo("c", "1", "r", "d", Claims(frozenset({"operators"})))
    def __init__(self, deed): self.deed = deed
    def operator(self, call):
        if self.deed == "dies": os._exit(7)
        time.sleep(60)

@contextmanager
def open(target, options):
    yield Candidate(target)
"""


def operator(answer):
    """Ask a candidate for one operator; ``answer`` is what its method does."""
    subject = SimpleNamespace(operator=answer)
    return checked.CheckedOperators(subject, CONTRACT).compute(CALL)


def isolated_operator(tmp_path, deed, **limits):
    adapter = tmp_path / "adapter.py"
    adapter.write_text(ADAPTER, encoding="utf-8")
    with isolated(f"{adapter}:{deed}", Limits(**limits)) as subject:
        checked.CheckedOperators(subject, CONTRACT).compute(CALL)


def broken_standard(tmp_path):
    """Load a standard whose profile names a requirement that does not exist."""
    code = (
        "import json, pathlib, shutil, sys\n"
        "import conformance\n"
        "root = pathlib.Path(conformance.__file__).parent\n"
        "copy = pathlib.Path(sys.argv[1])\n"
        "shutil.copytree(root, copy / 'conformance')\n"
        "shutil.copytree(root.parent / 'schemas', copy / 'schemas')\n"
        "file = copy / 'conformance/spec/profiles/decoder.json'\n"
        "document = json.loads(file.read_text())\n"
        "document['requirements'].append('NONE-001')\n"
        "file.write_text(json.dumps(document))\n"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True, timeout=60)
    load = (
        "from conformance import errors, spec\n"
        "try: spec.load()\n"
        "except errors.SpecError as error: print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", load],
        cwd=tmp_path,
        env={"PYTHONPATH": str(tmp_path), "PATH": ""},
        capture_output=True,
        text=True,
        check=True,
    )
    raise errors.SpecError(done.stdout.strip() or "nothing was raised")


def unknown_requirement(_):
    planning.plan(SPEC, SPEC.profiles["decoder"], Claims(frozenset({"logits"})), ["BATCH-01"])


def broken_document(tmp_path):
    file = tmp_path / "claims.json"
    file.write_text('{"capabilities": ["logits"], "capabilities": []}', encoding="utf-8")
    schema.load(file)


def folder_without_weights(tmp_path):
    config = models.suite_package("llama-mqa-tied").path / "config.json"
    (tmp_path / "config.json").write_bytes(config.read_bytes())
    package.open_package(tmp_path)


def build_that_breaks(tmp_path):
    """Ask for the export of a folder that was emptied after it had been opened."""
    folder = tmp_path / "model"
    shutil.copytree(models.suite_package("llama-mqa-tied").path, folder)
    opened = models.open_package(folder)
    opened = dataclasses.replace(opened, digest=secrets.token_hex(32))  # not in the cache
    (folder / "config.json").unlink()
    checked.guarded("load", lambda: opened.file("model.onnx"))


def unknown_target(_):
    with candidate.open_candidate("reference:gpu"):
        pass


def no_kernel(_):
    call = OperatorCall("Einsum", 12, {"Inputs": np.zeros(2, np.float32)}, {}, ("Output",))
    with candidate.open_candidate("reference") as subject:
        subject.operator(call)


def graph_without_streams(tmp_path):
    graph = helper.make_graph([helper.make_node("Neg", ["x"], ["logits"])], "g", [], [])
    file = tmp_path / "model.onnx"
    onnx.save(helper.make_model(graph), file)
    model = GraphModel(lambda *_: [], {}, ["logits"], file)
    checked.guarded("hidden_states", lambda: model.hidden_states(1, 1, 1))


def too_many_deaths(tmp_path):
    adapter = tmp_path / "adapter.py"
    adapter.write_text(ADAPTER, encoding="utf-8")
    with isolated(f"{adapter}:dies", Limits(restarts=0)) as subject:
        operators = checked.CheckedOperators(subject, CONTRACT)
        with pytest.raises(errors.CandidateCrashed):
            operators.compute(CALL)
        operators.compute(CALL)


def prompt_that_does_not_fit(_):
    with candidate.open_candidate("pytorch") as subject:
        model = subject.load(models.suite_package("trained-bytes"))
        model.generate(GenerationRequest(((65,) * 250,), 7))


def wrong_answer(_):
    observed = np.array([1.0, 2.5], np.float32)
    judge.bitwise_equal(observed, np.array([1.0, 2.0], np.float32), "logits")


RAISED = {
    # class: (how it is raised, what was seen and where and what is allowed, what to do)
    "SpecError": (broken_standard, ["decoder", "NONE-001"], "Install llm-conformance anew"),
    "UsageError": (unknown_requirement, ["'BATCH-01'", "Known:"], "Did you mean 'BATCH-001'?"),
    "FormatError": (
        broken_document,
        ["claims.json", "\\[L1-DUPLICATE-KEY\\]"],
        'has the key "capabilities" more than once',
    ),
    "PackageError": (
        folder_without_weights,
        ["there are config.json"],
        "are read from model.safetensors",
    ),
    "BuildError": (
        build_that_breaks,
        ["could not make model\\.onnx", "config\\.json does not exist"],
        "Put a model\\.onnx of your own",
    ),
    "CandidateUnavailable": (unknown_target, ["'gpu'"], "Did you mean|Known: numpy"),
    "Unsupported": (no_kernel, ["Einsum"], "Known: "),
    "NotInBuild": (
        graph_without_streams,
        ["model\\.onnx", "no outputs present\\.0\\.value"],
        "Name the values layer\\.0",
    ),
    "RestartsSpent": (
        too_many_deaths,
        ["1 times", "0 restarts allowed", "code 7"],
        "leave out --isolate",
    ),
    "CandidateRaised": (
        lambda _: operator(lambda _: 1 // 0),
        ["Softmax", "ZeroDivisionError"],
        "test_errors\\.py:\\d+: ",
    ),
    "CandidateCrashed": (
        lambda tmp: isolated_operator(tmp, "dies"),
        ["code 7", "Softmax"],
        "to debug it, leave out --isolate",
    ),
    "CandidateTimeout": (
        lambda tmp: isolated_operator(tmp, "hangs", call_s=1.0),
        ["1(\\.0)? s", "Softmax"],
        "more time with --call-limit",
    ),
    "MalformedOutput": (
        lambda _: operator(lambda _: {"output": np.zeros((2, 2), np.float32)}),
        ["output has shape \\[2, 2\\]"],
        "wanted \\[1, 2\\]",
    ),
    "Refused": (prompt_that_does_not_fit, ["250 tokens", "256 positions"], "Shorten"),
    "Nonconformity": (wrong_answer, ["1 ", "logits\\[1\\]"], "allowed 0"),
}


def test_every_class_of_the_tree_is_raised_here():
    abstract = {"ConformanceError", "CandidateFault"}
    classes = {
        name
        for name, value in vars(errors).items()
        if inspect.isclass(value) and issubclass(value, errors.ConformanceError)
    }
    assert set(RAISED) == classes - abstract


@pytest.mark.parametrize("name", RAISED)
def test_a_message_says_what_was_seen_where_what_is_allowed_and_what_to_do(name, tmp_path):
    cause, seen, to_do = RAISED[name]
    with evidence.collect(), pytest.raises(errors.ConformanceError) as caught:
        cause(tmp_path)
    assert type(caught.value).__name__ == name
    text = str(caught.value)
    if isinstance(caught.value, errors.SpecError):
        text = errors.fault_of_the_suite(caught.value)
    for part in [*seen, to_do]:
        assert re.search(part, text), f"{part!r} is not in: {text}"
    sentence, *places = text.splitlines()
    assert all(place.startswith("  ") for place in places), "further lines tell where it came from"
    assert "Traceback" not in text
    assert "<" not in sentence, f"the representation of an object: {text}"


@pytest.mark.parametrize("name", RAISED)
def test_the_tree_in_the_docstring_names_every_class(name):
    assert name in errors.__doc__


def test_a_failed_judgement_names_the_limit_that_would_have_passed():
    with evidence.collect(), pytest.raises(errors.Nonconformity) as caught:
        wrong_answer(None)
    measured = caught.value.measurement
    assert not measured.ok
    assert isinstance(caught.value, AssertionError)
    passing = float(re.search(r"would pass at ([\d.e+-]+)", errors.describe(BEYOND)).group(1))
    assert passing >= 31.416


BEYOND = Measurement("rms", 31.416, 4.0, "noise units", "logits[0, 17, 4032]", 9)


def test_unknown_words_are_answered_with_the_nearest_known_one():
    assert "Did you mean 'decoder'?" in errors.did_you_mean("decodr", ["release", "decoder"])
    assert errors.did_you_mean("x", []) == " Known: none."


def test_of_many_known_words_the_nearest_are_shown():
    told = errors.did_you_mean("decodr", [*map(str, range(100)), "release", "decoder"])
    assert told.startswith(" Did you mean 'decoder'? Known: decoder, release, ")
    assert told.endswith(" and 92 more.")


@pytest.mark.parametrize("observed", [float("inf"), float("nan")])
def test_nothing_is_said_to_pass_at_what_is_no_number(observed):
    told = errors.describe(dataclasses.replace(BEYOND, observed=observed))
    assert "would pass" not in told
    assert "logits[0, 17, 4032]" in told
