"""How often the statistical judges fail what is right, and notice what is wrong.

    python tests/benchmarks/sampling_power.py

Writes `reports/sampling-power.md`: for each judge its true null and faults of a known distance,
each drawn with thousands of seeds. A measurement, not a test: it asserts nothing, and
`tests/test_sampling_judges.py` asserts a part of it.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from scipy import special
from tabulate import tabulate

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))

from conformance.judge import sampling  # the same
from drawing import FAULTS, NULLS, fate  # its folder is known from here on

DOCUMENT = Path(__file__).parents[2] / "reports" / "sampling-power.md"
NULL_SEEDS, FAULT_SEEDS = 4000, 400
SURE = 0.01
"""One minus the confidence of the intervals."""


def interval(hits, of):
    """Return the chances that such a count does not contradict (Clopper and Pearson 1934)."""
    low = 0.0 if hits == 0 else special.betaincinv(hits, of - hits + 1, SURE / 2)
    high = 1.0 if hits == of else special.betaincinv(hits + 1, of - hits, 1 - SURE / 2)
    return f"{low:.2g} to {high:.2g}"


def measured(name, law, seeds):
    """Return how many of so many runs a first look rejected, and how many the second too."""
    fates = [fate(name, law, seed) for seed in range(seeds)]
    return (int(np.sum([look for look, _ in fates])), int(np.sum([both for _, both in fates])))


def size(name):
    first, both = measured(name, NULLS[name], NULL_SEEDS)
    print(f"{name}: null {first}, {both}", file=sys.stderr, flush=True)
    return f"`{name}`", NULL_SEEDS, first, interval(first, NULL_SEEDS), both


def power(name, fault):
    _, both = measured(name, FAULTS[name][fault], FAULT_SEEDS)
    print(f"{name}: {fault} {both}", file=sys.stderr, flush=True)
    return f"`{name}`", fault, FAULT_SEEDS, both / FAULT_SEEDS, interval(both, FAULT_SEEDS)


def document():
    """Return the page."""
    sizes = tabulate(
        [size(name) for name in NULLS],
        ("judge", "runs", "first looks that rejected", "their chance, 99 %", "failed"),
        tablefmt="github",
    )
    powers = tabulate(
        [power(name, fault) for name, faults in FAULTS.items() for fault in faults],
        ("judge", "fault", "runs", "share failed", "its chance, 99 %"),
        tablefmt="github",
        floatfmt=".3g",
    )
    return f"""# Size and power of the statistical judges

Written by `python tests/benchmarks/sampling_power.py`. Each run draws from a law whose distance
from the honest one is known, by a generator of its own seed.

What is right: a first look may reject it with a chance of {sampling.SCREEN:g}, and a second look,
of fresh draws, decides. (`in_support` has one look, and no honest draw lies outside.)

{sizes}

What is wrong, at the distance that the judge promises to notice with a probability of 0.99, and
beyond. A leak of {sampling.LEAK:g} is promised with {1 - sampling.UNSEEN:g}.

{powers}
"""


if __name__ == "__main__":
    DOCUMENT.write_text(document(), encoding="utf-8")
