"""How values are kept: a tree in JSON, arrays in NumPy's format, in one zip archive.

What a member is called and what every kind of node looks like is written down in
``docs/reference/run-format.md``, so that a value can be read without Beampipe.
"""

from __future__ import annotations

from beampipe.execution.encoding.codec import VERSION, needs_pickle, read_value, write_value

__all__ = ["VERSION", "needs_pickle", "read_value", "write_value"]
