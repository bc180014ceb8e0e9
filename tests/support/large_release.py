"""Model releases of any size, written to disk a tensor at a time: seeded, of Llama's shape."""

from __future__ import annotations

import json
from dataclasses import dataclass

import ml_dtypes
import numpy as np

from conformance.tensors import expected_shapes

NAMES = {"bfloat16": "BF16", "float32": "F32"}


@dataclass(frozen=True)
class Shape:
    """The sizes of a model, by their names in config.json."""

    vocab_size: int
    hidden_size: int
    intermediate_size: int
    num_hidden_layers: int
    num_attention_heads: int
    num_key_value_heads: int

    @property
    def config(self):
        """The config.json: tied embeddings, and positions that are scaled as Llama 3 scales."""
        return {
            **vars(self),
            "architectures": ["LlamaForCausalLM"],
            "model_type": "llama",
            "hidden_act": "silu",
            "head_dim": self.hidden_size // self.num_attention_heads,
            "rms_norm_eps": 1e-5,
            "tie_word_embeddings": True,
            "max_position_embeddings": 8192,
            "rope_theta": 500000.0,
            "rope_scaling": {
                "rope_type": "llama3",
                "factor": 32.0,
                "low_freq_factor": 1.0,
                "high_freq_factor": 4.0,
                "original_max_position_embeddings": 1024,
            },
        }

    @property
    def parameters(self):
        """How many numbers the model has."""
        return sum(int(np.prod(shape)) for shape in expected_shapes(self.config).values())


BILLION = Shape(128256, 2048, 8192, 16, 32, 8)
"""That of Llama 3.2 1B: 1.24e9 parameters, a fifth of them in the embedding."""
SMALL = Shape(4096, 512, 2048, 16, 8, 2)
"""Of the same proportions, 6.2e7 parameters."""


def write(folder, shape, dtype="bfloat16", seed=1):
    """Write the release of a shape into a new folder; no more than a tensor is held at a time."""
    folder.mkdir(parents=True)
    config = {**shape.config, "dtype": dtype}
    (folder / "config.json").write_text(json.dumps(config, indent=2), encoding="utf-8")
    number = np.dtype(getattr(ml_dtypes, dtype, None) or dtype)
    header, end = {}, 0
    shapes = expected_shapes(config)
    for name, sizes in shapes.items():
        start, end = end, end + int(np.prod(sizes)) * number.itemsize
        row = {"dtype": NAMES[dtype], "shape": list(sizes), "data_offsets": [start, end]}
        header[name] = row
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with (folder / "model.safetensors").open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for i, sizes in enumerate(shapes.values()):
            file.write(drawn(sizes, [seed, i]).astype(number).tobytes())
    return folder


def drawn(sizes, key):
    """Return a tensor's numbers: norms around 1, matrices that keep the size of what they map."""
    generator = np.random.Generator(np.random.Philox(key=key))
    numbers = generator.standard_normal(sizes, dtype=np.float32)
    if len(sizes) == 1:
        return 1 + 0.1 * numbers
    return numbers / np.float32(np.sqrt(sizes[-1]))
