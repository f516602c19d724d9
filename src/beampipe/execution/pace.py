"""How long chunks take, learned as a run goes."""

from __future__ import annotations

from dataclasses import dataclass, field

_MOST_DATASETS = 10_000


@dataclass(slots=True)
class Pace:
    """How long a chunk takes, learned as the run goes.

    Attributes
    ----------
    chunk_s : float
        Of one chunk, on average over all datasets [s].
    longest_s : float
        Of one bundle, the longest so far [s].
    done : int
        Bundles that came back.
    """

    chunk_s: float = 0.0
    longest_s: float = 0.0
    done: int = 0

    _of: dict[str, _Mean] = field(default_factory=dict)

    def learn(self, seconds: float, chunks: int, dataset: str = "") -> None:
        """Take in a bundle that came back; later ones weigh more."""
        if chunks == 0:
            return
        mean = _Mean(self.chunk_s, self.done)
        mean.learn(seconds / chunks)
        self.chunk_s, self.done = mean.value, mean.n
        self.longest_s = max(self.longest_s, seconds)
        if dataset in self._of or len(self._of) < _MOST_DATASETS:
            self._of.setdefault(dataset, _Mean()).learn(seconds / chunks)

    def of(self, dataset: str) -> float:
        """How long a chunk of a dataset takes; what all take where none has come back [s]."""
        mean = self._of.get(dataset)
        return self.chunk_s if mean is None else mean.value


@dataclass(slots=True)
class _Mean:
    """A mean in which later values weigh more."""

    value: float = 0.0
    n: int = 0

    def learn(self, value: float) -> None:
        self.value += max(0.1, 1.0 / (self.n + 1)) * (value - self.value)
        self.n += 1
