"""Plain Dask on a farm: its own ways to compute, and nothing of Beampipe's but the workers."""

from __future__ import annotations

import operator
from functools import reduce

import dask
import dask.array as da
import dask.bag as db
import dask.dataframe as dd
import numpy as np
import pandas as pd
from storytelling import PATIENCE_S, open_cluster, tell

WORDS = ["the", "beam", "pipe", "where", "the", "beam", "is"] * 50


def plain() -> dict[str, bool]:
    """Everything that people do with a client, beside NumPy, pandas and plain Python."""
    with open_cluster(n_workers=2) as cluster, cluster.get_client() as client:
        cluster.wait_for_workers(2, timeout=PATIENCE_S)
        return {
            "map": client.gather(client.map(operator.neg, range(200))) == [-k for k in range(200)],
            "delayed": fold_delayed() == sum(k * k for k in range(60)),
            "array": is_array_right(),
            "bag": dict(count_words()) == {word: WORDS.count(word) for word in set(WORDS)},
            "dataframe": is_frame_right(),
            "scattered": client.submit(sum, client.scatter(list(range(1000)))).result() == 499500,
        }


def fold_delayed() -> int:
    squares = [dask.delayed(operator.mul)(k, k) for k in range(60)]
    return reduce(dask.delayed(operator.add), squares).compute()


def is_array_right() -> bool:
    numbers = np.random.default_rng(7).integers(0, 1000, (600, 400))
    chunked = da.from_array(numbers, chunks=(100, 100))
    product = (chunked.T @ chunked).rechunk((200, 50)) + chunked.sum(axis=0)
    return np.array_equal(product.compute(), numbers.T @ numbers + numbers.sum(axis=0))


def count_words() -> list[tuple[str, int]]:
    return db.from_sequence(WORDS, npartitions=6).frequencies().compute()


def is_frame_right() -> bool:
    """A sum over groups, a join and a sort: the latter two move every row between workers."""
    random = np.random.default_rng(11)
    frame = pd.DataFrame({"key": random.integers(0, 40, 4000), "value": random.random(4000)})
    names = pd.DataFrame({"key": range(40), "name": [f"k{k}" for k in range(40)]})
    many, few = dd.from_pandas(frame, npartitions=8), dd.from_pandas(names, npartitions=3)
    sums = many.groupby("key").value.sum().compute().sort_index()
    joined = many.merge(few, on="key").compute().sort_values(["key", "value"])
    ordered = many.sort_values("value").value.compute()
    expected = frame.merge(names, on="key").sort_values(["key", "value"])
    return (
        np.allclose(sums, frame.groupby("key").value.sum().sort_index())
        and joined.name.tolist() == expected.name.tolist()
        and np.array_equal(ordered, frame.value.sort_values())
    )


if __name__ == "__main__":
    tell(plain)
