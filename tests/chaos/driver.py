"""A driver: the process that calls `beampipe.run` or `beampipe.resume`, to be killed at will."""

import contextlib
import json
import threading
import time
import traceback
from pathlib import Path

from tests.chaos.gates import Gate


def main(arguments):
    """Do what the file that is the one argument asks for, and write how it went."""
    config = json.loads(Path(arguments[0]).read_text())
    shorten_epochs()
    for gate in config.get("gates", ()):
        Gate(**gate).install()
    answer = Path(config["answer"])
    try:
        told = act(config)
    except KeyboardInterrupt as error:
        told = {"ended": "interrupted", "code": getattr(error, "code", "KeyboardInterrupt")}
    except Exception as error:  # noqa: BLE001 (whatever it is, the harness is told)
        traceback.print_exc()
        told = {
            "ended": "error",
            "code": getattr(error, "code", type(error).__name__),
            "text": str(error),
            "why": str(getattr(error, "why", "")),
            "fix": str(getattr(error, "fix", "")),
        }
    temporary = answer.with_suffix(".tmp")
    temporary.write_text(json.dumps(told))
    temporary.replace(answer)
    return 0


def act(config):
    import beampipe as bp

    options = dict(config["options"])
    with found_client(config["cluster"], config) as client:
        if client is not None:
            options["client"] = client
        else:
            options["workers"] = config["cluster"]["workers"]
        if config["action"] == "resume":
            result = bp.resume(config["run_dir"], progress=False, **options)
        else:
            result = bp.run(
                config["processor"],
                config["fileset"],
                run_dir=config["run_dir"],
                schema=None,
                progress=False,
                **options,
            )
    return {"ended": result.status, "metrics": plain(result.metrics)}


def shorten_epochs():
    """Commit about as often as the scenario asks, also where the disk is slow.

    A real run takes care that commits cost less than a hundredth of its time; these are to have
    something to keep and something to lose within seconds.
    """
    from beampipe.execution import committing

    assert committing._OVERHEAD >= 1
    committing._OVERHEAD = 4


def plain(metrics):
    return {name: value for name, value in metrics.items() if isinstance(value, (int, float))}


@contextlib.contextmanager
def found_client(cluster, config):
    """A client as a user would have it; None for the embedded cluster."""
    if cluster["kind"] == "embedded":
        yield None
        return
    if cluster["kind"] == "inline":
        yield "inline"
        return
    from distributed import Client

    if cluster["kind"] == "local":
        from distributed import LocalCluster

        prepare_workers()
        with (
            LocalCluster(
                n_workers=cluster["workers"],
                threads_per_worker=1,
                memory_limit=cluster.get("memory_limit") or 0,
                dashboard_address=":0",
                silence_logs=50,
            ) as own,
            Client(own) as client,
        ):
            obey(own, Path(config["answer"]).with_name("scale"))
            yield client
        return
    with Client(cluster["address"], timeout="10s") as client:
        client.wait_for_workers(cluster["workers"], timeout=90)
        yield client


def prepare_workers():
    """Have them forked from a process that has imported everything: quicker, else the same."""
    import multiprocessing

    import distributed.utils
    from tests.chaos.nursery import PRELOADED

    multiprocessing.set_forkserver_preload(list(PRELOADED))
    distributed.utils._forkserver_preload_set = True


def obey(cluster, wish):
    """Scale the cluster to the number that the harness writes into a file."""

    def watch():
        while not wish.exists():
            time.sleep(0.02)
        cluster.scale(int(wish.read_text()))

    threading.Thread(target=watch, daemon=True).start()


if __name__ == "__main__":
    import sys

    sys.exit(main(sys.argv[1:]))
