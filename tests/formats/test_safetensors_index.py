"""Indexes with their shards: the shards hold what the index says, inside the folder."""

import json

import numpy as np
import pytest
from safetensors.numpy import save_file

from conformance import formats
from conformance.errors import FormatError
from conformance.formats import safetensors_index

ONE, TWO = "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"
INDEX = "model.safetensors.index.json"


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    save_file({"a": np.zeros(2, np.float32)}, folder / ONE)
    save_file({"b": np.zeros(3, np.float32)}, folder / TWO)
    return folder


def refused(folder, total=20, **weight_map):
    document = {"metadata": {"total_size": total}, "weight_map": weight_map}
    (folder / INDEX).write_text(json.dumps(document))
    with pytest.raises(FormatError) as caught:
        formats.check_file("safetensors-index", folder / INDEX)
    assert caught.value.file
    return caught.value.code, caught.value.pointer


def test_whole_index_locates_every_tensor(folder):
    document = {"metadata": {"total_size": 20}, "weight_map": {"a": ONE, "b": TWO}}
    (folder / INDEX).write_text(json.dumps(document))
    places = safetensors_index.read_shards(folder / INDEX)
    assert {name: path.name for name, (path, _) in places.items()} == {"a": ONE, "b": TWO}


def test_missing_shard_is_refused(folder):
    (folder / TWO).unlink()
    assert refused(folder, a=ONE, b=TWO) == ("L3-MISSING-SHARD", "/weight_map/b")


def test_tensor_that_no_shard_holds_is_refused(folder):
    assert refused(folder, a=ONE, b=TWO, c=TWO) == ("L3-MISSING-TENSOR", "/weight_map/c")


def test_tensor_that_the_index_does_not_name_is_refused(folder):
    save_file({"b": np.zeros(3, np.float32), "c": np.zeros(1, np.float32)}, folder / TWO)
    assert refused(folder, a=ONE, b=TWO) == ("L3-EXTRA-TENSOR", "/weight_map")


def test_tensor_in_another_shard_is_refused(folder):
    assert refused(folder, a=TWO, b=ONE) == ("L3-WRONG-SHARD", "/weight_map/a")


def test_wrong_total_size_is_refused(folder):
    assert refused(folder, total=21, a=ONE, b=TWO) == ("L3-TOTAL-SIZE", "/metadata/total_size")


def test_malformed_shard_is_told_by_its_own_name(folder):
    (folder / TWO).write_bytes(b"short")
    (folder / INDEX).write_text(
        json.dumps({"metadata": {"total_size": 20}, "weight_map": {"a": ONE, "b": TWO}})
    )
    with pytest.raises(FormatError, match=TWO):
        formats.check_file("safetensors-index", folder / INDEX)


def test_link_that_leads_out_is_refused(folder, tmp_path):
    (folder / TWO).rename(tmp_path / "outside.safetensors")
    (folder / TWO).symlink_to(tmp_path / "outside.safetensors")
    assert refused(folder, a=ONE, b=TWO) == ("L3-LINK", "/weight_map/b")


def test_links_of_the_hub_cache_stay_inside(tmp_path):
    snapshot, blobs = tmp_path / "snapshots" / "abc", tmp_path / "blobs"
    snapshot.mkdir(parents=True)
    blobs.mkdir()
    (blobs / "123").write_bytes(b"")
    (tmp_path / "secret").write_bytes(b"")
    (snapshot / "x").symlink_to("../../blobs/123")
    (snapshot / "y").symlink_to("../../secret")
    assert safetensors_index.stays_inside(snapshot / "x", snapshot)
    assert not safetensors_index.stays_inside(snapshot / "y", snapshot)
