from __future__ import annotations

import awkward as ak
import numpy as np
import pytest
import uproot

from beampipe.reading.layouts import layout_key
from beampipe.reading.trees import TreePool, is_rntuple


@pytest.fixture
def key_of(entry_of):
    pool = TreePool(max_open=20)

    def find(path, tree=None):
        return layout_key(pool.get(entry_of(path, tree=tree)))

    yield find
    pool.close()


@pytest.fixture
def write(tmp_path):
    def make(name, columns, *, tree="t", title="", rntuple=False):
        path = tmp_path / name
        with uproot.recreate(path) as file:
            if rntuple:
                file.mkrntuple(tree, {key: value.dtype for key, value in columns.items()})
            else:
                types = {key: (value.dtype, value.shape[1:]) for key, value in columns.items()}
                file.mktree(tree, types, title=title)
            file[tree].extend(columns)
        return path

    return make


X = np.arange(6, dtype=np.float32)


def test_files_with_the_same_columns_share_a_key(key_of, write, write_events):
    assert key_of(write("a.root", {"x": X})) == key_of(write("b.root", {"x": X[:2] * 3}))
    assert key_of(write_events("c.root")) == key_of(write_events("d.root", clusters=(7,)))


@pytest.mark.parametrize(
    "other",
    [
        {"y": X},
        {"x": X.astype(np.float64)},
        {"x": X.astype(np.int32)},
        {"x": X.astype(np.uint32)},
        {"x": X.reshape(3, 2)},
        {"x": X, "y": X},
    ],
)
def test_other_columns_have_another_key(key_of, write, other):
    assert key_of(write("a.root", {"x": X})) != key_of(write("b.root", other))


def test_order_and_sign_and_length_count(key_of, write):
    one = key_of(write("a.root", {"x": X, "y": X}))
    assert one != key_of(write("b.root", {"y": X, "x": X}))
    assert key_of(write("c.root", {"x": X.astype(np.int32)})) != key_of(
        write("d.root", {"x": X.astype(np.uint32)})
    )
    assert key_of(write("e.root", {"x": X.reshape(3, 2)})) != key_of(
        write("f.root", {"x": X.reshape(2, 3)})
    )


def test_the_longest_string_of_a_file_does_not_count(key_of, tmp_path):
    keys = []
    for text in ("a", "a longer one"):
        with uproot.recreate(tmp_path / f"{len(text)}.root") as file:
            file.mktree("t", {"text": "string"}).extend({"text": ak.Array([text])})
        keys.append(key_of(tmp_path / f"{len(text)}.root"))
    assert keys[0] == keys[1]


def test_the_trees_title_counts_as_events_carry_it(key_of, write):
    assert key_of(write("a.root", {"x": X}, title="data")) != key_of(
        write("b.root", {"x": X}, title="simulation")
    )


def test_rntuples_share_a_key_by_their_header(key_of, write):
    one = key_of(write("a.root", {"x": X}, rntuple=True))
    assert one == key_of(write("b.root", {"x": X[:2]}, rntuple=True))
    assert one != key_of(write("c.root", {"x": X.astype(np.int32)}, rntuple=True))
    assert one.startswith("rntuple ")


def test_real_files_have_keys_of_their_own(key_of, real_data):
    keys = [key_of(path) for path in sorted(real_data.glob("*.root"))]
    assert len(set(keys)) == len(keys)
    assert sum(key.startswith("rntuple") for key in keys) == 2


def test_a_tree_of_objects_is_only_like_itself(entry_of, write, monkeypatch):
    with TreePoolOf(entry_of(write("a.root", {"x": X}))) as opened:
        monkeypatch.setattr(type(opened.tree["x"]), "classname", "TBranchElement")
        assert opened.uuid in layout_key(opened)


def test_the_two_kinds_are_told_apart(real_data):
    with uproot.open({str(real_data / "nano_dy.root"): "Events"}) as tree:
        assert not is_rntuple(tree)
    with uproot.open({str(real_data / "nano_dy_rntuple.root"): "Events"}) as tree:
        assert is_rntuple(tree)


class TreePoolOf:
    def __init__(self, entry):
        self.pool, self.entry = TreePool(), entry

    def __enter__(self):
        return self.pool.get(self.entry)

    def __exit__(self, *_):
        self.pool.close()
