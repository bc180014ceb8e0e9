"""What was asked for: read from options, written back as options, checked."""

from __future__ import annotations

import dataclasses
import shlex
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conformance.errors import UsageError
from conformance.selection import Selection, from_options

words = st.text("abc-:?=&/. 'é", min_size=1, max_size=8).filter(lambda w: w.strip())
selections = st.builds(
    Selection,
    candidate=words,
    against=st.just("") | words,
    profile=st.sampled_from(["", "decoder", "release"]),
    model=st.lists(words, max_size=2).map(tuple),
    only=st.lists(words, max_size=2).map(tuple),
    claims=st.just("") | words,
    out=st.just("") | words,
    seed=st.none() | st.integers(0, 2**53 - 1),
    isolate=st.just(True),  # noqa: FBT003  # limits need it
    call_limit=st.floats(0.1, 1e6),
    memory_limit=st.none() | st.floats(0.1, 1e6),
    jobs=st.integers(1, 64),
)


def read_back(options: list[str]) -> Selection:
    raw: dict[str, object] = {}
    for word in options:
        name, equals, value = word.removeprefix("--").partition("=")
        name = name.replace("-", "_")
        if name in ("model", "only"):
            raw[name] = [*raw.get(name, []), value]  # type: ignore[misc]
        else:
            raw[name] = value if equals else True
    return from_options(raw)


@given(selections)
def test_options_read_back_to_the_same_selection(selection):
    assert read_back(selection.options()) == selection


@given(selections)
def test_the_command_that_repeats_a_run_survives_a_shell(selection):
    command = shlex.split(selection.command(seed=7))
    assert command[:2] == ["llm-conformance", "run"]
    repeated = read_back(command[2:])
    expected = dataclasses.replace(selection, seed=7, out="", only=(), replay="", jobs=1)
    assert repeated == expected


def test_a_model_of_the_users_own_is_a_release():
    assert Selection("x").profile_name == "decoder"
    assert Selection("x", model=("m",)).profile_name == "release"
    assert Selection("x", model=("m",), profile="decoder").profile_name == "decoder"


def test_run_folders_are_named_by_candidate_and_profile():
    assert Selection("./a b.py:npu0?x=1").folder == Path(
        "conformance-results/a-b.py-npu0-x=1-decoder"
    )
    assert Selection("x", out="here").folder == Path("here")


def test_what_is_less_than_the_profile_has_a_folder_of_its_own():
    folders = [
        Selection("x").folder,
        Selection("x", replay="c.json").folder,
        Selection("x", only=("ATTN-001",)).folder,
        Selection("x", only=("ATTN-002",)).folder,
        Selection("x", only=("ATTN-001", "ATTN-002")).folder,
        Selection("x", only=tuple(f"ATTN-{i:03}" for i in range(90))).folder,
    ]
    assert len(set(folders)) == len(folders)
    assert folders[2].name == "x-decoder-only-ATTN-001"
    assert folders[-1].name == "x-decoder-only-ATTN-000-ATTN-001-ATTN-002-and-87-more"


def test_a_folder_is_named_by_the_models_of_the_users_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert Selection("x", model=("./my model/",)).folder.name == "x-release-my-model"
    assert Selection("x", model=(".",)).folder.name.startswith("x-release-test")


def test_the_name_of_a_folder_is_short_enough_for_every_system():
    assert len(Selection("x" * 300, model=("m" * 250,)).folder.name) <= 200


@given(words)
def test_a_default_run_folder_never_leaves_its_parent(candidate):
    folder = Selection(candidate).folder
    assert folder.parent == Path("conformance-results")
    assert ".." not in folder.parts


def test_random_seeds_are_recorded_and_given_ones_kept():
    assert Selection("x").seeded().seed is not None
    assert Selection("x", seed=0).seeded().seed == 0


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        ({"seed": "-1"}, "--seed -1 is outside 0..2"),
        ({"seed": str(2**53)}, "outside"),
        ({"seed": "1.5"}, "is not a number"),
        ({"call_limit": "0", "isolate": True}, "--call-limit 0 is not a positive number"),
        ({"call_limit": "nan", "isolate": True}, "is not a positive number"),
        ({"memory_limit": "inf", "isolate": True}, "is not a positive number"),
        ({"memory_limit": "1"}, "--memory-limit needs --isolate"),
        ({"call_limit": "1"}, "--call-limit needs --isolate"),
        ({"out": "run", "replay": "run/counterexamples/a.json"}, "name another folder with --out"),
    ],
)
def test_options_that_do_not_fit_are_refused(raw, said):
    with pytest.raises(UsageError) as caught:
        from_options({"candidate": "x", **raw})
    assert said in str(caught.value)
