"""Greedy generation by Transformers' own ``generate``: its cache, its stopping, its scores.

Its stop strings are text, and what is asked for are tokens. So each token is given a character of
its own, by which any sequence of tokens is a string. Shape letters: B batch, T tokens.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from conformance.adapters import _torch
from conformance.errors import Refused
from conformance.records import Continuation

if TYPE_CHECKING:
    from collections.abc import Sequence

    from conformance.records import GenerationRequest

_FIRST_CHARACTER = 0x10000
"""Of the characters that stand for tokens: from here on there are no surrogates."""
_LETTERS = "abcdef"
"""Transformers tries how a tokenizer joins tokens by this word."""


def generate(model: Any, request: GenerationRequest) -> list[Continuation]:
    """Return what ``model.generate`` adds to each prompt.

    Raises:
        Refused: a prompt is empty, or no token is to be added: ``generate`` refuses both.
    """
    import torch  # noqa: PLC0415

    from reference_model.generate import left_pad  # noqa: PLC0415

    if not all(map(len, request.prompts)) or request.max_new_tokens < 1:
        raise Refused("generate needs a token to begin with, and one to add")
    pad = _padding(request)
    ids_BT, mask_BT = left_pad(request.prompts, pad)
    with torch.no_grad():
        output = model.generate(
            _torch.to_tensor(ids_BT, "cpu"),
            attention_mask=_torch.to_tensor(mask_BT, "cpu"),
            generation_config=_settings(request, pad, model.config.vocab_size),
            tokenizer=_tokenizer(model) if request.stop_sequences else None,
        )
        scores_BT = model.compute_transition_scores(
            output.sequences, output.logits, normalize_logits=True
        )
    added_BT = output.sequences[:, ids_BT.shape[1] :].tolist()
    return [
        _continuation(prompt, tokens, scores, request, pad)
        for prompt, tokens, scores in zip(
            request.prompts, added_BT, scores_BT.tolist(), strict=True
        )
    ]


def _settings(request: GenerationRequest, pad: int, vocab: int) -> Any:
    from transformers import GenerationConfig  # noqa: PLC0415

    # Of rows that a stop string has ended, Transformers (5.23) pads the rest only where a token is
    # named that ends rows, too, and writes them on otherwise: so one is named that there is not.
    eos = list(request.eos_ids) or ([vocab] if request.stop_sequences else None)
    stops = ["".join(map(_character, stop)) for stop in request.stop_sequences]
    return GenerationConfig(
        do_sample=False,
        max_new_tokens=request.max_new_tokens,
        eos_token_id=eos,
        pad_token_id=pad,
        stop_strings=stops or None,
        return_dict_in_generate=True,
        output_logits=True,
    )


def _character(token: int) -> str:
    return chr(_FIRST_CHARACTER + token)


def _tokenizer(model: Any) -> Any:
    """Return a tokenizer whose tokens are one character each."""
    from tokenizers import Regex, Tokenizer, decoders  # noqa: PLC0415
    from tokenizers.models import WordLevel  # noqa: PLC0415
    from tokenizers.pre_tokenizers import Split  # noqa: PLC0415
    from transformers import PreTrainedTokenizerFast  # noqa: PLC0415

    words = [_character(token) for token in range(model.config.vocab_size)]
    vocabulary = {word: token for token, word in enumerate([*words, *_LETTERS])}
    tokenizer = Tokenizer(WordLevel(vocabulary, unk_token=_LETTERS[0]))
    tokenizer.pre_tokenizer = Split(Regex("."), "isolated")
    tokenizer.decoder = decoders.Fuse()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer)


def _padding(request: GenerationRequest) -> int:
    """Return a token that ends no row: what stands behind a row's end can then be told from it."""
    ending = {*request.eos_ids, *(stop[-1] for stop in request.stop_sequences)}
    return next(token for token in range(len(ending) + 1) if token not in ending)


def _continuation(
    prompt: Sequence[int],
    tokens: list[int],
    scores: list[float],
    request: GenerationRequest,
    pad: int,
) -> Continuation:
    """Return a row without the padding behind its end.

    A row that an end was found in is padded while others go on; one that was full is not, though it
    may end with the token that pads. So a full row is left whole, unless an end stands before what
    may be padding.
    """
    count = len(tokens)
    while count and tokens[count - 1] == pad:
        count -= 1
    ended = count > 0 and _ends([*prompt, *tokens[:count]], request)
    count = count if ended else len(tokens)
    logprobs = tuple(scores[:count]) if request.logprobs else None
    return Continuation(tuple(tokens[:count]), "stop" if ended else "length", logprobs)


def _ends(tokens: list[int], request: GenerationRequest) -> bool:
    """Return whether a row ends here; to Transformers a stop string may begin in the prompt."""
    if tokens[-1] in request.eos_ids:
        return True
    return any(tokens[-len(stop) :] == list(stop) for stop in request.stop_sequences)
