"""Faults of generation: which token, which position, which mask. B batch, T tokens, S so far.

They stand in the loop of ``reference_model.generation``; faults of ends and answers have a module
of their own.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import ml_dtypes
import numpy as np

from conformance.mutants import mutant

if TYPE_CHECKING:
    from collections.abc import Callable

    Honest = Callable[..., Any]


@mutant("generation.choose", kills=("GEN-001", "GEN-005", "GEN-006"), bug="generic")
def second_best_token(honest: Honest, logits_BV: Any, rows: Any) -> Any:
    """Every eighth token is the second most probable one."""
    best_B = honest(logits_BV, rows)
    second_B = np.argsort(logits_BV, axis=-1)[:, -2]
    return np.where([len(row.tokens) % 8 == 1 for row in rows], second_B, best_B)


@mutant(
    "generation.choose",
    kills=("GEN-001",),
    bug="generic",
    equivalent_at={"bf16": "Logits are bfloat16 numbers there."},
    below_noise_at=("fp16",),
)
def token_chosen_in_bfloat16(honest: Honest, logits_BV: Any, rows: Any) -> Any:
    """The most probable token is looked for among logits that were rounded to bfloat16."""
    return honest(logits_BV.astype(ml_dtypes.bfloat16).astype(np.float64), rows)


@mutant(
    "generation.choose",
    bug="generic",
    equivalent="Of equally probable tokens either is the most probable.",
)
def last_of_equal_tokens(_: Honest, logits_BV: Any, rows: Any) -> Any:
    """Of equally probable tokens, the one of the largest id is taken."""
    del rows
    return logits_BV.shape[1] - 1 - np.argmax(logits_BV[:, ::-1], axis=-1)


@mutant("generation.choose", kills=("GEN-001",), bug="generic")
def repetition_penalty_always_on(honest: Honest, logits_BV: Any, rows: Any) -> Any:
    """Logits of tokens that were added before are divided by 1.1, and multiplied where negative."""
    logits_BV = logits_BV.copy()
    for row, logits_V in zip(rows, logits_BV, strict=True):
        seen = list(set(row.tokens))
        logits_V[seen] = np.where(logits_V[seen] > 0, logits_V[seen] / 1.1, logits_V[seen] * 1.1)
    return honest(logits_BV, rows)


@mutant("generation.choose", kills=("GEN-001",), bug="generic")
def no_repeated_pairs(honest: Honest, logits_BV: Any, rows: Any) -> Any:
    """A token is forbidden where it would make a pair of tokens that was added before."""
    logits_BV = logits_BV.copy()
    for row, logits_V in zip(rows, logits_BV, strict=True):
        last = row.tokens[-1:]
        pairs = zip(row.tokens, row.tokens[1:], strict=False)
        logits_V[[second for first, second in pairs if [first] == last]] = -np.inf
    return honest(logits_BV, rows)


@mutant("generation.choose", kills=("GEN-005",), bug="generic")
def first_rows_token_for_all(honest: Honest, logits_BV: Any, rows: Any) -> Any:
    """All rows are given the token of the first."""
    return np.repeat(honest(logits_BV, rows)[:1], len(rows))


@mutant("generation.left_pad", kills=("GEN-005",), bug="generic")
def padding_of_prompts_attended(honest: Honest, *prompts: Any) -> Any:
    """The padding of shorter prompts is seen, and counted by the positions."""
    ids_BT, mask_BS = honest(*prompts)
    return ids_BT, np.ones_like(mask_BS)


@mutant("generation.left_pad", kills=("GEN-005",), bug="generic")
def prompts_padded_on_the_right(honest: Honest, prompts: Any) -> Any:
    """Shorter prompts are padded behind, and continued behind their padding."""
    ids_BT, mask_BS = honest(prompts)
    for row, prompt in enumerate(prompts):
        ids_BT[row], mask_BS[row] = (np.roll(x[row], len(prompt)) for x in (ids_BT, mask_BS))
    return ids_BT, mask_BS


@mutant("generation.positions", kills=("GEN-005",), bug="unslothai/unsloth#3699")
def generated_positions_count_padding(_: Honest, mask_BS: Any) -> Any:
    """Positions are slots of the batch, padding counted, from the first added token on."""
    counted_BS = np.maximum(np.cumsum(mask_BS, axis=1) - 1, 0)
    counted_BS[:, -1] = np.where(mask_BS[:, 0] == 0, mask_BS.shape[1] - 1, counted_BS[:, -1])
    return counted_BS


@mutant("generation.step", kills=("GEN-001", "GEN-005", "GEN-006"), bug="generic")
def positions_stay_at_the_prompts_end(
    honest: Honest, decoder: Any, ids_BT: Any, mask_BS: Any, at_BT: Any, cache: Any
) -> Any:
    """The first added token has the position of the prompt's last, and so on: one too small."""
    return honest(decoder, ids_BT, mask_BS, at_BT - (cache is not None), cache)


@mutant("generation.step", kills=("GEN-001", "GEN-005", "GEN-010"), bug="generic")
def positions_restart_behind_the_prompt(
    honest: Honest, decoder: Any, ids_BT: Any, mask_BS: Any, at_BT: Any, cache: Any
) -> Any:
    """The positions of added tokens are all 0, as of prompts of their own."""
    at_BT = at_BT if cache is None else np.zeros_like(at_BT)
    return honest(decoder, ids_BT, mask_BS, at_BT, cache)


@mutant("generation.step", kills=("GEN-001", "GEN-006", "GEN-010"), bug="generic")
def cache_of_the_prompt_lost(
    honest: Honest, decoder: Any, ids_BT: Any, mask_BS: Any, at_BT: Any, cache: Any
) -> Any:
    """Each added token is computed behind nothing but itself."""
    del cache
    return honest(decoder, ids_BT, mask_BS[:, -ids_BT.shape[1] :], at_BT, None)


@mutant("generation.step", kills=("GEN-005",), bug="generic")
def last_rows_cache_not_advanced(
    honest: Honest, decoder: Any, ids_BT: Any, mask_BS: Any, at_BT: Any, cache: Any
) -> Any:
    """In a batch, the key and value of the last row's newest token are not kept."""
    logits_BV, longer = honest(decoder, ids_BT, mask_BS, at_BT, cache)
    if cache is not None and len(ids_BT) > 1:
        longer = tuple(type(layer)(*map(_without_newest, layer)) for layer in longer)
    return logits_BV, longer


def _without_newest(part_BGSK: Any) -> Any:
    """Return keys or values of which the last row's newest are zeros."""
    part_BGSK = part_BGSK.clone()
    part_BGSK[-1, :, -1] = 0
    return part_BGSK


@mutant("generation.step", kills=("GEN-005",), bug="generic")
def rows_change_places_in_the_cache(
    honest: Honest, decoder: Any, ids_BT: Any, mask_BS: Any, at_BT: Any, cache: Any
) -> Any:
    """Behind the prompts, each row reads the past of its neighbour."""
    logits_BV, longer = honest(decoder, ids_BT, mask_BS, at_BT, cache)
    if cache is None:
        longer = tuple(type(x)(*(part.roll(1, dims=0) for part in x)) for x in longer)
    return logits_BV, longer


@mutant("generate", kills=("GEN-006",), bug="generic")
def prompt_of_one_token_doubled(honest: Honest, request: Any) -> Any:
    """A prompt of one token is fed twice."""
    prompts = tuple(prompt * 2 if len(prompt) == 1 else prompt for prompt in request.prompts)
    return honest(dataclasses.replace(request, prompts=prompts))


@mutant("generate", kills=("GEN-001",), bug="generic")
def first_token_of_the_prompt_dropped(honest: Honest, request: Any) -> Any:
    """The first token of a prompt is taken for one that begins a text, and dropped."""
    prompts = tuple(prompt[1:] if len(prompt) > 1 else prompt for prompt in request.prompts)
    return honest(dataclasses.replace(request, prompts=prompts))


@mutant("generate", kills=("GEN-007",), bug="generic")
def empty_prompt_begins_with_token_0(honest: Honest, request: Any) -> Any:
    """An empty prompt is continued behind token 0, which pads."""
    prompts = tuple(prompt or (0,) for prompt in request.prompts)
    return honest(dataclasses.replace(request, prompts=prompts))


@mutant("generate", kills=("GEN-009",), bug="generic", below_noise_at=("bf16",))
def long_prompts_lose_their_beginning(honest: Honest, request: Any) -> Any:
    """Of prompts that do not fit, the last tokens that do are continued."""
    model = honest.__self__._decoder  # type: ignore[attr-defined]  # noqa: SLF001  # of a method
    room = model.config.max_positions - request.max_new_tokens
    return honest(dataclasses.replace(request, prompts=tuple(p[-room:] for p in request.prompts)))


@mutant("generate", kills=("GEN-009",), bug="generic")
def long_prompts_lose_their_end(honest: Honest, request: Any) -> Any:
    """Of prompts that do not fit, the first tokens that do are continued."""
    model = honest.__self__._decoder  # type: ignore[attr-defined]  # noqa: SLF001  # of a method
    room = model.config.max_positions - request.max_new_tokens
    return honest(dataclasses.replace(request, prompts=tuple(p[:room] for p in request.prompts)))
