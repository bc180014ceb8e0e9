"""What folders of encoders and encoder-decoders have in common: repeated tensors, and shapes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from reference_model.checkpoint import same_names
from reference_model.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    Tensors = dict[str, NDArray[Any]]


def drop_repeated(folder: Path, found: Tensors, original: str, names: Iterable[str]) -> None:
    """Take out the tensors that are stored once more under other names.

    Raises:
        ConfigError: one of them differs from the original.
    """
    for repeated in names:
        other = found.pop(repeated, None)
        if other is not None and (original not in found or not _same(other, found[original])):
            raise ConfigError(
                f"{folder}: {repeated} differs from {original}, which it has to repeat; remove the "
                "one that is not meant"
            )


def of_shapes(folder: Path, found: Tensors, shapes: Mapping[str, tuple[int, ...]]) -> Tensors:
    """Return the tensors in canonical order.

    Raises:
        ConfigError: one is missing, superfluous or of another shape.
    """
    same_names(found, shapes, f"{folder}: the tensors do not match config.json")
    for name, shape in shapes.items():
        if found[name].shape != shape:
            raise ConfigError(
                f"{folder}: {name} has the shape {found[name].shape}; config.json makes it {shape}"
            )
    return {name: found[name] for name in shapes}


def _same(one: NDArray[Any], other: NDArray[Any]) -> bool:
    return one.shape == other.shape and one.tobytes() == other.tobytes()
