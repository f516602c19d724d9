"""Start or stop a farm by hand: ``python -m tests.farms start slurm /tmp/f``."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from tests.farms import htcondor, oar, sge, slurm
from tests.farms.farm import read_farm

SYSTEMS = {"slurm": slurm, "htcondor": htcondor, "sge": sge, "oar": oar}


def main(verb: str, system: str, folder: str) -> None:
    began = time.monotonic()
    if verb == "start":
        farm = SYSTEMS[system].start(Path(folder))
        for name, value in farm.environment.items():
            print(f"export {name}={value}")
    else:
        farm = read_farm(Path(folder))
        if farm is not None:
            SYSTEMS[system].stop(farm)
    print(f"# {time.monotonic() - began:.1f} s", file=sys.stderr)


if __name__ == "__main__":
    main(*sys.argv[1:])
