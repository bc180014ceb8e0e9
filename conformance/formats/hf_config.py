"""config.json of Hugging Face: the rules across its keys. What it computes is not decided here.

Readers differ in which of two conflicting keys they take, and fall back silently where a key is
missing: transformers 5 renamed ``rope_scaling`` to ``rope_parameters`` and moved ``rope_theta``
into it, and a reader that does not know this computes with base 10000 and no error.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from conformance import schema
from conformance.errors import FormatError

if TYPE_CHECKING:
    from collections.abc import Mapping

READ = (
    "vocab_size",
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
    "head_dim",
    "intermediate_size",
    "rms_norm_eps",
    "tie_word_embeddings",
    "max_position_embeddings",
    "rope_theta",
    "rope_scaling",
    "rope_parameters",
    "dtype",
    "torch_dtype",
)
"""The keys that say what is computed; all others have to leave it as it is."""
_WINDOWS = ("use_sliding_window", "sliding_window", "max_window_layers", "layer_types")
_FAMILIES: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "llama": ("LlamaForCausalLM", ()),
    "mistral": ("MistralForCausalLM", ("sliding_window",)),
    "qwen2": ("Qwen2ForCausalLM", _WINDOWS),
    "qwen3": ("Qwen3ForCausalLM", _WINDOWS),
}
"""By type of model: its class, and the keys that it has beside a Llama's."""
_SLIDES = "sliding_attention"
_LLAMA3 = {
    "factor",
    "low_freq_factor",
    "high_freq_factor",
    "original_max_position_embeddings",
}
_DEMANDED: Mapping[str, set[str]] = {
    "default": set(),
    "linear": {"factor"},
    "dynamic": {"factor"},
    "yarn": {"factor"},
    "longrope": {"short_factor", "long_factor"},
    "llama3": _LLAMA3,
}
"""Keys without which a rope type means nothing (transformers, ``modeling_rope_utils``)."""


def check(document: Any) -> None:
    """Check the content of a config.json: layers L2 and L3.

    Raises:
        FormatError: the document is refused.
    """
    schema.validate("hf-config", document)
    _check_family(document)
    _check_windows(document)
    _check_heads(document)
    _check_rope(document)
    _check_types(document)
    _check_token_ids(document)


def unknown_family(document: Any) -> str:
    """Return what to say of another architecture as a whole: its keys, one by one, say nothing."""
    kind = document.get("model_type") if isinstance(document, dict) else None
    if not isinstance(kind, str) or kind in _FAMILIES:
        return ""
    return (
        f"model_type is {kind!r}; the suite evaluates decoders of the Llama family so far "
        f"(model_type {', '.join(map(repr, _FAMILIES))}). It reads {', '.join(READ)}, and takes "
        "any other key only with a value that changes nothing. Save a model that computes the same "
        "function as a Llama; or leave out --model, and the runtime is judged on models of the "
        "suite's own"
    )


def window_of(document: Mapping[str, Any], layer: int) -> int | None:
    """Return how many keys a query of a layer sees, itself among them; None for all."""
    window: int | None = document.get("sliding_window")
    if document["model_type"] not in ("qwen2", "qwen3"):
        return window
    kinds = document.get("layer_types")
    if not document["use_sliding_window"]:
        return None
    slides = layer >= document["max_window_layers"] if kinds is None else kinds[layer] == _SLIDES
    return window if slides else None


def expected_shapes(config: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    """Return the names and shapes of a decoder's tensors, in Hugging Face's order.

    Letters: V vocabulary, D model, H query heads, G key/value heads, K head dim, F feed-forward.
    A linear layer's weight is (out, in).
    """
    v, d, f = config["vocab_size"], config["hidden_size"], config["intermediate_size"]
    k = head_dim(config)
    hk, gk = config["num_attention_heads"] * k, config["num_key_value_heads"] * k
    linear = {
        "self_attn.q_proj": (hk, d),
        "self_attn.k_proj": (gk, d),
        "self_attn.v_proj": (gk, d),
        "self_attn.o_proj": (d, hk),
        "mlp.gate_proj": (f, d),
        "mlp.up_proj": (f, d),
        "mlp.down_proj": (d, f),
    }
    biased = _biased(config)
    layer: dict[str, tuple[int, ...]] = {"input_layernorm.weight": (d,)}
    for name, shape in linear.items():
        layer[f"{name}.weight"] = shape
        if name.split(".")[1] in biased:
            layer[f"{name}.bias"] = shape[:1]
        if name == "self_attn.o_proj" and config["model_type"] == "qwen3":
            layer |= {f"self_attn.{one}_norm.weight": (k,) for one in "qk"}
    layer["post_attention_layernorm.weight"] = (d,)
    shapes: dict[str, tuple[int, ...]] = {"model.embed_tokens.weight": (v, d)}
    for i in range(config["num_hidden_layers"]):
        shapes |= {f"model.layers.{i}.{name}": shape for name, shape in layer.items()}
    shapes["model.norm.weight"] = (d,)
    if not config["tie_word_embeddings"]:
        shapes["lm_head.weight"] = (v, d)
    return shapes


def _biased(config: Mapping[str, Any]) -> set[str]:
    """Return the names of the projections that have a bias."""
    found: set[str] = set()
    if config["model_type"] == "qwen2":
        found |= {"q_proj", "k_proj", "v_proj"}
    elif config.get("attention_bias"):
        found |= {"q_proj", "k_proj", "v_proj", "o_proj"}
    if config.get("mlp_bias"):
        found |= {"gate_proj", "up_proj", "down_proj"}
    return found


def _check_family(document: Mapping[str, Any]) -> None:
    kind = document["model_type"]
    architecture, keys = _FAMILIES[kind]
    if document.get("architectures") not in (None, [], [architecture]):
        detail = f"is not {architecture}, which model_type {kind!r} has"
        raise FormatError("L3-ARCHITECTURE", detail, "/architectures/0")
    for key in _WINDOWS:
        if key in document and key not in keys:
            detail = f"is no key of model_type {kind!r}; readers ignore it, or do not: remove it"
            raise FormatError("L3-FAMILY-KEY", detail, f"/{key}")
    if kind == "qwen2" and document.get("attention_bias") is False:
        detail = "is false, but a qwen2 has the biases of its attention whatever is written here"
        raise FormatError("L3-ATTENTION-BIAS", detail, "/attention_bias")
    if kind == "qwen3" and document.get("head_dim") is None:
        raise FormatError("L3-HEAD-DIM-MISSING", "has no head_dim; readers would assume 128")


def _check_windows(document: Mapping[str, Any]) -> None:
    """Demand that which layers have which window is written, and written once."""
    keys = _FAMILIES[document["model_type"]][1]
    if keys and keys[0] not in document:
        raise FormatError("L3-WINDOW-MISSING", f"has no {keys[0]}; readers would assume a value")
    if "use_sliding_window" not in keys:
        return
    kinds, used = document.get("layer_types"), document["use_sliding_window"]
    limits = "layer_types" if kinds is not None else "max_window_layers"
    lacking = [key for key in ("sliding_window", limits) if document.get(key) is None]
    if used and lacking:
        detail = f"uses a window, and has no {lacking[0]}; readers would assume a value"
        raise FormatError("L3-WINDOW-MISSING", detail)
    if kinds is not None and len(kinds) != document["num_hidden_layers"]:
        detail = f"names {len(kinds)} layers of {document['num_hidden_layers']}"
        raise FormatError("L3-LAYER-TYPES", detail, "/layer_types")
    if kinds is not None and not used and _SLIDES in kinds:
        detail = f"is {_SLIDES}, but use_sliding_window is false"
        raise FormatError("L3-LAYER-TYPES", detail, f"/layer_types/{kinds.index(_SLIDES)}")


def head_dim(document: Mapping[str, Any]) -> int:
    """Return the width of one attention head; absent, it is hidden_size / num_attention_heads."""
    given: int | None = document.get("head_dim")
    share: int = document["hidden_size"] // document["num_attention_heads"]
    return share if given is None else given


def _check_heads(document: Mapping[str, Any]) -> None:
    hidden, heads = document["hidden_size"], document["num_attention_heads"]
    kv_heads = document["num_key_value_heads"]
    if hidden % heads:
        detail = (
            f"is {heads}, which does not divide hidden_size {hidden}; transformers 5 refuses it"
        )
        raise FormatError("L3-HEADS", detail, "/num_attention_heads")
    if heads % kv_heads:
        detail = f"is {kv_heads}, which does not divide num_attention_heads {heads}"
        raise FormatError("L3-KV-HEADS", detail, "/num_key_value_heads")
    if head_dim(document) % 2:
        place = "/head_dim" if document.get("head_dim") is not None else "/hidden_size"
        detail = f"makes heads {head_dim(document)} wide; rotary embedding turns pairs: use an even"
        raise FormatError("L3-HEAD-DIM", f"{detail} width", place)


def _check_rope(document: Mapping[str, Any]) -> None:
    thetas, scalings = {}, {}
    if document.get("rope_theta") is not None:
        thetas["/rope_theta"] = document["rope_theta"]
    for key in ("rope_scaling", "rope_parameters"):
        part = document.get(key)
        if part is None:
            continue
        if "rope_theta" in part:
            thetas[f"/{key}/rope_theta"] = part["rope_theta"]
        scalings[f"/{key}"] = _scaling(part, f"/{key}")
    if not thetas:
        detail = (
            "has no rope_theta, neither at the top nor in rope_parameters; readers would assume "
            "10000. Write the base with which the model was trained"
        )
        raise FormatError("L3-ROPE-THETA-MISSING", detail)
    _agree(thetas, "L3-ROPE-CONFLICT")
    _agree(scalings, "L3-ROPE-CONFLICT")


def _scaling(part: Mapping[str, Any], place: str) -> dict[str, Any]:
    """Return a rope object without its base, by the newer spelling of its type."""
    kinds = {f"{place}/{key}": part[key] for key in ("rope_type", "type") if key in part}
    if not kinds:
        raise FormatError("L3-ROPE-TYPE-MISSING", "has no rope_type", place)
    _agree(kinds, "L3-ROPE-CONFLICT")
    kind = next(iter(kinds.values()))
    lacking = sorted(_DEMANDED[kind] - set(part))
    if lacking:
        detail = f"lacks {', '.join(lacking)}, which rope type {kind!r} needs"
        raise FormatError("L3-ROPE-KEYS", detail, place)
    if kind == "llama3" and not part["low_freq_factor"] < part["high_freq_factor"]:
        seen = f"is {part['low_freq_factor']}, not below {part['high_freq_factor']}"
        raise FormatError(
            "L3-ROPE-BANDS", f"{seen}, the high_freq_factor", f"{place}/low_freq_factor"
        )
    other = {key: part[key] for key in part if key not in {"type", "rope_type", "rope_theta"}}
    if kind == "default":
        other = {}  # keys of a scaling that is switched off say nothing
    return {"rope_type": kind, **other}


def _check_types(document: Mapping[str, Any]) -> None:
    keys = ("dtype", "torch_dtype")
    given = {f"/{key}": document[key] for key in keys if document.get(key) is not None}
    _agree(given, "L3-DTYPE-CONFLICT")


def _agree(places: Mapping[str, Any], code: str) -> None:
    """Refuse two places that say different things; the pointer is the second's."""
    (first, expected), *others = places.items() or [("", None)]
    for place, value in others:
        if value != expected:
            detail = f"is {value!r}, but {first} is {expected!r}; readers take either: remove one"
            raise FormatError(code, detail, place)


def _check_token_ids(document: Mapping[str, Any]) -> None:
    size = document["vocab_size"]
    for key in ("bos_token_id", "eos_token_id", "pad_token_id", "sep_token_id"):
        value = document.get(key)
        listed = isinstance(value, list)
        for i, token in enumerate(value if listed else [value]):  # type: ignore[arg-type]
            if token is not None and token >= size:
                detail = f"is {token}; the vocabulary ends at {size - 1}"
                raise FormatError("L3-TOKEN-ID", detail, f"/{key}/{i}" if listed else f"/{key}")
