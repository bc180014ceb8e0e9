"""The config's schema, the record and the text agree, and each field's bugs and mutants exist."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from conformance import config_text, formats, mutants, schema
from reference_model import config as parts
from reference_model.errors import ConfigError
from reference_model.record import KINDS, from_json, to_json
from reference_model.zoo import MODELS

DOCUMENT = schema.schema_of("model-config")
BUGS = json.loads(Path(mutants.__file__).with_name("bugs.json").read_text(encoding="utf-8"))
RECORDS = {
    "decoder": (parts.ModelConfig, DOCUMENT),
    **{
        name: (KINDS.get(name.lower()) or getattr(parts, name.capitalize()), node)
        for name, node in DOCUMENT["$defs"].items()
    },
}
FIELDS = [
    (name, field, one)
    for name, (_, node) in RECORDS.items()
    for field, one in config_text.fields(node).items()
]
LEAVES = [(*one,) for one in FIELDS if "x-source" in one[2]]


def test_the_text_is_what_the_schema_makes_of_it():
    written = config_text.FILE.read_text(encoding="utf-8")
    assert written == config_text.text(), f"stale: run `{config_text.COMMAND}`"


@pytest.mark.parametrize("name", RECORDS)
def test_every_field_of_a_record_has_a_property_and_the_other_way_round(name):
    record, node = RECORDS[name]
    known = {field.name: field for field in dataclasses.fields(record)}
    assert set(config_text.fields(node)) - {"kind"} == set(known)
    given = {n for n, field in known.items() if field.default is dataclasses.MISSING}
    assert set(node["required"]) - {"kind"} == given
    neutral = {n: field.default for n, field in known.items() if n not in given}
    told = {n: one["default"] for n, one in config_text.fields(node).items() if "default" in one}
    assert told == {n: [] if value == frozenset() else value for n, value in neutral.items()}
    assert ("kind" in node["properties"]) == (record in KINDS.values())


@pytest.mark.parametrize(("_", "field", "one"), FIELDS)
def test_every_field_is_described_and_what_is_no_part_has_a_source(_, field, one):
    assert one["description"].endswith((".", ")."))
    is_part = {"$ref", "oneOf", "const"} & set(one)
    assert bool(is_part) != bool(one.get("x-source")), field


@pytest.mark.parametrize(("name", "field", "one"), LEAVES)
def test_a_fields_bugs_and_mutants_exist(name, field, one):
    known = {row["id"] for row in BUGS}
    assert set(one.get("x-bugs", ())) <= known, (name, field)
    assert set(one.get("x-mutants", ())) <= set(mutants.all_mutants()), (name, field)
    assert bool(one.get("x-mutants")) != bool(one.get("x-unmutated")), (name, field)


def differing(part, place="decoder"):
    """Yield the record and name of each field that is not neutral, or has no neutral value."""
    for field in dataclasses.fields(part):
        value = getattr(part, field.name)
        if dataclasses.is_dataclass(value):
            names = {kind: name for name, (kind, _) in RECORDS.items()}
            yield from differing(value, names[type(value)])
        elif value is not None and value != field.default:
            yield place, field.name


def test_every_field_that_a_suite_model_sets_has_a_mutant_or_says_why_not():
    told = {(name, field) for name, field, one in LEAVES}
    used = {one for model in MODELS.values() for one in differing(model.config)}
    assert used <= told
    assert told - used == {
        ("yarn", "attention_factor"),
        ("yarn", "mscale"),
        ("yarn", "mscale_all_dim"),
        ("longRope", "attention_factor"),
    }, "fields that no seeded model sets"


@pytest.mark.parametrize("name", MODELS)
def test_a_suite_models_config_is_written_valid_and_read_again(name):
    document = schema.parse(json.dumps(to_json(MODELS[name].config)).encode())
    formats.check("model-config", document)
    assert from_json(document) == MODELS[name].config


def test_what_is_absent_is_neutral_and_extensions_change_nothing():
    config = MODELS["llama-gqa"].config
    document = to_json(config)
    lean = {key: document[key] for key in DOCUMENT["required"]}
    assert from_json({**lean, "x": {"org.example": 1}}) == config


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"heads": 1}, r"/heads is no field of ModelConfig, which has vocab"),
        ({"norm": {}}, r"/norm/eps is missing"),
        ({"norm": 3}, r"/norm is 3; it has to be an object"),
        ({"rope": {"theta": 1e4, "scaling": {"kind": "ntk"}}}, r"/rope/scaling/kind is 'ntk'"),
        ({"rope": None}, r"positions are learned, or turn heads, or lower scores"),
        ({"vocab": "many"}, r"model config: "),
    ],
)
def test_a_document_that_is_no_config_is_refused(change, message):
    with pytest.raises(ConfigError, match=message):
        from_json({**to_json(MODELS["llama-gqa"].config), **change})
