"""What was measured, one JSON object a line, so that a race goes on where it was stopped."""

import json

from benchmarks.race.places import BENCH


class Records:
    """The records of one kind of measurement.

    Attributes
    ----------
    path : Path
        ``build/bench/<name>.jsonl``.
    """

    def __init__(self, name):
        self.path = BENCH / f"{name}.jsonl"
        self.rows = []
        if self.path.exists():
            self.rows = [json.loads(line) for line in whole_lines(self.path.read_text())]

    def add(self, **row):
        """Append a record; it is on disk when this returns."""
        BENCH.mkdir(parents=True, exist_ok=True)
        torn = self.path.exists() and not self.path.read_text().endswith("\n")
        with self.path.open("a") as file:
            file.write(("\n" if torn and self.path.stat().st_size else "") + json.dumps(row) + "\n")
        self.rows.append(row)

    def has(self, **wanted):
        return bool(self.find(**wanted))

    def find(self, **wanted):
        return [row for row in self.rows if all(row.get(k) == v for k, v in wanted.items())]


def whole_lines(text):
    """Lines that were written to their end."""
    for line in text.splitlines():
        try:
            json.loads(line)
        except ValueError:
            continue
        yield line
