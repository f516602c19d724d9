"""Asks HTCondor through its Python bindings, and prints what HTCondor's own commands would print.

``python -m beampipe.clusters.condor_calls {check,submit,query,history,nodes,remove,release} ...``

A process of its own, since the bindings keep Python's lock while they wait: asked by the process of
a scheduler, a queue that does not answer would stop that scheduler, for twenty seconds at a time.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Iterable
from typing import Any, Final

_JOB_ID: Final = re.compile(r"(\d+)\.(\d+)")
# What the bindings raise, besides errors of their own: where a value is not as they want it.
_RAISED: Final = (OSError, RuntimeError, ValueError, KeyError, TypeError, MemoryError)


def check(options: argparse.Namespace) -> str:
    """Ask a queue for nothing; the version of the bindings."""
    import htcondor2

    _find_schedd(options).query("false", ["ClusterId"], limit=1)
    found = re.search(r"\d+\.\d+\.\d+", htcondor2.version())
    return json.dumps({"version": found[0] if found else htcondor2.version()})


def submit(options: argparse.Namespace) -> str:
    """Submit the description on standard input; the first and the last job, as by ``-terse``."""
    import htcondor2

    result = _find_schedd(options).submit(htcondor2.Submit(sys.stdin.read()))
    first = result.first_proc()
    last = first + result.num_procs() - 1
    return f"{result.cluster()}.{first} - {result.cluster()}.{last}"


def query(options: argparse.Namespace) -> str:
    """The jobs of the queue for which a condition holds."""
    return _write(_find_schedd(options).query(options.constraint, options.attributes.split(",")))


def history(options: argparse.Namespace) -> str:
    """Jobs that have left the queue."""
    wanted = [f"(ClusterId == {job[0]} && ProcId == {job[1]})" for job in map(_split, options.jobs)]
    return _write(
        _find_schedd(options).history(
            " || ".join(wanted), options.attributes.split(","), match=len(wanted)
        )
    )


def nodes(options: argparse.Namespace) -> str:
    """The names of the pool's nodes, one for each slot."""
    import htcondor2

    ads = htcondor2.Collector(options.pool).query(htcondor2.AdType.Startd, projection=["Machine"])
    return "\n".join(str(ad["Machine"]) for ad in ads)


def act(options: argparse.Namespace) -> str:
    """Remove or release jobs; how many."""
    import htcondor2

    action = {"remove": htcondor2.JobAction.Remove, "release": htcondor2.JobAction.Release}
    found = _find_schedd(options).act(action[options.verb], options.jobs)
    if found is not None and found.get("TotalPermissionDenied"):
        raise OSError(f"{found['TotalPermissionDenied']} of these jobs are somebody else's")
    return f"{found.get('TotalSuccess', 0) if found is not None else 0} jobs"


def _split(job_id: str) -> tuple[int, int]:
    match = _JOB_ID.fullmatch(job_id)
    if match is None:
        raise ValueError(f"'{job_id}' is no job")
    return int(match[1]), int(match[2])


def _find_schedd(options: argparse.Namespace) -> Any:
    """The queue of this host, or the one that is named."""
    import htcondor2

    if not options.name:
        return htcondor2.Schedd()
    found = htcondor2.Collector(options.pool).locate(htcondor2.DaemonType.Schedd, options.name)
    if found is None:
        raise OSError(f"the pool has no queue '{options.name}'")
    return htcondor2.Schedd(found)


def _write(ads: Iterable[Any]) -> str:
    return "[\n" + "\n,\n".join(ad.printJson() for ad in ads) + "\n]"


def _parse(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="beampipe.clusters.condor_calls")
    parser.add_argument("-name", default=None, help="which queue")
    parser.add_argument("-pool", default=None, help="of which pool")
    verbs = parser.add_subparsers(dest="verb", required=True)
    for name in ("check", "submit", "nodes"):
        verbs.add_parser(name)
    asking = verbs.add_parser("query")
    asking.add_argument("-constraint", required=True)
    asking.add_argument("-attributes", required=True)
    past = verbs.add_parser("history")
    past.add_argument("-attributes", required=True)
    for parsed in (past, verbs.add_parser("remove"), verbs.add_parser("release")):
        parsed.add_argument("jobs", nargs="+")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Do what the arguments say; what HTCondor says against it goes to standard error."""
    options = _parse(sys.argv[1:] if argv is None else argv)
    verbs = {"check": check, "submit": submit, "query": query, "history": history, "nodes": nodes}
    try:
        from htcondor2 import HTCondorException

        raised = (*_RAISED, HTCondorException)
    except ImportError as error:
        sys.stderr.write(f"htcondor2 cannot be imported: {error}\n")
        return 1
    try:
        sys.stdout.write(f"{verbs.get(options.verb, act)(options)}\n")
    except raised as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
