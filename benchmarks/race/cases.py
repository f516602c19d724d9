"""What is raced: queries over kinds of data, at two sizes each."""

from dataclasses import dataclass

QUERIES = ("q1", "q2", "q3", "q4", "q5", "q6", "q7", "q8", "dimuon")
NARROW_EVENTS, WIDE_EVENTS = 250_000, 100_000
CHUNKSIZE = 250_000
FEW, WIDE_EXTRA = 0, 1_381
"""With these a file has 119 branches, or 1,500."""


@dataclass(frozen=True)
class Data:
    """A kind of files.

    Attributes
    ----------
    name : str
        For folders, records and tables.
    events : int
        In each file.
    distinct : int
        How many files are made; more are copies of these under uuids of their own.
    """

    name: str
    extra_branches: int = FEW
    compression: str = "zlib"
    rntuple: bool = False
    events: int = NARROW_EVENTS
    distinct: int = 4


DATA = {
    data.name: data
    for data in (
        Data("narrow zlib"),
        Data("narrow zstd", compression="zstd"),
        Data("narrow lz4", compression="lz4"),
        Data("narrow lzma", compression="lzma"),
        Data("narrow RNTuple zstd", compression="zstd", rntuple=True),
        Data("wide zlib", WIDE_EXTRA, events=WIDE_EVENTS, distinct=1),
        Data("wide RNTuple zstd", WIDE_EXTRA, "zstd", rntuple=True, events=WIDE_EVENTS, distinct=1),
    )
}

# Files of the larger size, so that a run takes some seconds; the smaller size is a quarter.
FILES = {"q1": 192, "q2": 192, "q3": 96, "q4": 96, "q5": 48, "q6": 32, "q7": 32, "q8": 96}
FILES |= {"dimuon": 64}
WIDE_FILES = 32
SLOW_SHARE, SLOW_WIDE_FILES = 4, 3
"""Who takes many times as long gets fewer files: rates are compared, not seconds."""


@dataclass(frozen=True)
class Case:
    """A query over a kind of data."""

    query: str
    data: Data

    @property
    def name(self):
        return f"{self.query}, {self.data.name}"

    def sizes(self, *, slow=False, quick=False):
        """Numbers of files: a smaller and a larger one."""
        if quick:
            return (1, 2)
        if self.data.extra_branches:
            return (1, SLOW_WIDE_FILES) if slow else (SLOW_WIDE_FILES, WIDE_FILES)
        large = FILES[self.query]
        if self.data.compression == "lzma":
            large //= 4
        large //= SLOW_SHARE if slow else 1
        return (max(large // 4, 1), large)


def all_cases():
    """Every case of the full race: all queries on one kind of data, two queries on the others."""
    cases = [Case(query, DATA["narrow zlib"]) for query in QUERIES]
    for data in list(DATA.values())[1:]:
        queries = ("q5", "q8") if data.name == "wide zlib" else ("q5",)
        cases += [Case(query, data) for query in queries]
    return cases
