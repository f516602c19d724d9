"""Every dialect, by the name that a site's profile gives."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from beampipe.batch.htcondor import HTCondor
from beampipe.batch.lsf import LSF
from beampipe.batch.moab import Moab
from beampipe.batch.model import Dialect
from beampipe.batch.oar import OAR
from beampipe.batch.pbs import PBS
from beampipe.batch.sge import GridEngine
from beampipe.batch.slurm import Slurm
from beampipe.batch.torque import Torque

_ALL: Final = (Slurm(), HTCondor(), GridEngine(), PBS(), Torque(), LSF(), OAR(), Moab())
DIALECTS: Final[Mapping[str, Dialect]] = MappingProxyType(
    {dialect.name: dialect for dialect in _ALL}
)
