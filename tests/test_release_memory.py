"""A release is judged in a part of the memory that its weights would take: it is never held whole.

It takes what was told before. The limit is a third of the weights in fp64, as 8 GB would be of a
model of three billion parameters; with the weights held, the same process goes beyond it.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent / "support"))

import large_release

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="the peak is read from /proc"),
]
SHAPE = large_release.Shape(1024, 384, 1536, 16, 6, 2)
"""3.5e7 parameters: 70 MB as stored, 280 MB in fp64."""
JUDGED = """
import sys
import numpy as np
from conformance import models, spec
from conformance.package import ModelPackage

def peak():
    rows = open("/proc/self/status").read().splitlines()
    return 1024 * int(dict(row.split(":", 1) for row in rows)["VmHWM"].split()[0])

contract = spec.load().contracts["fp32"]
package = models.open_package(sys.argv[1])
before = peak()
if sys.argv[2] == "whole":
    held = {name: array.astype(np.float64) for name, array in package.weights().items()}
    ModelPackage.weights = lambda _: held
exact = models.oracle(package, contract).logits(*models.frozen_corpus(package).inputs)
assert np.isfinite(exact).all()
if sys.argv[2] == "streamed":
    assert models.noise(package, contract).unit.rms > 0
print(peak() - before)
"""

MANY_WORDS = large_release.Shape(65536, 64, 128, 2, 4, 2)
"""4.3e6 parameters, of which the logits of the long rows are 270 MB in fp64."""
CHECKED = """
import functools
import sys
import numpy as np
from types import SimpleNamespace
from conformance import models, preflight, spec
from conformance.checked.model import CheckedModel, RememberedOracle
from conformance.checks import test_logits as checks

contract = spec.load().contracts["fp32"]
package = models.open_package(sys.argv[1])
told = preflight.estimated(package, contract, ["LOGITS-001"], 0).peak_bytes
truth = models.oracle(package, contract)
oracle = RememberedOracle(truth)
honest = SimpleNamespace(logits=lambda *inputs: truth.logits(*inputs).astype(np.float32))
noise = functools.partial(models.noise, package, contract, exact=oracle.outputs)
model = CheckedModel(lambda _: honest, package, oracle, contract, noise, None)
checks.test_logits_on_the_frozen_long_rows_are_exact_but_for_noise(model)
checks.test_logits_on_the_frozen_corpus_are_exact_but_for_noise(model)
rows = open("/proc/self/status").read().splitlines()
print(told / (1024 * int(dict(row.split(":", 1) for row in rows)["VmHWM"].split()[0])))
"""


@pytest.fixture(scope="module")
def release(tmp_path_factory):
    return large_release.write(tmp_path_factory.mktemp("models") / "release", SHAPE)


def printed(words, environment, tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", *map(str, words)],
        env={**environment, "LLM_CONFORMANCE_CACHE": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    return float(done.stdout)


def taken(release, how, environment, tmp_path):
    """Return the bytes that judging a release takes beside what an idle suite takes."""
    return printed([JUDGED, release, how], environment, tmp_path)


def test_a_release_is_judged_in_a_third_of_what_its_weights_would_take(
    release, environment, tmp_path
):
    assert taken(release, "streamed", environment, tmp_path) < SHAPE.parameters * 8 / 3


def test_the_limit_is_one_that_weights_held_in_memory_break(release, environment, tmp_path):
    assert taken(release, "whole", environment, tmp_path) > SHAPE.parameters * 8


def test_the_memory_that_is_told_before_is_what_is_taken(environment, tmp_path):
    wide = large_release.write(tmp_path / "wide", MANY_WORDS)
    assert 1 / 1.5 < printed([CHECKED, wide], environment, tmp_path / "cache") < 1.5
