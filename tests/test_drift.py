"""The standard, its checks and its mutants agree with each other."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import reference_model
from conformance import catalogue, mutants, schema, spec
from reference_model import zoo

SPEC = spec.load()
_MODEL = (
    *("model", "alibi", "mlp", "moe", "norms", "rotary", "scaling"),
    "encoder/model",
    *(f"encoder_decoder/{name}" for name in ("model", "buckets", "cache", "transformer/model")),
)
"""Modules of the reference model whose conventions carry ids."""


def test_every_testable_requirement_has_a_check_and_every_check_a_requirement():
    decided = {check.requirement for check in catalogue.all_checks()}
    testable = {r.id for r in SPEC.requirements.values() if not r.untestable}
    assert decided == testable


def test_every_requirement_is_in_a_profile():
    listed = {name for profile in SPEC.profiles.values() for name in profile.requirements}
    assert listed == set(SPEC.requirements)


def test_profiles_name_models_of_the_suite():
    for profile in SPEC.profiles.values():
        assert set(profile.models) <= set(zoo.ALL)


def test_a_requirement_is_decided_on_the_models_of_the_profiles_that_have_it():
    assert spec.models_of(SPEC, "CLOSED-001") == SPEC.profiles["closed-form"].models
    families = SPEC.profiles["decoder"].models, SPEC.profiles["decoder-breadth"].models
    assert set(spec.models_of(SPEC, "LOGITS-001")) == {*families[0], *families[1]}
    assert spec.models_of(SPEC, "EMBED-001") == families[0]
    assert spec.models_of(SPEC, "SOFTMAX-004") == ()


APART = {
    *("operators", "distributions", "sampling", "tokenizer"),
    *("encoder", "encoder_decoder", "target_cache"),
}
"""What no decoder is needed for, and profiles of their own are about."""


def test_release_holds_every_requirement_that_is_about_a_decoder():
    decidable = {
        r.id
        for r in SPEC.requirements.values()
        if not APART & set(r.needs) and not r.suite_model and not r.two_candidates
    }
    assert set(SPEC.profiles["release"].requirements) == decidable


def test_a_profile_is_of_one_candidate_or_of_two_throughout():
    for profile in SPEC.profiles.values():
        kinds = {SPEC.requirements[name].two_candidates for name in profile.requirements}
        assert len(kinds) == 1, profile.name


def test_operators_are_named_with_the_version_that_is_called():
    for requirement in SPEC.requirements.values():
        if "operators" in requirement.needs:
            assert requirement.operator is not None, requirement.id
            name, _, version = requirement.operator.partition("-")
            assert name
            assert version.isdecimal()


@pytest.mark.parametrize("name", mutants.all_mutants())
def test_a_mutant_names_requirements_that_exist(name):
    mutant = mutants.all_mutants()[name]
    assert bool(mutant.kills) != bool(mutant.equivalent or mutant.survives)
    assert set(mutant.kills) <= set(SPEC.requirements)


def test_the_reference_model_names_requirements_that_exist():
    folder = Path(reference_model.__file__).parent
    text = "".join((folder / f"{name}.py").read_text(encoding="utf-8") for name in _MODEL)
    named = set(re.findall(r"\b[A-Z]+-\d{3}\b", text))
    assert named
    assert named <= set(SPEC.requirements)


def test_every_requirement_is_proved_by_a_mutant():
    killed = {name for mutant in mutants.all_mutants().values() for name in mutant.kills}
    assert killed == set(SPEC.requirements)


@pytest.mark.parametrize("kind", ["requirements", "profile"])
def test_the_standards_files_follow_their_schemas(kind):
    folder = {"requirements": "requirements", "profile": "profiles"}[kind]
    root = spec.resources.files("conformance.spec") / folder
    documents = [schema.parse(f.read_bytes()) for f in root.iterdir() if f.name.endswith(".json")]
    assert documents
    for document in documents:
        schema.validate(kind, document)


def test_a_union_asks_for_what_its_parts_ask_for_each_on_its_own_models():
    full = SPEC.profiles["decoder-full"]
    parts = [SPEC.profiles[part.name] for part in full.includes]
    assert set(full.requirements) == {name for part in parts for name in part.requirements}
    for name in full.requirements:
        owed = {model for part in parts if name in part.requirements for model in part.models}
        assert set(full.models_of(name)) == owed
    assert full.models_of("LONG-002") == SPEC.profiles["long-context"].models
    assert full.models_of("LONG-002", "bf16") == ()


def test_a_check_is_known_by_its_name_alone():
    """Cases, and what a report says of a check, go by it."""
    modules = {}
    for check in catalogue.all_checks():
        modules.setdefault(check.name, set()).add(check.module)
    assert {name: found for name, found in modules.items() if len(found) > 1} == {}
