"""A circuit breaker for each storage host: one that fails is left alone, and asked now and then."""

from __future__ import annotations

from dataclasses import dataclass, field

from beampipe.datasets.urls import host_of

__all__ = ["BreakerOptions", "Breakers", "host_of"]


@dataclass(frozen=True, slots=True)
class BreakerOptions:
    """How patient breakers are.

    Attributes
    ----------
    failures : int
        So many failures without a success in between open a breaker.
    first_pause_s, longest_pause_s : float
        How long nothing is sent to a host after it opened; twice as long after each probe that
        failed, up to the longest [s].
    patience_s : float
        After so long without a success a host is given up [s].
    """

    failures: int = 5
    first_pause_s: float = 5.0
    longest_pause_s: float = 60.0
    patience_s: float = 600.0


@dataclass(slots=True)
class _Breaker:
    """One host's; closed while `opened_at` is None."""

    failures: int = 0
    opened_at: float | None = None
    pause_s: float = 0.0
    next_probe_at: float = 0.0
    is_probing: bool = False


@dataclass(slots=True)
class Breakers:
    """The breakers of all hosts of a run; the clock is the caller's.

    For each chunk that is to be sent ask `holds`; send it where that says 0, and tell with
    `sent`. For each chunk that came back tell with `worked` or `failed`.

    Examples
    --------
    >>> breakers = Breakers(BreakerOptions(failures=2, first_pause_s=5))
    >>> breakers.failed("door.org", 0.0), breakers.failed("door.org", 1.0)
    (False, True)
    >>> breakers.holds("door.org", 2.0), breakers.holds("door.org", 6.0)
    (4.0, 0.0)
    >>> breakers.worked("door.org")
    True
    """

    options: BreakerOptions = BreakerOptions()
    _hosts: dict[str, _Breaker] = field(default_factory=dict)

    def failed(self, host: str, now: float) -> bool:
        """Tell that a chunk failed for a reason that lies with its host (a transient error).

        Parameters
        ----------
        host : str
            What `host_of` gave.
        now : float
            [s]

        Returns
        -------
        bool
            Whether this failure opened the breaker: worth telling the user.
        """
        breaker = self._hosts.setdefault(host, _Breaker())
        breaker.failures += 1
        if breaker.opened_at is None:
            if breaker.failures < self.options.failures:
                return False
            breaker.opened_at, breaker.pause_s = now, self.options.first_pause_s
            breaker.next_probe_at = now + breaker.pause_s
            return True
        if breaker.is_probing:
            breaker.is_probing = False
            breaker.pause_s = min(2 * breaker.pause_s, self.options.longest_pause_s)
            breaker.next_probe_at = now + breaker.pause_s
        # else it was sent before the breaker opened, and tells nothing new
        return False

    def worked(self, host: str) -> bool:
        """Tell that a chunk was read from a host.

        Returns
        -------
        bool
            Whether this closed an open breaker.
        """
        breaker = self._hosts.pop(host, None)
        return breaker is not None and breaker.opened_at is not None

    def sent(self, host: str, now: float) -> None:
        """Tell that a chunk was sent off; where the breaker is open, it is the probe."""
        breaker = self._hosts.get(host)
        if breaker is not None and breaker.opened_at is not None:
            breaker.is_probing = True
            # A probe whose worker dies never answers; then another one may go.
            breaker.next_probe_at = now + self.options.longest_pause_s

    def holds(self, host: str, now: float) -> float:
        """Tell how long nothing may be sent to a host.

        Parameters
        ----------
        host : str
            What `host_of` gave.
        now : float
            [s]

        Returns
        -------
        float
            0 if a chunk may go now: the breaker is closed, or it is time for a probe, or the host
            was given up, and chunks are to fail rather than to wait for ever [s].
        """
        breaker = self._hosts.get(host)
        if breaker is None or breaker.opened_at is None or self.is_given_up(host, now):
            return 0.0
        return max(0.0, breaker.next_probe_at - now)

    def is_open(self, host: str) -> bool:
        """Tell whether chunks of a host are held back but for probes."""
        breaker = self._hosts.get(host)
        return breaker is not None and breaker.opened_at is not None

    def is_given_up(self, host: str, now: float) -> bool:
        """Tell whether nothing has come from a host for too long; its chunks fail for good."""
        breaker = self._hosts.get(host)
        if breaker is None or breaker.opened_at is None:
            return False
        return now - breaker.opened_at >= self.options.patience_s

    @property
    def is_watching(self) -> bool:
        """Tell whether any host has failed since it worked last."""
        return bool(self._hosts)

    def open_hosts(self) -> tuple[str, ...]:
        """Give the hosts whose chunks are held back, sorted."""
        return tuple(sorted(host for host in self._hosts if self.is_open(host)))
