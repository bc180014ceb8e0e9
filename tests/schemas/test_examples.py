"""Every example of every kind, by our own layers and by two validators that know nothing of us."""

import json
from functools import cache
from pathlib import Path

import jsonschema_rs
import pytest
from jsonschema import Draft202012Validator
from referencing import Registry, Resource

from conformance import formats, schema
from conformance.errors import FormatError

EXAMPLES = schema.SCHEMAS / "examples"
LAYERS = {"bytes": "L0", "json": "L1", "schema": "L2", "semantic": "L3"}
VALID = sorted(EXAMPLES.glob("*/valid/*.json"))
INVALID = sorted(p for p in EXAMPLES.glob("*/invalid/*.json") if ".expected." not in p.name)


def name_of(path: Path) -> str:
    return f"{path.parent.parent.name}/{path.stem}"


def kind_of(path: Path) -> str:
    return path.parent.parent.name


@cache
def plain_validators(kind: str):
    schemas = {name: schema.schema_of(name) for name in schema.kinds()}
    pairs = [(one["$id"], one) for one in schemas.values()]
    python = Draft202012Validator(
        schemas[kind],
        registry=Registry().with_resources([(i, Resource.from_contents(s)) for i, s in pairs]),
    )
    rust = jsonschema_rs.validator_for(schemas[kind], registry=jsonschema_rs.Registry(pairs))
    return python, rust


def accepted(kind: str, document: object) -> bool:
    python, rust = plain_validators(kind)
    verdicts = {python.is_valid(document), rust.is_valid(document)}
    assert len(verdicts) == 1, "the two validators disagree"
    return verdicts.pop()


@pytest.mark.parametrize("path", VALID, ids=name_of)
def test_valid_example_passes_every_layer_and_both_validators(path):
    document = schema.parse(path.read_bytes())
    formats.check(kind_of(path), document)
    assert accepted(kind_of(path), document)


@pytest.mark.parametrize("path", VALID, ids=name_of)
def test_valid_example_survives_canonical_writing(path):
    document = schema.parse(path.read_bytes())
    assert schema.parse(schema.dump(document)) == document


@pytest.mark.parametrize("path", INVALID, ids=name_of)
def test_invalid_example_is_refused_as_its_side_car_says(path):
    expected = json.loads(path.with_suffix(".expected.json").read_bytes())
    with pytest.raises(FormatError) as caught:
        formats.check(kind_of(path), schema.parse(path.read_bytes()))
    assert {"code": caught.value.code, "pointer": caught.value.pointer} == {
        "code": expected["code"],
        "pointer": expected["pointer"],
    }
    assert expected["code"].startswith(LAYERS[expected["layer"]])


@pytest.mark.parametrize("path", INVALID, ids=name_of)
def test_both_validators_refuse_what_fails_the_schema_and_nothing_else(path):
    layer = json.loads(path.with_suffix(".expected.json").read_bytes())["layer"]
    if layer in {"bytes", "json"}:
        with pytest.raises(FormatError, match=rf"\[{LAYERS[layer]}-"):
            schema.parse(path.read_bytes())
    else:
        assert accepted(kind_of(path), json.loads(path.read_bytes())) == (layer == "semantic")


@pytest.mark.parametrize("kind", schema.kinds())
def test_every_kind_has_enough_examples(kind):
    assert len([p for p in VALID if kind_of(p) == kind]) >= 3
    assert len([p for p in INVALID if kind_of(p) == kind]) >= 6


def test_every_side_car_belongs_to_an_example():
    side_cars = {
        p.name.removesuffix(".expected.json") for p in EXAMPLES.glob("*/*/*.expected.json")
    }
    assert side_cars == {p.stem for p in INVALID}
