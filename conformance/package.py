"""Model packages: a folder with one Hugging Face model, opened without running anything.

A package is what every candidate loads and what the oracle takes its weights from, so it is checked
whole when it is opened: config, headers, and each tensor's name and shape. Weights are read only
from safetensors; a pickle is a program. Files that a folder lacks are made by the caller's builder.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from conformance import (
    encoder_decoder_configs,
    encoder_decoder_tensors,
    encoder_tensors,
    schema,
)
from conformance.errors import FormatError, PackageError, UsageError
from conformance.formats import (
    bert_config,
    hf_config,
    safetensors,
    safetensors_index,
)
from conformance.tensors import expected_shapes, is_mask

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from conformance.formats.safetensors import TensorInfo

CONFIG = "config.json"
WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"

_HEAD = "lm_head.weight"
_TYPES = ("float64", "float32", "float16", "bfloat16")


@dataclass(frozen=True, slots=True)
class ModelPackage:
    """An opened model folder. Two packages are equal when their contents are."""

    name: str
    path: Path = field(compare=False)
    config: Mapping[str, Any] = field(compare=False, repr=False)
    """The content of config.json, as written."""
    digest: str
    """SHA-256 of the lines that ``sha256sum`` prints for config.json and the weight files."""
    weights_dtype: str
    """The one type in which the tensors are stored: ``float32``, ``bfloat16``, ..."""
    _places: Mapping[str, tuple[Path, TensorInfo]] = field(compare=False, repr=False)
    _builder: Callable[[ModelPackage, str], Path] | None = field(compare=False, repr=False)
    built: set[str] = field(default_factory=set, compare=False, repr=False)
    """Names of the files that were asked for and had to be made; filled while the package lives."""

    def weights(self) -> Mapping[str, NDArray[Any]]:
        """Return the model's tensors by Hugging Face's names, read-only; large ones are mapped.

        Exactly those that the config calls for: a head that repeats a tied embedding and the
        rotary buffers of old checkpoints are left out.
        """
        return safetensors.Tensors(self._places)

    @property
    def sizes(self) -> Mapping[str, int]:
        """The model's sizes, by the keys that most families have for them in config.json."""
        return hf_config.sizes(self.config)

    def file(self, name: str) -> Path:
        """Return a file of the folder; where it is absent, the one that the builder makes.

        Raises:
            UsageError: ``name`` is not the plain name of a file.
            PackageError: the folder has no such file and nothing builds it, or it is a link that
                leads out of the folder.
        """
        found = self._supplied(name)
        if found is not None:
            return found
        if self._builder is None:
            raise PackageError(
                f"{self.path} has no {name}; there are {_listed(self.path)}. Put {name} beside "
                f"{CONFIG}, or let llm-conformance export make it"
            )
        made = self._builder(self, name)
        self.built.add(name)
        return made

    def _supplied(self, name: str) -> Path | None:
        if Path(name).name != name or "\\" in name or name in {"", ".."}:
            raise UsageError(f"{name!r} is not the plain name of a file in a model folder")
        return _inside(self.path, name)


def open_package(
    path: str | Path,
    name: str | None = None,
    builder: Callable[[ModelPackage, str], Path] | None = None,
) -> ModelPackage:
    """Open a model folder and check it whole.

    Args:
        path: the folder, with config.json and model.safetensors or its shards and their index.
        name: what to call the model; the folder's name if not given.
        builder: called as ``builder(package, file_name)`` for a file that the folder lacks.

    Raises:
        PackageError: a file is missing or unsafe, or the tensors are not those of the config.
        FormatError: config.json, an index or a header is refused.
    """
    folder = Path(path)
    config = _read_config(folder)
    files, places = _read_headers(folder)
    places = _checked(folder, config, places)
    return ModelPackage(
        name=name or folder.resolve().name,
        path=folder,
        config=config,
        digest=digest_of(folder, [CONFIG, *files]),
        weights_dtype=_one_type(folder, places),
        _places=places,
        _builder=builder,
    )


def _read_config(folder: Path) -> dict[str, Any]:
    if not folder.is_dir():
        raise PackageError(
            f"there is no model folder {str(folder)!r} (looked in {Path.cwd()}); give a folder "
            f"that holds {CONFIG} and {WEIGHTS}"
        )
    file = _inside(folder, CONFIG)
    if file is None:
        raise PackageError(f"{folder} has no {CONFIG}; there are {_listed(folder)}")
    document = schema.load(file)
    other = _of_another_kind(document)
    if other is None and (
        refused := hf_config.unknown_family(document) or hf_config.quantised(document)
    ):
        raise PackageError(f"{file}: {refused}")
    try:
        (other[0] if other else hf_config).check(document)
    except FormatError as error:
        raise error.in_file(str(file)) from None
    assert isinstance(document, dict)
    return document


def _of_another_kind(config: Any) -> tuple[Any, Any] | None:
    """Return what knows the config and the tensors of a model that is no decoder, or None."""
    if bert_config.is_encoder(config):
        return bert_config, encoder_tensors
    if encoder_decoder_configs.is_encoder_decoder(config):
        return encoder_decoder_configs, encoder_decoder_tensors
    return None


def _read_headers(folder: Path) -> tuple[list[str], dict[str, tuple[Path, TensorInfo]]]:
    """Return the weight files' names, and where each tensor lies."""
    single, index = _inside(folder, WEIGHTS), _inside(folder, INDEX)
    if single and index:
        raise PackageError(
            f"{folder} has both {WEIGHTS} and {INDEX}; readers take either: remove one"
        )
    if single:
        header = safetensors.read_header(single)
        return [WEIGHTS], {name: (single, info) for name, info in header.items()}
    if index:
        places = safetensors_index.read_shards(index)
        return [INDEX, *sorted({shard.name for shard, _ in places.values()})], places
    raise PackageError(f"{folder} has no {WEIGHTS}; there are {_listed(folder)}. {_advice(folder)}")


def _advice(folder: Path) -> str:
    if any(file.suffix in {".bin", ".pt", ".pth", ".ckpt"} for file in folder.iterdir()):
        return (
            "A pickle is a program and is never loaded here: convert it where you trust it, with "
            "model.save_pretrained(folder) of transformers, which writes safetensors"
        )
    return f"The weights that the suite judges by are read from {WEIGHTS} or from {INDEX}"


def _inside(folder: Path, name: str) -> Path | None:
    """Return a file of the folder, or None.

    Raises:
        PackageError: it is a link that leads out of the folder.
    """
    file = folder / name
    if not file.is_file():
        return None
    if not safetensors_index.stays_inside(file, folder):
        raise PackageError(
            f"{file} is a link to {file.resolve()}, out of the folder; copy the file into it"
        )
    return file


def _listed(folder: Path) -> str:
    names = sorted(file.name for file in folder.iterdir())
    more = f" and {len(names) - 12} more" if len(names) > 12 else ""
    return (", ".join(names[:12]) or "no files in it") + more


def _checked(
    folder: Path, config: Mapping[str, Any], places: Mapping[str, tuple[Path, TensorInfo]]
) -> dict[str, tuple[Path, TensorInfo]]:
    """Return the places of the expected tensors, in their order; refuse any difference."""
    if other := _of_another_kind(config):
        names = other[1].canonical_names(places)
        places = {name: places[stored] for name, stored in names.items()}
        expected = other[1].expected_shapes(config, places)
    else:
        expected = expected_shapes(config, places)
    missing = [name for name in expected if name not in places]
    extra = [name for name in places if name not in expected and not _is_tolerated(name, config)]
    wrong = [
        f"{name} {list(places[name][1].shape)} for {list(shape)}"
        for name, shape in expected.items()
        if name in places and places[name][1].shape != shape
    ]
    lists = (("missing", missing), ("not expected", extra), ("of a wrong shape", wrong))
    told = [f"{what}: {_first(names)}" for what, names in lists if names]
    if told:
        raise PackageError(f"{folder}: the tensors are not those of {CONFIG}: {'; '.join(told)}")
    for repeated, original in _repeated(config, next(iter(expected))).items():
        if repeated in places:
            _check_tied(folder, places, repeated, original)
    for name, exact in (other[1].constants(config) if other else {}).items():
        if name in places:
            _check_constant(folder, places, name, exact)
    return {name: places[name] for name in expected}


def _first(names: list[str]) -> str:
    more = f" and {len(names) - 8} more" if len(names) > 8 else ""
    return ", ".join(names[:8]) + more


def _is_tolerated(name: str, config: Mapping[str, Any]) -> bool:
    if other := _of_another_kind(config):
        return bool(other[1].is_tolerated(name, config))
    tied_head = name == _HEAD and hf_config.is_tied(config)
    return tied_head or name.endswith(".rotary_emb.inv_freq") or is_mask(config, name)


def _repeated(config: Mapping[str, Any], embedding: str) -> Mapping[str, str]:
    """Return the tensors that may be stored once more, with what each has to repeat."""
    if other := _of_another_kind(config):
        found: Mapping[str, str] = other[1].repeated(config)
        return found
    return {_HEAD: embedding} if hf_config.is_tied(config) else {}


def _check_tied(
    folder: Path, places: Mapping[str, tuple[Path, TensorInfo]], repeated: str, original: str
) -> None:
    head, embedding = (safetensors.read_tensor(*places[name]) for name in (repeated, original))
    same = head.dtype == embedding.dtype and head.shape == embedding.shape
    if not same or not np.array_equal(_bits(head), _bits(embedding)):
        raise PackageError(
            f"{folder}: {CONFIG} ties the embeddings, but {repeated} differs from {original}; "
            "remove it, or set tie_word_embeddings to false"
        )


def _check_constant(
    folder: Path, places: Mapping[str, tuple[Path, TensorInfo]], name: str, exact: NDArray[Any]
) -> None:
    stored = safetensors.read_tensor(*places[name])
    # One rounding of numbers up to 1; wide ones may have been float32 before.
    allowed = 2.0**-8 if stored.dtype.itemsize == 2 else 2.0**-22
    if stored.shape != exact.shape or np.abs(stored.astype(np.float64) - exact).max() > allowed:
        raise PackageError(
            f"{folder}: {name} is not the table that {CONFIG} implies, {list(exact.shape)} sines "
            "and cosines; remove it where it is not meant"
        )


def _bits(array: NDArray[Any]) -> NDArray[Any]:
    return array.reshape(-1).view(np.uint8)


def _one_type(folder: Path, places: Mapping[str, tuple[Path, TensorInfo]]) -> str:
    types = {info.dtype: name for name, (_, info) in places.items()}
    if len(types) > 1 or not set(types) <= set(_TYPES):
        seen = "; ".join(f"{dtype}, such as {name}" for dtype, name in sorted(types.items()))
        raise PackageError(
            f"{folder}: the tensors are stored as {seen}; allowed: one type for all of them, of "
            f"{', '.join(_TYPES)}"
        )
    return next(iter(types))


def digest_of(folder: Path, names: list[str]) -> str:
    """Return the SHA-256 of the lines that ``sha256sum`` prints for files, in order of names."""
    lines = []
    for name in sorted(names):
        with (folder / name).open("rb") as file:
            lines.append(f"{hashlib.file_digest(file, 'sha256').hexdigest()}  {name}\n")
    return hashlib.sha256("".join(lines).encode()).hexdigest()
