"""Print a shell's completion script: verbs, options, and the names that they take."""

from __future__ import annotations

from typing import TYPE_CHECKING

from conformance.errors import UsageError, did_you_mean

if TYPE_CHECKING:
    import argparse

EXAMPLES = (
    'eval "$(llm-conformance completion bash)"    # in ~/.bashrc',
    'eval "$(llm-conformance completion zsh)"     # in ~/.zshrc',
    "llm-conformance completion fish > ~/.config/fish/completions/llm-conformance.fish",
)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the shell."""
    parser.add_argument("shell", metavar="SHELL", help="bash, fish or zsh")


def run(options: argparse.Namespace) -> int:
    """Print the script."""
    from conformance import cli  # noqa: PLC0415  # the parser imports this module
    from conformance.cli import _shells  # noqa: PLC0415  # the other verbs answer without it

    if options.shell not in _shells.SHELLS:
        hint = did_you_mean(options.shell, _shells.SHELLS)
        raise UsageError(f"there is no completion for shell {options.shell!r}.{hint}")
    print(_shells.script(cli.build_parser(), options.shell))
    return 0
