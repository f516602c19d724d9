"""Trees, opened and indexed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import awkward as ak
import numpy as np
import pytest
import uproot

from beampipe.datasets.counting import count_file
from beampipe.datasets.model import FileSpec
from beampipe.reading.index.making import make_index
from beampipe.reading.index.model import FileIndex
from beampipe.reading.index.reading import decode_column, fetch_ranges, plan_ranges
from beampipe.reading.index.template import LayoutTemplate
from beampipe.reading.trees import OpenTree, TreePool


class Indexed(NamedTuple):
    """An open tree, its index, and the template of its layout."""

    opened: OpenTree
    index: FileIndex
    template: LayoutTemplate

    @property
    def tree(self) -> Any:
        return self.opened.tree

    def read(self, name: str, start: int, stop: int) -> ak.Array:
        """Read a column through the index."""
        ranges = plan_ranges(self.index, self.template, [name], start=start, stop=stop)
        fetched = fetch_ranges(self.tree.file.source, ranges)
        return decode_column(self.index, self.template, fetched, name=name, start=start, stop=stop)


@pytest.fixture
def index_file() -> Iterator[Callable[..., Indexed]]:
    pool = TreePool(max_open=100)

    def make(path: Path, tree: str | None = None) -> Indexed:
        opened = pool.get(count_file(FileSpec((str(path),), tree), "DY"))
        return Indexed(opened, make_index(opened), LayoutTemplate(opened))

    yield make
    pool.close()


@pytest.fixture
def assert_equal() -> Callable[[ak.Array, ak.Array], None]:
    def check(found: ak.Array, due: ak.Array) -> None:
        assert found.layout.form == due.layout.form
        assert found.type == due.type
        left, right = ak.to_buffers(found)[2], ak.to_buffers(due)[2]
        assert left.keys() == right.keys()
        # Bits, not numbers: a NaN equals itself, and a zero has a sign.
        for key in left:
            assert left[key].tobytes() == right[key].tobytes(), key

    return check


@pytest.fixture
def write_types(tmp_path: Path) -> Callable[..., Path]:
    """Write a tree with a column of every type that uproot can write, in several baskets."""

    def write(
        name: str = "types.root", *, compression: Any = None, baskets: tuple[int, ...] = (70, 1, 40)
    ) -> Path:
        path = tmp_path / name
        with uproot.recreate(path, compression=compression) as file:
            start = 0
            for size in baskets:
                columns = every_type(start, start + size)
                if start == 0:
                    file.mktree("Events", {key: value.type for key, value in columns.items()})
                file["Events"].extend(columns)
                start += size
        return path

    return write


NUMBERS = ("bool", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8")


def every_type(start: int, stop: int) -> dict[str, ak.Array]:
    """Make the columns of some entries; those of one entry are always the same."""
    entries = np.arange(start, stop)
    counts = entries % 4
    columns = {}
    for number, kind in enumerate(NUMBERS):
        items = np.arange(int(counts.sum())) * 37 + start + number
        columns[f"flat_{kind}"] = ak.Array((entries * 91 + number).astype(kind))
        columns[f"fixed_{kind}"] = ak.Array(
            (entries[:, np.newaxis] * 31 + np.arange(3)).astype(kind)
        )
        columns[f"lists_{kind}"] = ak.unflatten(items.astype(kind), counts)
    columns["text"] = ak.Array([f"{'é' * (entry % 5)}#{entry}" for entry in entries.tolist()])
    columns["long_text"] = ak.Array(["x" * (250 + entry % 10) for entry in entries.tolist()])
    columns["nothing"] = ak.unflatten(np.zeros(0, dtype=np.float32), 0 * counts)
    return columns
