"""Every built-in adapter keeps the candidate contract; how well its runtime computes is not asked.

Where answers are compared, the limit is 20 times what float32 makes of them anyhow: enough for any
honest order of summation, and far from any mistake in the wiring. The checks of the suite, and not
these tests, judge a runtime's numbers.
"""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import conformance
from conformance import spec
from conformance.candidate import built_in_adapters
from conformance.errors import CandidateUnavailable, NotInBuild, Unsupported

RUNTIMES = {
    "jax": "jax",
    "onnx_reference": "onnx",
    "onnxruntime": "onnxruntime",
    "openvino": "openvino",
    "pytorch": "torch",
    "tensorflow": "tensorflow",
    "tokenizers": "tokenizers",
    "transformers": "transformers",
}
"""The module that an adapter is for; the others need nothing that the suite has not."""
EVERY = [name for name in built_in_adapters() if name != "mutant"]
ROOT = Path(conformance.__file__).parents[1]
VOCABULARY = 512
LENIENCE = 20


def adapter(name):
    return importlib.import_module(f"conformance.adapters.{name}")


@pytest.fixture(scope="module")
def models(candidates, package):
    return {name: candidate.load(package) for name, candidate in candidates.items()}


@pytest.fixture
def model(name, models):
    return models[name]


@pytest.fixture
def caching(candidate, model):
    assert "cache" in candidate.info.claims.capabilities
    return model


def tokens(rows, length, seed=0):
    """Return ids, a mask without padding, and positions, each (rows, length)."""
    shape = (rows, length)
    ids = np.random.default_rng(seed).integers(0, VOCABULARY, shape, dtype=np.int64)
    positions = np.broadcast_to(np.arange(length, dtype=np.int64), shape)
    return ids, np.ones(shape, np.int64), positions


def rms(array):
    return np.sqrt(np.mean(np.square(array, dtype=np.float64)))


@pytest.fixture(scope="module")
def near(models):
    """Assert that two answers differ by no more than 20 times the RMS noise of eager float32."""
    batch = tokens(4, 64)
    truth = models["reference"].logits(*batch)
    noise = rms(models["pytorch"].logits(*batch) - truth) / rms(truth)
    assert 0 < noise < 1e-5

    def assert_near(observed, expected):
        difference = np.abs(observed.astype(np.float64) - expected).max()
        assert difference <= LENIENCE * noise * rms(expected)

    return assert_near


def part(batch, start, stop):
    """Return the arguments of an append of the tokens ``start`` to ``stop``."""
    ids, mask, positions = batch
    return ids[:, start:stop], mask[:, :stop], positions[:, start:stop]


def test_the_adapters_are_those_that_are_documented():
    assert built_in_adapters() == (
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
    )


def test_info_is_complete(name, candidates):
    info = candidates[name].info
    assert info.name == name
    assert all([info.version, info.runtime, info.device])
    assert info.claims.precision == "fp32"
    assert {"logits"} <= info.claims.capabilities <= set(spec.load().capabilities)


def test_logits_have_shape_and_type_and_repeat_bit_for_bit(model):
    batch = tokens(3, 7)
    logits = model.logits(*batch)
    assert logits.shape == (3, 7, VOCABULARY)
    assert logits.dtype == np.float32
    assert np.isfinite(logits).all()
    assert np.array_equal(model.logits(*batch), logits)


def test_logits_are_those_of_the_oracle(name, models, near):
    batch = tokens(2, 24)
    near(models[name].logits(*batch), models["reference"].logits(*batch))


@pytest.mark.parametrize("side", ["left", "right"])
def test_padded_rows_are_accepted(model, side, near):
    ids, mask, positions = tokens(2, 6)
    alone = model.logits(ids[:1], mask[:1], positions[:1])
    width = ((0, 0), (3, 0)) if side == "left" else ((0, 0), (0, 3))
    real = slice(3, 9) if side == "left" else slice(0, 6)
    padded = [np.pad(array[:1], width) for array in (ids, mask, positions)]
    full = tokens(1, 9, seed=1)
    batch = [np.concatenate([a, b]) for a, b in zip(padded, full, strict=True)]
    logits = model.logits(*batch)
    assert np.isfinite(logits[0, real]).all()
    near(logits[:1, real], alone)


def test_cached_steps_equal_one_full_pass(caching, near):
    batch = tokens(2, 8)
    session = caching.start(2)
    steps = [session.append(*part(batch, a, b)) for a, b in ((0, 4), (4, 5), (5, 8))]
    logits = np.concatenate(steps, axis=1)
    assert logits.dtype == np.float32
    near(logits, caching.logits(*batch))


def test_a_left_padded_row_is_accepted_by_the_cache(caching, near):
    ids, mask, positions = tokens(2, 8)
    mask, positions = mask.copy(), positions.copy()
    mask[0, :2] = 0
    positions[0] = [0, 0, 0, 1, 2, 3, 4, 5]
    session = caching.start(2)
    batch = ids, mask, positions
    logits = np.concatenate([session.append(*part(batch, a, a + 4)) for a in (0, 4)], axis=1)
    near(logits[:, 2:], caching.logits(*batch)[:, 2:])


def test_a_copied_session_is_independent(caching, near):
    batch, other = tokens(1, 6), tokens(1, 6, seed=1)
    session = caching.start(1)
    session.append(*part(batch, 0, 3))
    twin = session.copy()
    twin.append(*part(other, 3, 6))
    near(session.append(*part(batch, 3, 6)), caching.logits(*batch)[:, 3:])


def test_a_cropped_session_forgets_the_rest(caching, near):
    batch, other = tokens(1, 6), tokens(1, 6, seed=1)
    for kept in (0, 2, 3):
        session = caching.start(1)
        for start, stop, source in ((0, kept, batch), (kept, 5, other)):
            if stop > start:
                session.append(*part(source, start, stop))
        session.crop(kept)
        near(session.append(*part(batch, kept, 6)), caching.logits(*batch)[:, kept:])


def test_a_reordered_session_continues_the_rows_that_were_named(caching, near):
    batch = tokens(3, 6)
    rows = [2, 0, 0]
    moved = tuple(array[rows] for array in batch)
    session = caching.start(3)
    session.append(*part(batch, 0, 4))
    session.reorder(rows)
    near(session.append(*part(moved, 4, 6)), caching.logits(*moved)[:, 4:])


def test_hidden_states_are_those_of_the_oracle_where_claimed(name, candidates, models, near):
    batch = tokens(2, 5)
    if "hidden_states" not in candidates[name].info.claims.capabilities:
        with pytest.raises((Unsupported, NotInBuild), match="hidden states"):
            models[name].hidden_states(*batch)
        return
    expected = models["reference"].hidden_states(*batch)
    states = models[name].hidden_states(*batch)
    assert list(states) == ["layer.0", "layer.1"]
    for layer, state in states.items():
        assert state.dtype == np.float32
        near(state, expected[layer])


@pytest.mark.parametrize("name", EVERY)
def test_unknown_targets_and_options_are_unavailable(name):
    with (
        pytest.raises(CandidateUnavailable, match="nonesuch"),
        adapter(name).open("nonesuch", {}),
    ):
        pass
    with (
        pytest.raises(CandidateUnavailable, match="unknown option 'nonesuch'"),
        adapter(name).open("", {"nonesuch": "1"}),
    ):
        pass


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_missing_runtime_is_unavailable_and_says_what_to_install(runtime, monkeypatch):
    monkeypatch.setitem(sys.modules, RUNTIMES[runtime], None)
    with (
        pytest.raises(CandidateUnavailable, match=r"is not installed \(pip install"),
        adapter(runtime).open("", {}),
    ):
        pass


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_runtime_that_is_there_and_breaks_is_told_with_its_error(runtime, monkeypatch, tmp_path):
    module = RUNTIMES[runtime]
    (tmp_path / f"{module}.py").write_text("import libcudart_of_nowhere", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, module, raising=False)
    with (
        pytest.raises(
            CandidateUnavailable,
            match=f"{module} cannot be imported, though it is there: .*'libcudart_of_nowhere'",
        ),
        adapter(runtime).open("", {}),
    ):
        pass


@pytest.mark.parametrize("name", EVERY)
def test_importing_an_adapter_imports_no_runtime(name):
    code = (
        f"import sys; sys.path.append({str(ROOT)!r}); import conformance.adapters.{name}; "
        "print(*{m.partition('.')[0] for m in sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    imported = set(done.stdout.split())
    assert "conformance" in imported
    assert not imported & {*RUNTIMES.values(), "reference_model"}
