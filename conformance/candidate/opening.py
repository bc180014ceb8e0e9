"""How a candidate is found by its name, and what helps an adapter to open one."""

from __future__ import annotations

import functools
import importlib
import importlib.util
import os
import pkgutil
import re
import sys
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from conformance import adapters
from conformance.errors import CandidateUnavailable, UsageError, did_you_mean
from conformance.raised import error_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from types import ModuleType

    from conformance.candidate.protocols import Candidate


@dataclass(frozen=True, slots=True)
class Address:
    """A candidate's name, taken apart."""

    adapter: str
    target: str
    options: Mapping[str, str]
    text: str


_ADDRESS = re.compile(r"(?P<adapter>[^:?]+\.py|[^:?]+)(?::(?P<target>[^?]*))?(?:\?(?P<query>.*))?")


def parse(text: str) -> Address:
    """Take ``adapter[:target][?key=value&...]`` apart.

    Raises:
        UsageError: the text does not have that form.
    """
    match = _ADDRESS.fullmatch(text)
    if match is None:
        raise UsageError(
            f"candidate {text!r} is not of the form adapter[:target][?key=value&...], such as "
            "onnxruntime:CPUExecutionProvider or ./my_adapter.py:device0"
        )
    query = match["query"] or ""
    pairs = parse_qsl(query, keep_blank_values=True)
    options = dict(pairs)
    if len(options) != len(pairs) or len(pairs) != len([p for p in query.split("&") if p]):
        raise UsageError(
            f"candidate {text!r}: options are written key=value, joined by &, each key once"
        )
    return Address(match["adapter"], match["target"] or "", options, text)


@functools.cache  # a diagnosis opens hundreds of mutants
def built_in_adapters() -> tuple[str, ...]:
    """Return the names of the adapters that come with the suite."""
    names = (module.name for module in pkgutil.iter_modules(adapters.__path__))
    return tuple(sorted(name for name in names if not name.startswith("_")))


@contextmanager
def open_candidate(text: str) -> Iterator[Candidate]:
    """Open the candidate that ``text`` names, and close it at the end.

    Raises:
        UsageError: there is no such adapter, or it cannot be imported.
        CandidateUnavailable: it cannot be opened here, by its own word or for want of a module.
    """
    address = parse(text)
    module = adapter_module(address)
    with ExitStack() as stack:
        try:
            candidate = stack.enter_context(module.open(address.target, address.options))
        except ImportError as error:
            raise CandidateUnavailable(
                f"adapter {address.adapter!r} cannot be opened here: {error_text(error)}"
            ) from error
        yield candidate


def adapter_module(address: Address) -> ModuleType:
    """Return the adapter's module: a file, a built-in adapter or an importable module."""
    name = address.adapter
    if name.endswith(".py"):
        module = _from_file(Path(name))
    elif "." in name:
        module = _from_import(name)
    elif name in built_in_adapters():
        module = importlib.import_module(f"conformance.adapters.{name}")
    else:
        hint = did_you_mean(name, built_in_adapters())
        raise UsageError(
            f"there is no adapter {name!r}.{hint} An adapter of your own is a dotted module name "
            "or a path that ends in .py."
        )
    if not callable(getattr(module, "open", None)):
        raise UsageError(f"adapter {name!r} has no function open(target, options)")
    return module


def _from_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise UsageError(f"adapter file {str(path)!r} does not exist (looked in {Path.cwd()})")
    name = f"_llm_conformance_adapter_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path.resolve())
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up there
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise _broken(f"file {str(path)!r}", error) from error
    return module


def _from_import(name: str) -> ModuleType:
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.append(here)  # last, so that a folder here can shadow nothing
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise _broken(f"module {name!r}", error) from error
        raise UsageError(
            f"adapter module {name!r} cannot be imported: {error}; looked in {here} and on "
            "Python's own path, to which the environment variable PYTHONPATH adds folders"
        ) from error
    except Exception as error:
        raise _broken(f"module {name!r}", error) from error


def _broken(what: str, error: Exception) -> UsageError:
    """Return the refusal of an adapter that is there: it says nothing of a runtime."""
    return UsageError(f"adapter {what} cannot be imported: {error_text(error)}")


def not_importable(name: str, install: str, error: ImportError) -> CandidateUnavailable:
    """Return the refusal of an adapter whose runtime cannot be imported.

    Args:
        name: the runtime's module.
        install: how one installs it.
        error: what the import raised; a runtime that is there may lack something itself.
    """
    there = importlib.util.find_spec(name) is not None
    what = "cannot be imported, though it is there" if there else f"is not installed ({install})"
    return CandidateUnavailable(f"{name} {what}: {error}")


def choose(options: Mapping[str, str], allowed: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """Return ``options`` completed with defaults; for adapters.

    Args:
        options: what the user wrote behind the question mark.
        allowed: the values of each option, the default first; an empty tuple admits any text,
            with the default ``""``.

    Raises:
        CandidateUnavailable: an option or its value is unknown.
    """
    for key, value in options.items():
        if key not in allowed:
            raise CandidateUnavailable(f"unknown option {key!r}.{did_you_mean(key, allowed)}")
        if allowed[key] and value not in allowed[key]:
            hint = did_you_mean(value, allowed[key])
            raise CandidateUnavailable(f"option {key}={value!r} is not possible.{hint}")
    return {key: options.get(key, values[0] if values else "") for key, values in allowed.items()}


def thread_count(threads: str) -> int:
    """Return how many threads a runtime may use, 0 for as many as it likes; for adapters.

    Of those whose runtimes do not read OMP_NUM_THREADS, so that the jobs of a run, among which the
    cores are divided by it, do not wait for each other.

    Args:
        threads: what the user wrote as the option; empty for what the environment says.

    Raises:
        CandidateUnavailable: the option is no number.
    """
    if threads and not threads.isdecimal():
        raise CandidateUnavailable(f"option threads={threads!r} is not a number")
    inherited = os.environ.get("OMP_NUM_THREADS", "")
    return int(threads or (inherited if inherited.isdecimal() else "0"))
