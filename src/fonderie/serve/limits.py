"""How often one may ask: token buckets, in memory only."""

import math
from collections import OrderedDict
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address, ip_network

MOST_BUCKETS = 100_000
"""Some 30 MB; beyond, the one that was not used for longest is forgotten, and is full when it comes back."""
NETWORK_BITS = 64
"""Of an IPv6 address, what its owner cannot choose: a home or a server is given a /64 at least (RFC 6177)."""


@dataclass(frozen=True)
class Taken:
    """What asking once more came to."""

    limit: int
    """Requests a minute, and at once after a quiet minute."""
    remaining: int
    """How many may follow at once."""
    full_seconds: int
    """Until all of them may."""
    retry_seconds: int | None
    """None where it was granted; else how long to wait."""

    @property
    def headers(self) -> dict[str, str]:
        """As OpenAI's interface names them, which its clients' users look for."""
        return {
            "x-ratelimit-limit-requests": str(self.limit),
            "x-ratelimit-remaining-requests": str(self.remaining),
            "x-ratelimit-reset-requests": duration(self.full_seconds),
        }


class Buckets:
    """One bucket for each name: it holds a minute's worth and fills evenly.

    A minute's worth at once lets a page or a batch begin; the average holds all the same.
    """

    def __init__(self, most: int = MOST_BUCKETS) -> None:
        self._most = most
        self._held: OrderedDict[str, tuple[float, float]] = OrderedDict()
        """By name, how much was left and when."""

    def take(self, name: str, per_minute: int, now: float) -> Taken:
        """Take one, if there is one. `now` in seconds; a clock that was set back takes nothing away."""
        left, since = self._held.pop(name, (float(per_minute), now))
        left = min(per_minute, left + max(0.0, now - since) * per_minute / 60)
        retry = None
        if left >= 1:
            left -= 1
        else:
            retry = max(1, math.ceil((1 - left) * 60 / per_minute))
        self._held[name] = left, now
        while len(self._held) > self._most:
            self._held.popitem(last=False)
        return Taken(per_minute, int(left), math.ceil((per_minute - left) * 60 / per_minute), retry)

    def __len__(self) -> int:
        return len(self._held)


def network_of(host: str) -> str:
    """What counts as one caller: an IPv4 address, the /64 of an IPv6 one; as it is, what is neither."""
    try:
        address = ip_address(host)
    except ValueError:
        return host[:64]
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return str(address.ipv4_mapped)
        return str(ip_network((int(address), NETWORK_BITS), strict=False))
    return str(address)


def duration(seconds: int) -> str:
    """As OpenAI writes one: 6m0s."""
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}h{minutes}m{rest}s"
    return f"{minutes}m{rest}s" if minutes else f"{rest}s"
