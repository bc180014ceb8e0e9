"""Completion scripts for shells, generated from the parser: nothing is listed twice.

What an option or argument takes is told by its metavar. Names (adapters, requirements, ...) stand
in the script; to complete those of another version, make the script anew.
"""

from __future__ import annotations

import argparse
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING

from conformance import candidate as candidates
from conformance import formats, mutants, spec
from conformance.cli._main import PROGRAM, subparsers_of
from conformance.cli.list import LISTS
from reference_model import zoo

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

SHELLS = ("bash", "fish", "zsh")
FILES = {"CANDIDATE", "DIR", "FILE", "NEW", "OLD", "RUN"}
"""Metavars that are completed with the names of files."""


def _mutants() -> list[str]:
    return [f"mutant:{name}" for name in mutants.all_mutants()]


WORDS: dict[str, Callable[[], Iterable[str]]] = {
    "CANDIDATE": lambda: [*candidates.built_in_adapters(), *_mutants()],
    "ID": lambda: spec.load().requirements,
    "KIND": formats.kinds,
    "MODEL": lambda: zoo.ALL,
    "PROFILE": lambda: spec.load().profiles,
    "SHELL": lambda: SHELLS,
    "WHAT": lambda: LISTS,
}


@dataclass(frozen=True, slots=True)
class _Verb:
    name: str
    summary: str
    options: dict[str, argparse.Action]
    arguments: tuple[argparse.Action, ...]


def script(parser: argparse.ArgumentParser, shell: str) -> str:
    """Return the completion script of a parser for ``bash``, ``fish`` or ``zsh``."""
    verbs = [_verb(name, verb) for name, verb in subparsers_of(parser).items()]
    if shell == "fish":
        return _fish(verbs)
    emulation = "autoload -U +X bashcompinit && bashcompinit\n" if shell == "zsh" else ""
    return emulation + _bash(verbs)


def _verb(name: str, parser: argparse.ArgumentParser) -> _Verb:
    actions = parser._actions  # noqa: SLF001  # argparse has no public way to its parts
    shown = [action for action in actions if action.help != argparse.SUPPRESS]
    options = {o: a for a in shown for o in a.option_strings if o.startswith("--")}
    arguments = tuple(action for action in actions if not action.option_strings)
    summary = (parser.description or "").partition("\n")[0].rstrip(".")
    return _Verb(name, summary, options, arguments)


def _values(action: argparse.Action) -> list[str]:
    """Return the words that an option or argument takes, as far as they can be listed."""
    if action.choices is not None:
        return [str(choice) for choice in action.choices]
    metavar = str(action.metavar)
    return list(WORDS[metavar]()) if metavar in WORDS else []


def _takes_file(action: argparse.Action) -> bool:
    return action.metavar in FILES


def _takes_value(action: argparse.Action) -> bool:
    return action.nargs != 0


_BASH = """\
_llm_conformance() {{
  # A word as the user sees it: bash ends words at '=' and ':', and completes what stands behind.
  local line=${{COMP_LINE:0:$COMP_POINT}} verb=${{COMP_WORDS[1]}} words="" files=""
  local cur=${{line##*[[:space:]]}} before
  before=${{line%"$cur"}}; before=${{before%"${{before##*[![:space:]]}}"}}
  local option=${{before##*[[:space:]]}} behind="" kept=""
  if [ "$before" = "${{COMP_WORDS[0]}}" ]; then
    COMPREPLY=($(compgen -W "{verbs} --help --version" -- "$cur"))
    return
  fi
  case $cur in --*=*) option=${{cur%%=*}} kept=$option= cur=${{cur#*=}} ;; esac
  case "$verb $option" in
{values}
    *) case "$verb" in
{verb_words}
    esac ;;
  esac
  case $COMP_WORDBREAKS in *=*) kept="" ;; esac
  case $COMP_WORDBREAKS in *:*) behind=${{cur%"${{cur##*:}}"}} ;; esac
  COMPREPLY=($(compgen -W "$words" $files -- "$cur"))
  COMPREPLY=("${{COMPREPLY[@]#"$behind"}}")
  COMPREPLY=("${{COMPREPLY[@]/#/$kept}}")
}}
complete -o filenames -F _llm_conformance {program}"""


def _bash(verbs: list[_Verb]) -> str:
    values, verb_words = [], []
    for verb in verbs:
        for option, action in verb.options.items():
            if _takes_value(action):
                assigned = _assigned(_values(action), files=_takes_file(action))
                values.append(f'    "{verb.name} {option}") {assigned} ;;')
        words = [word for argument in verb.arguments for word in _values(argument)]
        files = any(map(_takes_file, verb.arguments))
        verb_words.append(
            f"      {verb.name}) {_assigned([*words, *verb.options], files=files)} ;;"
        )
    return _BASH.format(
        program=PROGRAM,
        verbs=" ".join(verb.name for verb in verbs),
        values="\n".join(values),
        verb_words="\n".join(verb_words),
    )


def _assigned(words: list[str], *, files: bool) -> str:
    return f'words="{" ".join(words)}"' + ("; files=-f" if files else "")


def _fish(verbs: list[_Verb]) -> str:
    start = f"complete -c {PROGRAM}"
    lines = [f"{start} -f"]
    for verb in verbs:
        lines.append(f"{start} -n __fish_use_subcommand -a {verb.name} -d {_quoted(verb.summary)}")
        within = f"{start} -n '__fish_seen_subcommand_from {verb.name}'"
        for option, action in verb.options.items():
            text = f"{within} -l {option.removeprefix('--')} -d {_quoted(action.help or '')}"
            lines.append(text + _fish_values(action))
        for argument in verb.arguments:
            if _takes_file(argument):
                lines.append(f"{within} -F")
            elif words := _values(argument):
                lines.append(f"{within} -a {_quoted(' '.join(words))}")
    return "\n".join(lines)


def _fish_values(action: argparse.Action) -> str:
    if not _takes_value(action):
        return ""
    words = _values(action)
    files = " -r -F" if _takes_file(action) else " -x"
    return f"{files} -a {_quoted(' '.join(words))}" if words else files


def _quoted(text: str) -> str:
    return shlex.quote(text)
