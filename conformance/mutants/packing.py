"""Faults in rows that hold several documents. B batch, T tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from conformance.mutants import mutant

if TYPE_CHECKING:
    from collections.abc import Callable

    Honest = Callable[..., Any]


@mutant("within_documents", kills=("PACK-001",), bug="generic")
def documents_see_those_before_them(_: Honest, allowed_B1TS: Any, document_ids_BT: Any) -> Any:  # noqa: ARG001
    """A document sees all that stands before it in its row."""
    return allowed_B1TS


@mutant("within_documents", kills=("PACK-001",), bug="generic")
def a_document_begins_a_token_late(honest: Honest, allowed_B1TS: Any, of_BT: Any) -> Any:
    """The first token of a document is counted to the one before it."""
    late_BT = of_BT.clone()
    late_BT[:, 1:] = of_BT[:, :-1]
    return honest(allowed_B1TS, late_BT)


@mutant("within_documents", kills=("PACK-001",), bug="generic")
def borders_of_the_first_row_are_of_all(honest: Honest, allowed_B1TS: Any, of_BT: Any) -> Any:
    """All rows of a batch have the borders of its first."""
    return honest(allowed_B1TS, of_BT[:1].expand_as(of_BT))


@mutant("packed_logits", kills=("PACK-001",), bug="generic")
def positions_run_on_through_a_packed_row(honest: Honest, ids_BT: Any, of_BT: Any, _: Any) -> Any:
    """Positions do not begin anew; rotations do not tell, learned positions do."""
    return honest(ids_BT, of_BT, np.indices(ids_BT.shape)[1])
