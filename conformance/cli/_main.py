"""Finds the verbs, builds the parser, runs one command and turns errors into exit codes."""

from __future__ import annotations

import argparse
import importlib
import inspect
import pkgutil
import sys
from typing import TYPE_CHECKING, NoReturn

import conformance
from conformance import cli
from conformance.errors import (
    ConformanceError,
    SpecError,
    UsageError,
    did_you_mean,
    fault_of_the_suite,
)
from conformance.records import Outcome
from conformance.verdicts import EXIT_CODES, EXIT_SUITE_FAULT, EXIT_USAGE

if TYPE_CHECKING:
    from collections.abc import Sequence

PROGRAM = "llm-conformance"

_EPILOG = """\
examples:
  llm-conformance run --candidate onnxruntime
  llm-conformance run --candidate onnxruntime --model ./my-checkpoint
  llm-conformance explain ATTN-003
  llm-conformance report conformance-results/onnxruntime-decoder --format markdown
`llm-conformance VERB --help` has more of them for each verb.

exit codes of a run:
  0 conformant or conditional, 1 nonconformant, 2 incomplete or interrupted,
  3 fault of the suite, 4 usage, configuration or file error
"""


class _Parser(argparse.ArgumentParser):
    """argparse, except that wrong usage exits with 4: 2 means incomplete here."""

    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        self.exit(EXIT_USAGE, f"error: {message}\nSee `{self.prog} --help`.\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        options = _parsed(words)
        return int(options.run(options))
    except SpecError as error:
        print(fault_of_the_suite(error), file=sys.stderr)
        return EXIT_SUITE_FAULT
    except ConformanceError as error:
        print(f"error: {error}", file=sys.stderr)
        return EXIT_USAGE
    except KeyboardInterrupt:  # a run that has begun handles it by itself
        print("interrupted before anything ran", file=sys.stderr)
        return EXIT_CODES[Outcome.INCOMPLETE]
    except BrokenPipeError:  # the reader, such as `head`, has seen enough
        sys.stderr.close()
        return 0


def verbs() -> list[str]:
    """Return the names of the verbs."""
    names = (module.name for module in pkgutil.iter_modules(cli.__path__))
    return sorted(name for name in names if not name.startswith("_"))


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command line; its subparsers are the verbs."""
    parser = _Parser(
        prog=PROGRAM,
        description=conformance.__doc__,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=conformance.__version__)
    subparsers = parser.add_subparsers(title="verbs", required=True, metavar="VERB", dest="verb")
    for name in verbs():
        module = importlib.import_module(f"{cli.__name__}.{name}")
        text = inspect.getdoc(module) or ""
        summary = text.partition("\n")[0].rstrip(".")
        verb = subparsers.add_parser(
            name,
            help=summary[0].lower() + summary[1:],
            description=text,
            epilog="\n  ".join(["examples:", *module.EXAMPLES]),
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        module.add_options(verb)
        verb.set_defaults(run=module.run)
    return parser


def subparsers_of(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    """Return the parser of each verb."""
    found = [a for a in parser._actions if isinstance(a, argparse._SubParsersAction)]  # noqa: SLF001  # argparse has no public way to its parts
    return dict(found[0].choices)


def _parsed(words: list[str]) -> argparse.Namespace:
    """Parse the command line; what argparse would only call unrecognised is told with a hint.

    Raises:
        UsageError: there is no such verb or option.
    """
    first = words[0] if words else ""
    if first and not first.startswith("-") and first not in verbs():
        raise UsageError(f"there is no verb {first!r}.{did_you_mean(first, verbs())}")
    parser = build_parser()
    options, rest = parser.parse_known_args(words)
    if not rest:
        return options
    option = rest[0].partition("=")[0]
    if not option.startswith("-"):
        raise UsageError(f"{options.verb} takes no further argument: {option!r}")
    known = subparsers_of(parser)[options.verb]._option_string_actions  # noqa: SLF001  # the same
    raise UsageError(f"{options.verb} has no option {option!r}.{did_you_mean(option, known)}")
