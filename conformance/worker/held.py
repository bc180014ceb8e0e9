"""What lives in the child, as the parent sees it: forgotten there when it is forgotten here."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

from conformance.errors import CandidateCrashed, MalformedOutput
from conformance.worker import tokenizer
from conformance.worker.supervisor import handle_in

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from conformance.worker.supervisor import Supervisor
    from conformance.worker.wire import Message

    Array = NDArray[Any]
    Ints = NDArray[np.int64]


class Remote:
    """An object in the child, forgotten there when it is forgotten here."""

    def __init__(self, supervisor: Supervisor, life: int, answer: Message) -> None:
        self.life, self.handle = life, handle_in(answer)
        weakref.finalize(self, supervisor.drop, life, self.handle).atexit = False


class Held:
    """What a model in the child has made; it dies with that child."""

    def __init__(self, supervisor: Supervisor, remote: Remote) -> None:
        self._supervisor, self._remote = supervisor, remote

    def _ask(self, verb: str, arrays: dict[str, Array] | None = None, **fields: Any) -> Message:
        if not self._supervisor.lives(self._remote.life):
            raise CandidateCrashed(
                "its session is gone: the candidate's process that held it has ended; start a new "
                "session"
            )
        handle, seconds = self._remote.handle, self._supervisor.limits.call_s
        return self._supervisor.ask(verb, arrays or {}, seconds, handle=handle, **fields)


class Shown(Held):
    """A graph in the child that shows inner values."""

    def __call__(self, wanted: Sequence[str], *tokens: Ints) -> list[Array]:
        """Return some of its outputs, in order, for token ids, mask and positions."""
        found = self._ask("shown", tokens_out(*tokens), wanted=list(wanted)).arrays
        return [found[name] for name in wanted]


class Stream(Held):
    """A stream of text in the child."""

    def add(self, token: int) -> str:
        """Take one more id; return the text that it completes."""
        return tokenizer.text_in(self._ask("add", token=int(token)))

    def finish(self) -> str:
        """Return what is left."""
        return tokenizer.text_in(self._ask("finish"))


class Session(Held):
    """A key/value cache in the child."""

    def append(self, input_ids_BT: Ints, attention_mask_BS: Ints, position_ids_BT: Ints) -> Array:
        """Feed T more tokens; return their logits (B, T, V)."""
        return only(
            self._ask("append", tokens_out(input_ids_BT, attention_mask_BS, position_ids_BT))
        )

    def copy(self) -> Session:
        """Return an independent session in the same state."""
        answer = self._ask("copy")
        return Session(self._supervisor, Remote(self._supervisor, self._remote.life, answer))

    def crop(self, length: int) -> None:
        """Forget everything after the first ``length`` tokens."""
        self._ask("crop", length=int(length))

    def reorder(self, rows: Sequence[int]) -> None:
        """Make row i of the cache what row ``rows[i]`` was."""
        self._ask("reorder", rows=[int(row) for row in rows])


class TargetSession(Held):
    """A cache of an encoder-decoder in the child."""

    def append_target(self, target_ids_BT: Ints) -> Array:
        """Feed T more target tokens; return their logits (B, T, V)."""
        return only(self._ask("append_target", {"target_ids": target_ids_BT}))

    def reorder_target(self, rows: Sequence[int]) -> None:
        """Make row i what row ``rows[i]`` was, its source too."""
        self._ask("reorder_target", rows=[int(row) for row in rows])


def tokens_out(input_ids: Ints, attention_mask: Ints, position_ids: Ints) -> dict[str, Array]:
    """Return the arrays of a decoder's inputs by name."""
    return {"input_ids": input_ids, "attention_mask": attention_mask, "position_ids": position_ids}


def only(answer: Message, name: str = "logits") -> Array:
    """Return the one array of an answer.

    Raises:
        MalformedOutput: it has others.
    """
    if set(answer.arrays) != {name}:
        raise MalformedOutput(f"the candidate answered {sorted(answer.arrays)}, not {name!r}")
    return answer.arrays[name]
