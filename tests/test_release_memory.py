"""A release is judged in a part of the memory that its weights would take: it is never held whole.

The limit is a third of the weights in fp64, as 8 GB would be of a model of three billion
parameters; with the weights held, the same process goes beyond it.
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


@pytest.fixture(scope="module")
def release(tmp_path_factory):
    return large_release.write(tmp_path_factory.mktemp("models") / "release", SHAPE)


def taken(release, how, environment, tmp_path):
    """Return the bytes that judging a release takes beside what an idle suite takes."""
    done = subprocess.run(
        [sys.executable, "-c", JUDGED, str(release), how],
        env={**environment, "LLM_CONFORMANCE_CACHE": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    return int(done.stdout)


def test_a_release_is_judged_in_a_third_of_what_its_weights_would_take(
    release, environment, tmp_path
):
    assert taken(release, "streamed", environment, tmp_path) < SHAPE.parameters * 8 / 3


def test_the_limit_is_one_that_weights_held_in_memory_break(release, environment, tmp_path):
    assert taken(release, "whole", environment, tmp_path) > SHAPE.parameters * 8
