"""The command line: parse, call, print. What a verb does lives in the modules that it calls.

A verb is one module of this folder, found by its name. Its docstring is its help; ``EXAMPLES`` are
commands that its help ends with; ``add_options(parser)`` declares what it takes; ``run(options)``
does it and returns the exit code. Verbs import inside ``run`` what others need not wait for.
"""

# No code stands here: a verb called `list` is a name of this module, and hides the built-in one.
from conformance.cli._main import PROGRAM, build_parser, main, subparsers_of, verbs

__all__ = ["PROGRAM", "build_parser", "main", "subparsers_of", "verbs"]
