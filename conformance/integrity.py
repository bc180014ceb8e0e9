"""Whether the code that judges is still the suite's own: what shares its process can replace it.

A candidate runs in the suite's process unless it is isolated, and beside a user's pytest so do his
plugins and conftest files. So the suite looks twice. When a run begins, every function must be the
one that its source file defines: a plugin may have come first. From then on every name must stand
for what it stood for then, after each case and at the end.

This finds what was assigned to a name, not everything that can be done from inside: only a process
of its own keeps a candidate from the judge, and the report says which of the two it was.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import math
import pkgutil
import sys
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from conformance import catalogue, spec

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

_FOLDERS = ("conformance.judge", "conformance.oracles", "conformance.inputs")
"""Packages that are loaded whole; whatever else a run needs is loaded when it begins."""
_BELOW = (math, np, np.linalg)
"""What judges compute with: runtimes may add names there, as some do, and change none."""
_CANDIDATES = ("conformance.adapters", "conformance.mutants")
"""Packages whose modules belong to candidates, and are theirs to change."""
_TOLD = 3
"""Names that a message lists."""
_NOTHING = object()


class Watch:
    """What every name of the suite stands for, from now on."""

    def __init__(self) -> None:
        self._modules = _loaded()
        self._strangers = [name for module in self._modules for name in strangers(module)]
        self._spaces = [space for module in self._modules for space in _spaces(module)]
        self._spaces += [_Namespace(one.__name__, vars(one), own=False) for one in _BELOW]
        self._limits = _limits()

    def replaced(self) -> str:
        """Return in words what is no longer the suite's own; empty while everything is."""
        found = dict.fromkeys(self._strangers)
        for module in self._modules:
            if sys.modules.get(module.__name__) is not module:
                found[module.__name__] = None
        for space in self._spaces:
            found |= dict.fromkeys(space.changed())
        if _limits() != self._limits:
            found["the precision contracts"] = None
        if not found:
            return ""
        told = ", ".join(list(found)[:_TOLD]) + (", ..." if len(found) > _TOLD else "")
        return (
            f"the suite's own code was replaced in its process ({told}), so that no verdict can be "
            "believed; run the candidate with `llm-conformance run --isolate`, in a process of its "
            "own and beside no conftest"
        )


class _Namespace:
    """The names of a module or a class, and what each stood for when they were first looked at.

    It is looked at after each case, so what has not changed is found so without looking at its
    names one by one. Of the suite's own, names of Python's, such as ``__doc__``, and modules of a
    package may come to stand for something else, and no name may be new.

    Args:
        owner: the name of the module or the class.
        names: its names, as they are at any time.
        own: whether it is the suite's, or what the suite computes with.
    """

    def __init__(self, owner: str, names: Mapping[str, Any], *, own: bool = True) -> None:
        self._owner, self._names, self._own = owner, names, own
        self._before = dict(names)
        self._functions = [
            (name, function, _parts(function))
            for name, value in names.items()
            for function in _functions(value)
            if f"{owner}.{name}".startswith(f"{function.__module__}.")
        ]

    def changed(self) -> Iterator[str]:
        """Yield the names that stand for something else now."""
        now = dict(self._names)
        if not _is_same(now, self._before):
            for name in {**self._before, **(now if self._own else {})}:
                before, after = (self._standing(name, names) for names in (self._before, now))
                if before is not after:
                    yield f"{self._owner}.{name}"
        for name, function, parts in self._functions:
            found = zip(_PARTS, _parts(function), parts, strict=True)
            yield from (f"{self._owner}.{name}.{part}" for part, x, y in found if x is not y)

    def _standing(self, name: str, names: Mapping[str, Any]) -> Any:
        """Return what a name stands for; nothing where it may stand for anything."""
        value = names.get(name, _NOTHING)
        if not self._own:
            return value
        if name.startswith("__") and not isinstance(value, FunctionType):
            return _NOTHING
        # A module of this package becomes a name of it whenever it is imported.
        inner = isinstance(value, ModuleType) and value.__name__ == f"{self._owner}.{name}"
        return _NOTHING if inner else value


_PARTS = ("__code__", "__defaults__", "__kwdefaults__")
"""What makes a function another one under the same name."""


def _functions(value: Any) -> list[FunctionType]:
    """Return a function, and the one that it wraps, such as by ``functools.cache``."""
    inner = getattr(value, "__wrapped__", None) if callable(value) else None
    return [one for one in (value, inner) if isinstance(one, FunctionType)]


def _parts(function: FunctionType) -> tuple[Any, ...]:
    return function.__code__, function.__defaults__, function.__kwdefaults__


def _is_same(now: Mapping[str, Any], before: Mapping[str, Any]) -> bool:
    if list(now) != list(before):
        return False
    return all(one is other for one, other in zip(now.values(), before.values(), strict=True))


def _spaces(module: ModuleType) -> Iterator[_Namespace]:
    """Yield the namespaces of a module and of its classes."""
    yield _Namespace(module.__name__, vars(module))
    for name, value in list(vars(module).items()):
        if isinstance(value, type) and value.__module__ == module.__name__:
            yield _Namespace(f"{module.__name__}.{name}", vars(value))


def _loaded() -> list[ModuleType]:
    """Return the suite's modules, what judges among them; candidates are left out."""
    catalogue.all_checks()
    for folder in _FOLDERS:
        for info in pkgutil.walk_packages(importlib.import_module(folder).__path__, f"{folder}."):
            importlib.import_module(info.name)
    own = (name for name in sorted(sys.modules) if f"{name}.".startswith("conformance."))
    return [sys.modules[name] for name in own if not name.startswith(_CANDIDATES)]


def _limits() -> str:
    """Return the contracts as text: frozen records can still be written to, by force."""
    return repr(spec.load().contracts)


def strangers(module: ModuleType) -> Iterator[str]:
    """Yield the names of a module that are not what its source file makes of them."""
    file = Path(module.__file__ or "")
    if file.suffix == ".py" and file.is_file():
        body = ast.parse(file.read_bytes()).body
        for node in body:
            if isinstance(node, ast.ImportFrom) and node.module in sys.modules:
                yield from _foreign(node, module)
        yield from _undefined(body, vars(module), module.__name__, str(module.__file__))


def _foreign(node: ast.ImportFrom, module: ModuleType) -> Iterator[str]:
    """Yield what a module says that it imports and has otherwise."""
    origin = sys.modules[str(node.module)]
    for alias in node.names:
        name = alias.asname or alias.name
        if vars(module).get(name) is not getattr(origin, alias.name, _NOTHING):
            yield f"{module.__name__}.{name}"


def _undefined(
    body: Iterable[ast.stmt], names: Mapping[str, Any], owner: str, file: str
) -> Iterator[str]:
    """Yield the functions of a module or class that are not defined where its source says."""
    lines: dict[str, set[int]] = {}  # of a property and its setter, either line
    for node in body:
        if isinstance(node, ast.FunctionDef):
            first = min([node.lineno, *(one.lineno for one in node.decorator_list)])
            lines.setdefault(node.name, set()).add(first)
        elif isinstance(node, ast.ClassDef):
            members = vars(names[node.name]) if node.name in names else {}
            yield from _undefined(node.body, members, f"{owner}.{node.name}", file)
    for name, known in lines.items():
        code = _code(names.get(name))
        if code is None or code.co_filename != file or code.co_firstlineno not in known:
            yield f"{owner}.{name}"


def _code(value: Any) -> CodeType | None:
    """Return the code below decorators, descriptors and generated inputs."""
    value = getattr(value, "llm_check", value)
    for attribute in ("__func__", "fget", "func"):
        value = getattr(value, attribute, value)
    code = getattr(inspect.unwrap(value), "__code__", None)
    return code if isinstance(code, CodeType) else None
