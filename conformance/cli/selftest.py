"""Try the suite itself: does it still tell wrong from right on this machine?

Without options an honest candidate has to pass and a fixed choice of mutants has to fail, in half a
minute; reports quote the result. With --matrix every mutant meets every check that can come upon
its fault, at every precision, in less than an hour on two cores, and kill-matrix.json and
kill-matrix.html are written. With --new only the mutants and requirements that the kept summary of
the matrix lacks are tried, and the summary is extended. Exits with 3 when the suite is found
wanting.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from conformance.verdicts import EXIT_SUITE_FAULT

if TYPE_CHECKING:
    import argparse

EXAMPLES = ("llm-conformance selftest", "llm-conformance selftest --matrix --out reports")


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the choice between the quick trial and the whole matrix."""
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--matrix", action="store_true", help="every mutant at every precision")
    what.add_argument(
        "--new", action="store_true", help="mutants and requirements that the kept matrix lacks"
    )
    parser.add_argument(
        "--out", metavar="DIR", type=Path, default=Path("conformance-results"), help="for --matrix"
    )


def run(options: argparse.Namespace) -> int:
    """Run the trial and say what it found."""
    # The suite's models are tiny: a second thread would only wait and spin. NumPy and torch read
    # this when they are first imported, which is below.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    from conformance import selftest  # noqa: PLC0415  # the other verbs answer without it
    from conformance.matrix import runs  # noqa: PLC0415  # likewise

    jobs = os.cpu_count() or 1
    if options.matrix:
        trial = runs.whole(options.out, jobs=jobs)
        print(f"kill matrix: {options.out / 'kill-matrix.html'}")
    elif options.new:
        trial = runs.extend(jobs)
    else:
        trial = selftest.quick()
    print("\n".join(trial.lines))
    return 0 if trial.passed else EXIT_SUITE_FAULT
