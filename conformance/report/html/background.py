"""What the measurements rest on: the models with their noise units, and the environment."""

from __future__ import annotations

from typing import TYPE_CHECKING

from conformance.report import _facts
from conformance.report.html.failures import scroller
from conformance.report.html.markup import Markup, element
from conformance.report.html.overview import definitions

if TYPE_CHECKING:
    from conformance.records import ModelRecord, Report

_NOISE_UNIT = (
    "A noise unit is the RMS error against exact arithmetic (fp64) that honest implementations of "
    "a model have at the claimed precision: the median over an ensemble of them. A candidate at "
    "1 noise unit rounds as well as they do; a fault lies far beyond the limit."
)
_HEADS = ("model", "build", "noise unit (RMS)", "largest error", "spread", "ensemble", "SHA-256")


def section(report: Report) -> Markup:
    """Return the models and the environment."""
    return element(
        "section",
        element("h2", "Models and environment", id="background"),
        element("p", _NOISE_UNIT, class_="prose"),
        _models("Models", report.models),
        *_of_second(report),
        element("h3", "Environment"),
        element("div", definitions(report.environment.items()), class_="card environment"),
        aria_labelledby="background",
    )


def _of_second(report: Report) -> list[Markup]:
    """Return the noise units by which the second candidate was judged, where there is one."""
    if report.against is None:
        return []
    title = "Models, for the second candidate"
    return [element("h3", title), _models(title, report.against.models)]


def _models(title: str, models: tuple[ModelRecord, ...]) -> Markup:
    if not models:
        return element("p", "No model was used.")
    heads = (element("th", head, scope="col") for head in _HEADS)
    rows = map(_model, models)
    table = element("table", element("thead", element("tr", *heads)), element("tbody", *rows))
    return scroller(title, table)


def _model(model: ModelRecord) -> Markup:
    noise = model.noise
    told = ["not measured", "", "", ""]
    if noise is not None:
        told = [
            _facts.number(noise.rms),
            _facts.number(noise.max),
            f"{noise.spread:.0%}",
            f"{noise.members} members, {noise.positions} positions",
        ]
    return element(
        "tr",
        element("th", model.name, scope="row"),
        element("td", model.build),
        *(element("td", text) for text in told),
        element("td", element("code", model.digest, class_="digest")),
    )
