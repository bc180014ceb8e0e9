"""The tensors of a model folder: safetensors, single or sharded, exactly those of the config.

Pickle files are refused: to read one is to run it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError, safe_open

from reference_model import bloom, glm4, gpt2, gpt_oss, json_values, mixtral, qwen2_moe
from reference_model.errors import ConfigError
from reference_model.forms import fused_form, gathered, written_shapes
from reference_model.layout import EMBEDDING, HEAD, tensor_shapes

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from numpy.typing import NDArray

    from reference_model.config import Experts, ModelConfig
    from reference_model.forms import Form

    Tensors = dict[str, NDArray[Any]]

SINGLE = "model.safetensors"
INDEX = "model.safetensors.index.json"

_TYPES = ("F64", "F32", "F16", "BF16")
_DERIVED = re.compile(
    r"model\.layers\.\d+\.self_attn\.rotary_emb\.inv_freq"
    r"|(transformer\.)?h\.\d+\.attn\.(masked_)?bias"
)
"""Frequencies, and GPT-2's triangles of a mask, that old checkpoints carry; they follow from the
config, so all readers skip them."""
_PLAIN_FILE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.\-]*\.safetensors")


def read_tensors(folder: Path, config: ModelConfig, *, fused: bool = False) -> Tensors:
    """Read every tensor of a decoder, in its own type (bfloat16 as ml_dtypes has it).

    Args:
        folder: the model folder.
        config: the decoder.
        fused: whether queries, keys and values are one tensor, and gate and up another.

    Returns:
        The tensors by name, in canonical order.

    Raises:
        ConfigError: a file or tensor is missing, superfluous, elsewhere than the index says, or of
            another shape or type; or there are only pickle files.
    """
    found = read_stored(folder)
    shapes, form = tensor_shapes(config), form_of(config, found, fused=fused)
    _drop_tied_head(found, config, form)
    written = written_shapes(shapes, form)
    same_names(found, written, f"{folder}: the tensors do not match config.json")
    for name, shape in written.items():
        if found[name].shape != shape:
            raise ConfigError(
                f"{folder}: {name} has the shape {found[name].shape}; config.json makes it {shape}"
            )
    return gathered(found, form, shapes)


def form_of(
    config: ModelConfig, names: Iterable[str] | None = None, *, fused: bool = False
) -> Form:
    """Return the form in which a decoder's checkpoint is written; empty for the canonical one.

    Args:
        config: the decoder.
        names: the tensors of a checkpoint, where there is one: some families have several forms.
        fused: whether queries, keys and values are one tensor, and gate and up another.
    """
    if config.mlp.experts is not None:
        return _mixture_form(config, config.mlp.experts, names)
    if gpt2.is_gpt2(config):
        return gpt2.form(config, names)
    if bloom.is_bloom(config):
        return bloom.form(config, names)
    if glm4.is_glm4(config):
        return glm4.form(config)
    return fused_form(config) if fused else {}


def _mixture_form(config: ModelConfig, experts: Experts, names: Iterable[str] | None) -> Form:
    if experts.bias:
        return gpt_oss.form(config)
    if experts.shared:
        return qwen2_moe.form(config, names)
    return mixtral.form(config, names)


def read_stored(folder: Path) -> Tensors:
    """Read every tensor that a folder holds, by the name and in the type that it is stored in.

    Raises:
        ConfigError: a file is missing, or is not what it should be.
    """
    found: Tensors = {}
    for file, names in _plan(folder).items():
        found |= _read_file(folder / file, names)
    return found


def _plan(folder: Path) -> dict[str, list[str] | None]:
    """Return which files to read, and the tensors that each has to hold, where an index tells."""
    single, index = (folder / SINGLE).is_file(), (folder / INDEX).is_file()
    if single and index:
        raise ConfigError(f"{folder} has both {SINGLE} and {INDEX}; remove the one not meant")
    if single:
        return {SINGLE: None}
    if not index:
        raise ConfigError(_nothing_to_read(folder))
    weight_map = json_values.load(folder / INDEX).get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise ConfigError(f"{folder / INDEX}: weight_map has to be an object of name: file")
    plan: dict[str, list[str] | None] = {}
    for name, file in weight_map.items():
        # One pattern keeps the file inside the folder: no separator, no drive, no leading dot.
        if not isinstance(file, str) or not _PLAIN_FILE.fullmatch(file):
            raise ConfigError(
                f"{folder / INDEX}: {name} is in {file!r}; the plain name of a .safetensors file "
                "in the same folder is allowed"
            )
        names = plan.setdefault(file, [])
        assert names is not None
        names.append(name)
    return plan


def _nothing_to_read(folder: Path) -> str:
    pickles = sorted(
        file.name for file in folder.glob("*") if file.suffix in {".bin", ".pt", ".pth", ".ckpt"}
    )
    if not pickles:
        return f"{folder} has neither {SINGLE} nor {INDEX}"
    return (
        f"{folder} has only pickle files ({', '.join(pickles)}), and reading one would run code "
        "from it; convert to safetensors, for example by transformers' save_pretrained"
    )


def _read_file(file: Path, names: list[str] | None) -> Tensors:
    try:
        with safe_open(file, framework="np") as tensors:
            held = list(tensors.keys())
            if names is not None:
                same_names(held, names, f"{file} does not hold what {INDEX} says")
            wanted = [name for name in held if not _DERIVED.fullmatch(name)]
            for name in wanted:
                kind = tensors.get_slice(name).get_dtype()
                if kind not in _TYPES:
                    raise ConfigError(
                        f"{file}: {name} is of type {kind}; {', '.join(_TYPES)} are understood"
                    )
            return {name: tensors.get_tensor(name) for name in wanted}
    except FileNotFoundError as error:
        raise ConfigError(f"{file} does not exist, but {INDEX} names it") from error
    except (OSError, SafetensorError) as error:
        raise ConfigError(f"{file} is not a safetensors file: {error}") from error


def _drop_tied_head(found: Tensors, config: ModelConfig, form: Form) -> None:
    """Take away a head that only repeats the embedding; some writers store a tied one twice."""
    embedded = form[EMBEDDING].source if EMBEDDING in form else EMBEDDING
    if not (config.tied and HEAD in found and embedded in found):
        return
    head, embedding = found.pop(HEAD), found[embedded]
    if head.dtype != embedding.dtype or head.tobytes() != embedding.tobytes():
        raise ConfigError(
            f"tie_word_embeddings is true, but {HEAD} differs from {embedded}; say false, or "
            "remove the tensor that is not meant"
        )


def same_names(seen: Iterable[str], expected: Iterable[str], what: str) -> None:
    """Refuse names of tensors that are not the expected ones; ``what`` begins the message."""
    missing, extra = sorted(set(expected) - set(seen)), sorted(set(seen) - set(expected))
    if missing or extra:
        raise ConfigError(f"{what}: missing {_some(missing)}; superfluous {_some(extra)}")


def _some(names: list[str]) -> str:
    if not names:
        return "none"
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more
