"""Where an error begins: the first layer, and in a graph the first operator.

Of a graph every inner value is shown, and each node is held against what it should have made of
the very values that it was given. So a runtime that computes one operator wrongly is told from a
graph that asks for something else, and both from an optimisation that is only wrong unwatched.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from conformance import judge, spec
from conformance.checked import guarded
from conformance.diagnosis.graph import BEHIND, Graph, contracts_by_type
from conformance.diagnosis.node import measured
from conformance.errors import CandidateFault, ConformanceError
from conformance.records import Divergence

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from conformance.candidate import Inspectable
    from conformance.checked import CheckedModel
    from conformance.diagnosis.graph import Values
    from conformance.diagnosis.node import Node
    from conformance.records import Measurement

    Array = NDArray[Any]

BUDGET_S = 30.0
"""Seconds after which no further operator is looked at."""
_MEMORY = 4 << 30
"""Bytes that all inner values of one pass may take: a runtime keeps those that are shown."""


def find(model: CheckedModel, *, taps: bool) -> Divergence | None:
    """Return where the error of a model's logits on the corpus begins; None where they are right.

    Args:
        model: the failing model; it is asked again.
        taps: whether the candidate claims to answer hidden states.
    """
    if model.contract.noise_rms is None or _logits(model, model.answer_BTV).ok:
        return None
    if getattr(model.candidate, "graph_file", None) is not None and _fits(model):
        try:
            return _Inspection(model).find(time.monotonic() + BUDGET_S)
        except CandidateFault:  # it has values that cannot be shown
            pass
    return _by_layers(model) if taps else None


def _fits(model: CheckedModel) -> bool:
    """Return whether all inner values of a pass over the corpus are held without danger.

    Of the suite's models it is what their graphs make: in a layer some twenty values of the model's
    width, eight of the feed-forward's, and six scores for each head and pair of tokens.
    """
    sizes, (rows, tokens) = model.package.sizes, model.corpus.input_ids_BT.shape
    a_token = 20 * sizes["hidden_size"] + 8 * sizes["intermediate_size"]
    a_token += 6 * sizes["num_attention_heads"] * tokens
    a_token = a_token * sizes["num_hidden_layers"] + model.vocab
    return bool(4 * rows * tokens * a_token <= _MEMORY)


def _logits(model: CheckedModel, answer_BTV: Array) -> Measurement:
    """Return the error of logits on the corpus, in noise units."""
    return measured(
        lambda: judge.within_noise(
            answer_BTV, model.exact_BTV, model.noise, model.contract, model.corpus.judged_BT
        )
    )


def _by_layers(model: CheckedModel) -> Divergence | None:
    try:
        first = _first_layer(model, model.taps)
    except (CandidateFault, ConformanceError):
        return None
    if first is None:
        text = (
            "the stream after every layer is within its noise: the error begins in the final norm "
            "or the head"
        )
        return Divergence("layer", BEHIND, text=text)
    layer, error = first
    text = f"the first layer whose output leaves its noise is {layer}, by {_size(error)}"
    return Divergence("layer", layer, error=error.observed, unit=error.unit, text=text)


def _first_layer(model: CheckedModel, states: Values) -> tuple[str, Measurement] | None:
    """Return the first layer whose output is more than noise away from the exact one."""
    for name, unit in model.ensemble.taps.items():
        error = measured(
            lambda name=name, unit=unit: judge.within_noise(  # type: ignore[misc]
                states[name],
                model.exact_taps[name],
                unit,
                model.contract,
                model.corpus.judged_BT,
                name,
            )
        )
        if not error.ok:
            return name, error
    return None


def _size(error: Measurement) -> str:
    """Return an error in words; bits and forms are not measured in anything."""
    seen = f"{error.observed:.3g} {error.unit}"
    return (
        f"{seen} that differ, at {error.where}" if error.limit == 0 else f"{seen} at {error.where}"
    )


@dataclass
class _Seen:
    """What came of looking at a graph's operators one by one."""

    judged: int = 0
    unjudged: set[str] = field(default_factory=set)
    first: tuple[Node, Measurement] | None = None

    def told(self, total: int) -> str:
        """Return in words how many operators were found right."""
        if self.judged == total:
            return "every operator computes what the graph asks"
        names = ", ".join(sorted(self.unjudged))
        why = f"nothing judges {names}" if names else "the time was spent"
        return f"{self.judged} of {total} operators compute what the graph asks ({why})"


class _Inspection:
    """A failing model's graph, looked into on the corpus."""

    def __init__(self, model: CheckedModel) -> None:
        candidate: Inspectable = model.candidate  # type: ignore[assignment]
        assert candidate.graph_file is not None
        contracts = contracts_by_type(model.contract, spec.load().contracts)
        self._model, self._candidate = model, candidate
        self._graph = Graph(candidate.graph_file, contracts)
        self._feed = candidate.feed(*model.corpus.inputs)

    def find(self, until: float) -> Divergence:
        """Return what is at fault: an optimisation, an operator, the graph, or nothing single."""
        nodes = self._graph.nodes
        shown = self._showing(nodes)
        if self._right(shown):
            return self._optimisation(until)
        seen = self._walk(shown, until)
        if seen.first is not None:
            return self._operator(*seen.first)
        return self._of_the_graph(seen)

    def _showing(self, nodes: Sequence[Node]) -> Callable[[Sequence[str]], Values]:
        """Open the graph with all that some nodes make as outputs."""
        names = [name for node in nodes for name in node.outputs]
        run = guarded("showing", lambda: self._candidate.showing(names))
        inputs = self._model.corpus.inputs

        def shown(wanted: Sequence[str]) -> Values:
            answers = guarded("showing", lambda: run(wanted, *inputs))
            return dict(zip(wanted, answers, strict=True))

        return shown

    def _right(self, shown: Callable[[Sequence[str]], Values]) -> bool:
        return _logits(self._model, shown(["logits"])["logits"]).ok

    def _walk(self, shown: Callable[[Sequence[str]], Values], until: float) -> _Seen:
        """Hold each operator against its own inputs, up to the first that is wrong."""

        def made(batch: Sequence[Node], _: Values) -> Values:
            return shown([name for node in batch for name in node.outputs])

        seen = _Seen()
        for batch, values in self._graph.walk(self._feed, made):
            for node in batch:
                error = node.judged(values)
                if error is None:
                    seen.unjudged.add(node.operator)
                elif not error.ok:
                    seen.first = node, error
                    return seen
                else:
                    seen.judged += 1
            if time.monotonic() > until:
                break
        return seen

    def _operator(self, node: Node, error: Measurement) -> Divergence:
        place = self._graph.place(node)
        text = (
            f"the first operator whose own error leaves its bound is {self._named(node)}: "
            f"{_size(error)}"
        )
        return Divergence(
            "operator", place, node.name, node.operator, error.observed, error.unit, text
        )

    def _named(self, node: Node) -> str:
        place = self._graph.place(node)
        return f"{node.name} ({node.operator})" + (f" in {place}" if place else "")

    def _of_the_graph(self, seen: _Seen) -> Divergence:
        """Return what the graph itself makes of the corpus, computed in fp64."""
        total = len(self._graph.nodes)
        told = seen.told(total)
        taps = self._graph.taps
        try:
            values = self._graph.exact(self._feed, ["logits", *taps.values()])
        except Exception:  # noqa: BLE001  # of an operator that the evaluator lacks, or not in fp64
            return Divergence("unknown", text=f"{told}; what it asks cannot be computed in fp64")
        error = _logits(self._model, values["logits"])
        if error.ok:
            if seen.judged == total:
                text = f"{told}, and the graph is the model: their roundings add up"
                return Divergence("rounding", text=text)
            return Divergence("unknown", text=f"{told}, and the graph is the model")
        text = f"{told}: the graph differs from the model"
        first = taps and _first_layer(self._model, {n: values[v] for n, v in taps.items()})
        if first:
            layer, error = first
            text += f", first in {layer}, which in fp64 is off by {_size(error)}"
        else:
            layer = BEHIND if taps else ""
            text += f", in {layer}" if taps else ""
            text += f"; in fp64 its logits are off by {_size(error)}"
        return Divergence("graph", layer, error=error.observed, unit=error.unit, text=text)

    def _optimisation(self, until: float) -> Divergence:
        """Return the first node whose result has to stay hidden for the fault to be there."""
        nodes = self._graph.inner
        if self._right(self._showing([])):
            text = "the fault was gone when the same graph was opened again"
            return Divergence("unrepeatable", text=text)
        cured, sick = 0, len(nodes)  # showing what follows the one cures, the other does not
        while sick - cured > 1 and time.monotonic() < until:
            middle = (cured + sick) // 2
            if self._right(self._showing(nodes[middle:])):
                cured = middle
            else:
                sick = middle
        text = (
            "the fault goes away when inner values are shown: an optimisation of the runtime is "
            "at fault"
        )
        if sick - cured > 1:
            return Divergence("optimisation", text=text)
        node = nodes[cured]
        text += f", one that hides the result of {self._named(node)}"
        place = self._graph.place(node)
        return Divergence("optimisation", place, node.name, node.operator, text=text)
