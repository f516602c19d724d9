"""What a run computes, digested so that it is the same in every process."""

from __future__ import annotations

from beampipe.execution.identity.comparing import Difference, compare
from beampipe.execution.identity.identify import digest_metadata, identify
from beampipe.execution.identity.model import Identity, Part

__all__ = ["Difference", "Identity", "Part", "compare", "digest_metadata", "identify"]
