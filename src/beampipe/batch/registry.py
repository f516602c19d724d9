"""Every dialect, by the name that a site's profile gives."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from beampipe.batch.model import Dialect

DIALECTS: Final[Mapping[str, Dialect]] = MappingProxyType({})
