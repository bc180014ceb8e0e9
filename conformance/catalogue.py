"""Which check decides which requirement: read off the check modules, without pytest's collection.

The session holds what pytest collected against this, so that no configuration of the user's can
make a check disappear unnoticed; ``explain`` and the drift test read it too.
"""

from __future__ import annotations

import ast
import functools
import importlib
import inspect
import pkgutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from conformance import checks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


@dataclass(frozen=True, slots=True)
class Check:
    """One check function."""

    name: str
    module: str
    requirement: str
    per_model: bool
    """Whether it runs once for each model of the profile."""
    function: Callable[..., None]
    """What pytest calls."""

    @property
    def original(self) -> Callable[..., None]:
        """The check itself, which takes its inputs as arguments."""
        original: Callable[..., None] = getattr(self.function, "llm_check", self.function)
        return original

    def arguments(self) -> tuple[str, ...]:
        """Return the names of everything that the check takes."""
        return tuple(inspect.signature(self.original).parameters)

    def judges(self) -> tuple[str, ...]:
        """Return the judges that it calls, itself or by functions of its module, by name."""
        bodies = _functions(self.module)
        found: dict[str, None] = {}
        pending = [self.name]
        while pending:
            for node in ast.walk(bodies.pop(pending.pop(0), ast.Module([], []))):
                if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "judge":
                    found[node.attr] = None
                elif isinstance(node, ast.Name) and node.id in bodies:
                    pending.append(node.id)
        return tuple(found)

    def parametrisations(self) -> list[dict[str, Any]]:
        """Return the values of its parameters, one dictionary a case."""
        found: list[dict[str, Any]] = [{}]
        for mark in getattr(self.function, "pytestmark", []):
            if mark.name == "parametrize":
                name, values = mark.args
                found = [{**case, name: value} for case in found for value in values]
        return found

    def cases(self, models: Iterable[str]) -> list[str]:
        """Return the ids of its cases on these models: ``function/model/parameter``."""
        found = [f"{self.name}/{model}" for model in models] if self.per_model else [self.name]
        for mark in getattr(self.function, "pytestmark", []):
            if mark.name == "parametrize":
                named = mark.kwargs.get("ids") or [str(value) for value in mark.args[1]]
                found = [f"{case}/{name}" for case in found for name in named]
        return found


@functools.cache
def all_checks() -> tuple[Check, ...]:
    """Return every check of the suite, in the order of the modules' names."""
    found: list[Check] = []
    for info in pkgutil.iter_modules(checks.__path__):
        if info.name.startswith("test_"):
            module = importlib.import_module(f"{checks.__name__}.{info.name}")
            for name, function in vars(module).items():
                if name.startswith("test_"):
                    found += _checks(name, info.name, function)
    return tuple(found)


def _checks(name: str, module: str, function: Callable[..., None]) -> list[Check]:
    original = getattr(function, "llm_check", function)
    per_model = bool({"model", "package"} & set(inspect.signature(original).parameters))
    marks = [m for m in getattr(function, "pytestmark", []) if m.name == "requirement"]
    return [Check(name, module, mark.args[0], per_model, function) for mark in marks]


def _functions(module: str) -> dict[str, ast.AST]:
    source = inspect.getsource(importlib.import_module(f"{checks.__name__}.{module}"))
    return {node.name: node for node in ast.parse(source).body if isinstance(node, ast.FunctionDef)}


def deciding(requirement: str) -> tuple[Check, ...]:
    """Return the checks that decide a requirement."""
    return tuple(check for check in all_checks() if check.requirement == requirement)
