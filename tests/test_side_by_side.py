"""Runs side by side: only of the same inputs, and distances from what they kept."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest

from conformance import catalogue, cli, kept
from conformance.errors import UsageError
from conformance.records import NoiseUnit
from conformance.report import json as record
from conformance.side_by_side import ON_THE_CORPUS, side_by_side

EXAMPLE = (
    Path(__file__).parents[1] / "schemas" / "examples" / "report" / "valid" / "conformant.json"
)
REPORT = record.parse(EXAMPLE.read_bytes())
UNIT = NoiseUnit(rms=1e-3, max=1e-2, spread=0.1, members=8, positions=4, contract="fp32")
EXACT = np.linspace(-1, 1, 4 * 8).reshape(4, 8)


class Answered:
    """Stands for a checked model, with an answer to a corpus of which the last row is padding."""

    def __init__(self, logits_NV):
        self.answer_BTV = np.concatenate([logits_NV, np.full((1, 8), np.nan)])[None]
        self.corpus = type("Corpus", (), {"judged_BT": np.array([[True] * 4 + [False]])})


def run(folder, logits_NV, name="a", unit=UNIT):
    digest = None if logits_NV is None else kept.keep(Answered(logits_NV), folder)
    model = dataclasses.replace(REPORT.models[0], noise=unit, answer=digest)
    told = dataclasses.replace(REPORT.run, candidate=name)
    return folder, dataclasses.replace(REPORT, models=(model,), run=told)


def distance(one, other):
    return side_by_side([one, other]).distances[0][1]


def test_a_distance_is_the_rms_difference_in_the_wider_noise_unit(tmp_path):
    wide = dataclasses.replace(UNIT, rms=2e-3, contract="bf16")
    other = run(tmp_path / "b", EXACT + 6e-3, "b", wide)
    found = distance(run(tmp_path / "a", EXACT), other)
    assert (found.units, found.unit_of) == (pytest.approx(3.0), "bf16")
    assert found.model == REPORT.models[0].name


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_what_is_kept_is_what_was_answered_without_the_padding(tmp_path, dtype):
    logits_NV = EXACT.astype(dtype)
    loaded = kept.load(tmp_path, kept.keep(Answered(logits_NV), tmp_path))
    assert np.array_equal(loaded, logits_NV.astype(np.float64))


def test_answers_that_are_too_many_are_not_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(kept, "_MOST_BYTES", EXACT.nbytes - 1)
    assert kept.keep(Answered(EXACT), tmp_path) is None
    assert not list(tmp_path.rglob("*.npy"))


def test_an_answer_that_nobody_asked_for_is_not_asked_for(tmp_path):
    assert kept.keep(type("Model", (), {})(), tmp_path) is None


def test_logits_that_were_changed_or_lost_give_no_distance(tmp_path):
    one, other = run(tmp_path / "a", EXACT), run(tmp_path / "b", EXACT + 1, "b")
    (file,) = (tmp_path / "b").rglob("*.npy")
    file.write_bytes(file.read_bytes()[:-1] + b"\0")
    assert "not there any more" in distance(one, other).why
    file.unlink()
    assert "not there any more" in distance(one, other).why


def test_a_run_that_kept_nothing_has_no_distance_and_says_so(tmp_path):
    found = distance(run(tmp_path, None), run(tmp_path / "b", EXACT, "b"))
    assert math.isnan(found.units)
    assert "a kept no logits" in found.why


def test_an_answer_that_is_no_number_is_far_from_every_other(tmp_path):
    broken = EXACT.copy()
    broken[1, 1] = math.nan
    found = distance(run(tmp_path / "a", EXACT), run(tmp_path / "b", broken, "b"))
    assert math.isnan(found.units)
    assert not found.why


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"profile": "release"}, "profile: decoder and release"),
        ({"suite": {**REPORT.suite, "digest": "0" * 64}}, "suite: "),
        ({"suite": {**REPORT.suite, "spec_digest": "0" * 64}}, "standard: "),
        ({"run": dataclasses.replace(REPORT.run, seed=8)}, "seed: 7 and 8"),
        ({"models": ()}, "models: "),
        ({"requirements": ()}, "requirements listed: "),
        ({"environment": {"hypothesis": "0"}}, "generator: "),
    ],
)
def test_runs_of_other_inputs_are_refused_by_name(tmp_path, changes, told):
    other = dataclasses.replace(REPORT, **changes)
    with pytest.raises(UsageError, match=told) as caught:
        side_by_side([(tmp_path, REPORT), (tmp_path, other)])
    assert "not given the same inputs" in str(caught.value)


def test_the_command_shows_several_and_refuses_others(tmp_path, capsys):
    files = []
    for name, seed in (("a", 7), ("b", 7), ("c", 8)):
        told = dataclasses.replace(REPORT.run, candidate=name, seed=seed)
        files.append(tmp_path / f"{name}.json")
        files[-1].write_text(record.render(dataclasses.replace(REPORT, run=told)))
    assert cli.main(["report", *map(str, files[:2])]) == 0
    assert "2 candidates side by side" in capsys.readouterr().out
    assert cli.main(["report", *map(str, files)]) == 4
    assert "seed: 7 and 8" in capsys.readouterr().err
    assert cli.main(["report", *map(str, files[:2]), "--format", "junit"]) == 4


def test_the_distance_from_the_exact_logits_is_that_of_the_corpus_that_is_kept():
    assert [c.requirement for c in catalogue.all_checks() if c.name == ON_THE_CORPUS] == [
        "LOGITS-001"
    ]
