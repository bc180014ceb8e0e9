"""What a release will take is told before it is judged, and refused where it cannot be had."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from conformance import models, preflight, spec
from conformance.errors import UsageError
from conformance.records import Preflight

sys.path.insert(0, str(Path(__file__).parent / "support"))

import large_release

FP32 = spec.load().contracts["fp32"]
NEEDS = Preflight(
    parameters=1_240_000_000,
    layer_bytes=121_000_000,
    peak_bytes=2_300_000_000,
    free_bytes=1_900_000_000,
    seconds=400.0,
)


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    shape = large_release.Shape(512, 64, 128, 3, 4, 2)
    return models.open_package(large_release.write(tmp_path_factory.mktemp("m") / "small", shape))


def estimated(package, requirements=("LOGITS-001",), generated=0):
    return preflight.estimated(package, FP32, requirements, generated)


def test_parameters_and_layers_are_counted(package):
    found = estimated(package)
    layer = 64 * (64 + 2 * 32 + 64) + 3 * 64 * 128 + 2 * 64
    assert found.parameters == 512 * 64 + 3 * layer + 64
    assert found.layer_bytes == 2 * layer, "stored as bfloat16"


def test_memory_is_that_of_logits_and_streams_and_does_not_hold_the_weights():
    shapes = {}
    for layers in (16, 32):
        config = {**large_release.BILLION.config, "num_hidden_layers": layers}
        shapes[layers] = preflight.Architecture.from_config(config)
    shallow, deep = (preflight._peak(shapes[layers], FP32, [514, 320]) for layers in (16, 32))
    assert 0 <= deep - shallow <= 16 * 2048 * 8 * (320 + 514)
    logits = 128256 * (8 + 4 + 4) * 514
    assert logits < shallow < 8 * large_release.BILLION.parameters / 4


def test_of_the_long_rows_no_more_is_kept_than_the_oracle_keeps():
    for vocab, kept in ((50_000, 50_000 * 514), (200_000, preflight.KEPT_BYTES // 8)):
        config = {**large_release.BILLION.config, "vocab_size": vocab, "num_hidden_layers": 0}
        shape = preflight.Architecture.from_config(config)
        alone, behind = (preflight._peak(shape, FP32, tokens) for tokens in ([514], [514, 514]))
        assert behind - alone == 8 * kept


def test_more_questions_take_more_time(package, monkeypatch):
    monkeypatch.setattr(preflight, "speed", lambda _: 1e-9)
    one = estimated(package, ["LOGITS-005"]).seconds
    both = estimated(package).seconds
    typed = estimated(package, ["LOGITS-001", "PREC-001"]).seconds
    drawn = estimated(package, generated=4).seconds
    assert one < both < typed
    assert both < drawn


def test_the_speed_is_measured_and_fp64_is_slower():
    exact = preflight.speed(preflight.FP64)
    assert 1e-12 < exact < 1e-7


def test_a_model_that_does_not_fit_is_refused_with_the_way_out():
    with pytest.raises(UsageError, match=r"takes 2\.3 GB .* and 1\.9 GB can be had: choose"):
        preflight.check("big", NEEDS)


@pytest.mark.parametrize("free", [None, 2_300_000_000])
def test_what_fits_or_cannot_be_known_is_not_refused(free):
    preflight.check("big", Preflight(1, 1, 2_300_000_000, free, 1.0))


def test_one_line_says_what_it_takes():
    assert preflight.told("big", NEEDS, FP32) == (
        "big: 1.24e+09 parameters, 0.1 GB a layer; the suite needs 2.3 GB of 1.9 GB beside the "
        "candidate, whose weights are 5.0 GB in float32, and about 400 s"
    )


def test_memory_is_what_the_user_says(monkeypatch):
    monkeypatch.setenv(preflight.MEMORY_VARIABLE, "12345")
    assert preflight.free_memory() == 12345
    monkeypatch.setenv(preflight.MEMORY_VARIABLE, "8 GB")
    with pytest.raises(UsageError, match="is '8 GB'; wanted a number of bytes"):
        preflight.free_memory()


def test_the_limit_of_a_container_counts(tmp_path):
    assert preflight._of_the_group(tmp_path) is None
    (tmp_path / "memory.max").write_text("8000\n")
    (tmp_path / "memory.stat").write_text("anon 3000\nfile 4000\n")
    assert preflight._of_the_group(tmp_path) == 5000
    (tmp_path / "memory.max").write_text("max\n")
    assert preflight._of_the_group(tmp_path) is None


def test_a_run_says_what_it_takes_and_keeps_it(llm, tiny):
    ended = llm("run", "--candidate", "reference", "--model", tiny, "--only", "LOGITS-005")
    (model,) = ended.report["models"]
    assert model["preflight"]["parameters"] > 1000
    assert model["preflight"]["peak_bytes"] > model["preflight"]["layer_bytes"]
    assert "parameters" in ended.err
    assert "the suite needs" in ended.err


def test_a_run_that_cannot_have_its_memory_ends_before_it_asks_anything(llm, tiny):
    words = ("run", "--candidate", "reference", "--model", tiny)
    ended = llm(*words, env={preflight.MEMORY_VARIABLE: "1000000"})
    assert ended.code == 4
    assert "error: judging tiny takes" in ended.err
    assert "1.0 MB can be had: choose profile release-large" in ended.err
