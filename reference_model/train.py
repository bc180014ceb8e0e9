"""Trains the suite's byte-level decoder on text of the suite's own grammar, from a fixed seed.

``python -m reference_model.train FILE`` repeats the training, single-threaded, in a few minutes,
writes the weights and prints the loss that they reach. The same machine and torch give the same
file; another may sum in another order and end at other bits, after thousands of steps at quite
other weights. So the file beside this module, and not this program, is the model: its digest stands
in ``trained.py``.

Shape suffixes: B batch, T tokens, V vocabulary.
"""

from __future__ import annotations

import argparse
import math
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from safetensors.numpy import save_file

from reference_model import layout, text, trained
from reference_model.model import Decoder, build_decoder

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray
    from torch import Tensor

    from reference_model.config import ModelConfig

    Weights = dict[str, NDArray[np.float16]]

CONFIG = trained.BYTES.config
HELD_OUT = 1
"""Seed of the texts that are never trained on; those of seed 0 are."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """How the model is trained.

    Attributes:
        steps: updates of the weights.
        rows: sequences in each, of as many tokens as the model has positions.
        rate: the highest learning rate, after ``warm_up`` steps; from there it falls along half a
            cosine to a hundredth (Loshchilov and Hutter 2017, eq. 5).
        decay: weight decay of matrices, by AdamW (Loshchilov and Hutter 2019).
        clip: the norm to which gradients are cut.
        seed: of the weights that it starts from.
    """

    steps: int = 1000
    rows: int = 8
    rate: float = 3e-3
    warm_up: int = 50
    decay: float = 0.1
    clip: float = 1.0
    seed: int = 0


def train(recipe: Recipe, config: ModelConfig = CONFIG) -> Weights:
    """Return trained weights, float16, in canonical order.

    The threads that torch uses are set to one meanwhile, so that sums keep their order.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        decoder = _beginning(config, recipe.seed).requires_grad_()
        optimiser = _optimiser(decoder, recipe)
        for step, tokens_BT in zip(range(recipe.steps), batches(recipe, config), strict=False):
            for group in optimiser.param_groups:
                group["lr"] = recipe.rate * schedule(step, recipe)
            optimiser.zero_grad()
            loss_of(decoder, tokens_BT).backward()
            torch.nn.utils.clip_grad_norm_(decoder.parameters(), recipe.clip)
            optimiser.step()
    finally:
        torch.set_num_threads(threads)
    state = decoder.state_dict()
    return {name: state[name].numpy().astype(np.float16) for name in layout.tensor_shapes(config)}


def loss_of(decoder: Decoder, tokens_BT: Tensor) -> Tensor:
    """Return the mean negative log-likelihood of each token after the first, in nats."""
    ids_BT = tokens_BT[:, :-1]
    position_BT = torch.arange(ids_BT.shape[1]).expand_as(ids_BT)
    logits_BTV = decoder(ids_BT, torch.ones_like(ids_BT), position_BT).logits_BTV
    return torch.nn.functional.cross_entropy(logits_BTV.flatten(0, 1), tokens_BT[:, 1:].flatten())


def schedule(step: int, recipe: Recipe) -> float:
    """Return the share of the highest learning rate at a step, counted from 0."""
    if step < recipe.warm_up:
        return (step + 1) / recipe.warm_up
    done = (step - recipe.warm_up) / max(1, recipe.steps - recipe.warm_up)
    return 0.01 + 0.99 * (1 + math.cos(math.pi * done)) / 2


def batches(recipe: Recipe, config: ModelConfig) -> Iterator[Tensor]:
    """Yield token ids (B, T): texts one behind the other, cut into rows."""
    width = config.max_positions + 1
    stream: list[int] = []
    index = 0
    while True:
        while len(stream) < recipe.rows * width:
            stream += text.encode(text.sample(0, index))
            index += 1
        taken, stream = stream[: recipe.rows * width], stream[recipe.rows * width :]
        yield torch.tensor(taken).reshape(recipe.rows, width)


def held_out(rows: int, config: ModelConfig = CONFIG) -> NDArray[np.int64]:
    """Return tokens (B, T) of texts that are not trained on: one from its beginning in each row."""
    width = config.max_positions
    found = np.zeros((rows, width), np.int64)
    for row in range(rows):
        stream: list[int] = []
        index = row * width
        while len(stream) < width:
            stream += text.encode(text.sample(HELD_OUT, index))
            index += 1
        found[row] = stream[:width]
    return found


def _beginning(config: ModelConfig, seed: int) -> Decoder:
    """Return a decoder whose matrices are small and normal, and whose norms multiply by 1."""
    numbers = np.random.Generator(np.random.Philox(key=[seed, 0]))
    weights = {
        name: np.ones(shape, np.float32)
        if len(shape) == 1
        else numbers.normal(0, 0.5 / math.sqrt(shape[1]), shape).astype(np.float32)
        for name, shape in layout.tensor_shapes(config).items()
    }
    return build_decoder(config, weights)


def _optimiser(decoder: Decoder, recipe: Recipe) -> torch.optim.AdamW:
    matrices = [p for p in decoder.parameters() if p.ndim > 1]
    gains = [p for p in decoder.parameters() if p.ndim == 1]
    groups = [
        {"params": matrices, "weight_decay": recipe.decay},
        {"params": gains, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, betas=(0.9, 0.95), foreach=False)


def main() -> None:
    """Train, write the weights, and say what they reach."""
    parser = argparse.ArgumentParser(prog="reference_model.train", description=__doc__)
    parser.add_argument("file", type=Path, help="the safetensors file to write")
    file = parser.parse_args().file
    weights = train(Recipe())
    save_file(weights, file, metadata={"format": "pt"})
    decoder = build_decoder(CONFIG, weights)
    with torch.no_grad():
        loss = float(loss_of(decoder, torch.from_numpy(held_out(16))))
    sys.stdout.write(f"{file}: {loss:.3f} nats a byte on texts that were not trained on\n")


if __name__ == "__main__":
    main()
