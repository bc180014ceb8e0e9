"""What people outside write against: a change here is a change of the suite's interface.

The sets are literal on purpose: an addition is made here too, and a removal is a new major version.
"""

from __future__ import annotations

import inspect

import pytest

from conformance import candidate, cli, fixtures, formats, plugin, report
from conformance.cli import list as lists


def options_of(verb):
    parser = cli.subparsers_of(cli.build_parser())[verb]
    return {o for action in parser._actions for o in action.option_strings} - {"-h", "--help"}


SELECTION = {
    "--against",
    "--candidate",
    "--profile",
    "--model",
    "--only",
    "--claims",
    "--out",
    "--seed",
    "--replay",
    "--jobs",
    "--isolate",
    "--call-limit",
    "--memory-limit",
}
VERBS = {
    "completion": set(),
    "selftest": {"--matrix", "--new", "--out"},
    "diff": set(),
    "explain": set(),
    "export": {"--format", "--opset", "--dtype", "--external-data"},
    "list": set(),
    "plan": SELECTION,
    "report": {"--format", "--output"},
    "run": SELECTION,
    "validate": set(),
}


def test_the_verbs():
    assert set(cli.verbs()) == set(VERBS)


@pytest.mark.parametrize("verb", VERBS)
def test_the_options_of_a_verb(verb):
    assert options_of(verb) == VERBS[verb]


def test_the_options_of_pytest():
    parser = pytest.Parser(_ispytest=True)
    plugin.pytest_addoption(parser)
    found = {o for group in parser._groups for option in group.options for o in option.names()}
    ours = {"--llm-job"}  # which of a run's processes this is: nobody else gives it
    assert found == {f"--llm-{option.removeprefix('--')}" for option in SELECTION} | ours


def test_the_fixtures_that_checks_are_written_against():
    defined = {
        name
        for name, value in vars(fixtures).items()
        if isinstance(value, pytest.FixtureDef) or hasattr(value, "_fixture_function")
    }
    assert defined == {
        "candidate",
        "model",
        "operators",
        "other_model",
        "other_operators",
        "package",
        "sampler",
        "subject",
        "tokenizer",
    }


def test_the_adapters():
    assert set(candidate.built_in_adapters()) == {
        "jax",
        "mutant",
        "onnx_reference",
        "onnxruntime",
        "openvino",
        "pytorch",
        "reference",
        "tensorflow",
        "tokenizers",
        "transformers",
    }


def test_an_adapter_is_one_function_of_target_and_options():
    for name in candidate.built_in_adapters():
        module = candidate.adapter_module(candidate.parse(name))
        assert list(inspect.signature(module.open).parameters) == ["target", "options"]


def test_the_report_formats():
    assert set(report.formats()) == {"html", "json", "junit", "markdown", "table"}


def test_the_lists():
    assert set(lists.LISTS) == {
        "adapters",
        "models",
        "mutants",
        "profiles",
        "requirements",
        "schemas",
    }


def test_the_kinds_of_files_that_can_be_validated():
    assert set(formats.kinds()) == {
        "bert-config",
        "candidate",
        "claims",
        "common",
        "counterexample",
        "hf-config",
        "kill-matrix",
        "marian-config",
        "model-config",
        "product",
        "profile",
        "report",
        "requirements",
        "safetensors",
        "safetensors-header",
        "safetensors-index",
        "t5-config",
        "tensor",
    }
