"""Who takes part, and how each of them runs a query.

A stand is a process; it opens what its contestants need (a cluster, a pool) and gives one
function for each of them, which takes the name of a query and the files' paths.
"""

import contextlib
import tempfile
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from benchmarks.queries.columns import COLUMNS
from benchmarks.race.cases import CHUNKSIZE
from benchmarks.race.stand import local_cluster

WORKERS = 2


@dataclass(frozen=True)
class Contestant:
    """One row of the table.

    Attributes
    ----------
    label : str
        For people.
    stand : str
        The process that it runs in.
    form : str
        How the query is written: results of one form are equal bit by bit.
    slow : bool
        Gets fewer files.
    is_everywhere : bool
        Whether it takes part on every kind of data, or on narrow files with zlib alone.
    """

    label: str
    stand: str
    form: str
    slow: bool = False
    is_everywhere: bool = True


CONTESTANTS = {
    "beampipe": Contestant("Beampipe, LocalCluster(2)", "beampipe", "NanoEvents"),
    "numba": Contestant("Beampipe, numba kernels, LocalCluster(2)", "beampipe", "kernels"),
    "embedded": Contestant("Beampipe, embedded(2)", "embedded", "NanoEvents", is_everywhere=False),
    "second": Contestant("Beampipe, second run (column cache)", "second", "NanoEvents"),
    "coffea-dask": Contestant("coffea DaskExecutor(2)", "coffea-dask", "NanoEvents", slow=True),
    "coffea-futures": Contestant("coffea FuturesExecutor(2)", "coffea", "NanoEvents", slow=True),
    "coffea-iterative": Contestant(
        "coffea IterativeExecutor", "coffea", "NanoEvents", slow=True, is_everywhere=False
    ),
    "rdataframe": Contestant("RDataFrame MT(2)", "rdataframe", "C++"),
    "loop": Contestant("uproot.iterate by hand, futures(2)", "loop", "loop", slow=True),
    "floor": Contestant("floor: read and decompress, 2 threads", "floor", "none"),
}


def run_beampipe(processor, paths, **options):
    import beampipe

    # `fresh`: what an earlier round did must not be taken for done.
    with tempfile.TemporaryDirectory(prefix="beampipe-benchmark-") as folder:
        return beampipe.run(
            processor,
            {"data": paths},
            chunksize=CHUNKSIZE,
            run_dir=Path(folder) / "run",
            fresh=True,
            progress=False,
            **options,
        )


@contextlib.contextmanager
def beampipe_on_dask():
    import kernels
    import nano

    with local_cluster() as client:
        yield {
            "beampipe": lambda query, paths: run_beampipe(nano.Query(query), paths, client=client),
            "second": lambda query, paths: run_beampipe(nano.Query(query), paths, client=client),
            "numba": lambda query, paths: run_beampipe(
                kernels.QUERIES[query], paths, client=client
            ),
        }


@contextlib.contextmanager
def beampipe_embedded():
    import nano

    yield {"embedded": lambda query, paths: run_beampipe(nano.Query(query), paths, workers=WORKERS)}


def run_coffea(executor, analysis, paths):
    from coffea import processor
    from coffea.nanoevents import NanoAODSchema

    runner = processor.Runner(executor, chunksize=CHUNKSIZE, schema=NanoAODSchema)
    fileset = {"data": {"files": dict.fromkeys(paths, "Events")}}
    return runner(fileset, analysis)


@contextlib.contextmanager
def coffea_on_dask():
    import nano
    from coffea import processor

    with local_cluster() as client:
        executor = processor.DaskExecutor(client=client, status=False)
        yield {"coffea-dask": lambda query, paths: run_coffea(executor, nano.Query(query), paths)}


@contextlib.contextmanager
def coffea_here():
    """Its pool stays: by default coffea starts one for every run, which costs seconds."""
    import loky
    import nano
    from coffea import processor

    with loky.ProcessPoolExecutor(max_workers=WORKERS) as pool:
        futures = processor.FuturesExecutor(pool=pool, status=False)
        iterative = processor.IterativeExecutor(status=False)
        yield {
            "coffea-futures": lambda query, paths: run_coffea(futures, nano.Query(query), paths),
            "coffea-iterative": lambda query, paths: run_coffea(
                iterative, nano.Query(query), paths
            ),
        }


def loop_over_file(query, path):
    import loops
    import uproot

    total = None
    for arrays in uproot.iterate({path: "Events"}, COLUMNS[query], step_size=CHUNKSIZE, how=dict):
        found = loops.QUERIES[query](arrays)
        total = found if total is None else {name: total[name] + found[name] for name in found}
    return total


@contextlib.contextmanager
def loop_by_hand():
    with ProcessPoolExecutor(WORKERS) as pool:

        def run(query, paths):
            parts = list(pool.map(loop_over_file, [query] * len(paths), paths))
            return {name: sum(part[name] for part in parts) for name in parts[0]}

        yield {"loop": run}


@contextlib.contextmanager
def floor():
    from benchmarks.race.floor import run_floor

    yield {"floor": run_floor}


STANDS = {
    "beampipe": beampipe_on_dask,
    "second": beampipe_on_dask,
    "embedded": beampipe_embedded,
    "coffea-dask": coffea_on_dask,
    "coffea": coffea_here,
    "loop": loop_by_hand,
    "floor": floor,
}
