"""What is raced."""

from dataclasses import dataclass

import contestants as c
from files import ALGORITHMS
from marks import Mark, in_memory, of_best, of_named, of_processor_time
from servers import PROXIED

KIB, MIB = 1024, 1024 * 1024


@dataclass(frozen=True)
class Scenario:
    """Files, the servers that they come from, and who fetches them; `label` is for plots.

    `small` is how many files of how many bytes there are with --small; `made` is false where the files need not be
    there. `limit` is how many seconds a turn may take. `disk` is set where a disk makes a difference, and `free` where
    some have more requests on the way than connections.
    """

    key: str
    label: str
    title: str
    count: int
    size: int
    small: tuple[int, int]
    contestants: tuple[c.Contestant, ...]
    marks: tuple[Mark, ...] = ()
    connections: int = 16
    servers: tuple[str, ...] = ("plain",)
    algorithms: tuple[str, ...] = ("sha256",)
    rounds: int = 7
    made: bool = True
    disk: bool = False
    free: bool = False
    limit: float = 300

    @property
    def bound(self) -> float | None:
        """How many seconds the servers alone make it last, whoever fetches."""
        ways = [PROXIED[kind] for kind in self.servers if kind in PROXIED]
        if not ways or self.free:
            return None
        waiting = self.count / self.connections * min(way.round_trip for way in ways) / 1000
        rate = max(way.rate for way in ways)
        receiving = self.count * self.size / (self.connections * rate) if rate else 0
        return max(waiting, receiving)


MANY = (c.GANYMEDE, c.CURL, c.WGET2, c.ARIA2, c.REQUESTS, c.AIOHTTP)
# As many as `ganymede get -j auto` may come to.
MOST = 32

SCENARIOS = (
    Scenario(
        key="A",
        label="5,000 × 16 KiB",
        title="5,000 files of 16 KiB",
        count=5_000,
        size=16 * KIB,
        small=(300, 16 * KIB),
        contestants=MANY,
        marks=(of_best(0.95), of_best(0.85)),
        disk=True,
    ),
    Scenario(
        key="B",
        label="50,000 × 1 KiB",
        title="50,000 files of 1 KiB",
        count=50_000,
        size=KIB,
        small=(600, KIB),
        contestants=MANY,
        marks=(of_best(0.95), of_best(0.85)),
        disk=True,
    ),
    Scenario(
        key="C",
        label="2 GiB over one connection",
        title="one file of 2 GiB, over one connection",
        count=1,
        size=2048 * MIB,
        small=(1, 8 * MIB + 1),
        connections=1,
        contestants=(
            c.GANYMEDE,
            c.CURL,
            c.WGET2,
            c.ARIA2,
            c.AXEL,
            c.REQUESTS,
            c.AIOHTTP,
            c.CURL_THEN_SHA256SUM,
            c.ARIA2_CHECKSUM,
        ),
        marks=(of_best(1.00), of_best(0.5, verifying=True)),
        disk=True,
    ),
    Scenario(
        key="D",
        label="100 × 20 MiB with six digests",
        title="100 files of 20 MiB with MD5, SHA-1, SHA-224, SHA-256, SHA-384 and SHA-512",
        count=100,
        size=20 * MIB,
        small=(6, MIB),
        contestants=(c.GANYMEDE, c.AIOHTTP_DIGESTS, c.AIOHTTP_THREADS, c.DIGESTS_ALONE),
        marks=(of_processor_time(1.15, c.DIGESTS_ALONE.name), of_best(0.6)),
        algorithms=ALGORITHMS,
        disk=True,
    ),
    Scenario(
        key="E1",
        label="40 ms away, 16 connections",
        title="5,000 files of 16 KiB behind a round trip of 40 ms, over 16 connections",
        count=5_000,
        size=16 * KIB,
        small=(100, 16 * KIB),
        contestants=MANY,
        marks=(of_best(0.9),),
        servers=("far",),
    ),
    Scenario(
        key="E2",
        label="40 ms away, HTTP/2, 16 at a time",
        title="5,000 files of 16 KiB behind a round trip of 40 ms, over HTTPS with HTTP/2, 16 at a time",
        count=5_000,
        size=16 * KIB,
        small=(100, 16 * KIB),
        contestants=(*MANY, c.CURL_SHARING),
        marks=(of_best(0.8),),
        servers=("far_secure",),
    ),
    Scenario(
        key="E3",
        label="HTTP/2, 16 at a time",
        title="5,000 files of 16 KiB over HTTPS with HTTP/2, 16 at a time",
        count=5_000,
        size=16 * KIB,
        small=(100, 16 * KIB),
        contestants=(c.GANYMEDE, c.CURL, c.CURL_SHARING, c.WGET2, c.ARIA2),
        marks=(of_best(0.8),),
        servers=("secure",),
    ),
    Scenario(
        key="E4",
        label=f"40 ms away, up to {MOST} connections",
        title=f"5,000 files of 16 KiB behind a round trip of 40 ms, over up to {MOST} connections",
        count=5_000,
        size=16 * KIB,
        small=(100, 16 * KIB),
        contestants=(c.GANYMEDE, c.GANYMEDE_AUTO, c.CURL, c.WGET2, c.ARIA2, c.AIOHTTP),
        connections=MOST,
        servers=("far",),
        rounds=3,
    ),
    Scenario(
        key="E5",
        label="40 ms away, HTTP/2, as many as suits",
        title="5,000 files of 16 KiB behind a round trip of 40 ms, over HTTPS with HTTP/2, as many as suits each",
        count=5_000,
        size=16 * KIB,
        small=(100, 16 * KIB),
        contestants=(c.GANYMEDE, c.GANYMEDE_AUTO, c.CURL, c.CURL_SHARING, c.WGET2, c.WGET2_SHARING, c.AIOHTTP),
        connections=MOST,
        servers=("far_secure",),
        free=True,
        rounds=3,
    ),
    Scenario(
        key="F",
        label="200 MiB, 5 MiB/s a connection",
        title="one file of 200 MiB from a server that gives each connection 5 MiB/s, over 8 connections",
        count=1,
        size=200 * MIB,
        small=(1, 5 * MIB + 1),
        connections=8,
        contestants=(c.GANYMEDE, c.GANYMEDE_AUTO, c.ARIA2, c.AXEL),
        marks=(of_named(0.9, c.ARIA2.name),),
        servers=("limited",),
    ),
    Scenario(
        key="G",
        label="200 MiB from three bad mirrors",
        title="one file of 200 MiB from mirrors that give a connection 5, 1 and 5 MiB/s; the first breaks down",
        count=1,
        size=200 * MIB,
        small=(1, 5 * MIB + 1),
        connections=8,
        contestants=(c.GANYMEDE, c.GANYMEDE_AUTO, c.ARIA2),
        marks=(of_named(0.7, c.ARIA2.name),),
        servers=("mortal", "slow", "limited"),
    ),
    Scenario(
        key="H1",
        label="1,000,000 lines, read only",
        title="1,000,000 lines of input, read and checked only",
        count=1_000_000,
        size=0,
        small=(20_000, 0),
        contestants=(c.GANYMEDE_DRY,),
        marks=(in_memory(48),),
        algorithms=(),
        rounds=3,
        made=False,
    ),
    Scenario(
        key="H2",
        label="200,000 × 100 bytes",
        title="200,000 files of 100 bytes",
        count=200_000,
        size=100,
        small=(1_000, 100),
        contestants=(c.GANYMEDE, c.CURL, c.WGET2, c.ARIA2),
        marks=(in_memory(48),),
        rounds=1,
    ),
    *(
        Scenario(
            key=f"L{step}",
            label=f"{count:,} × 1 KiB",
            title=f"{count:,} files of 1 KiB: does the time grow as the number does?",
            count=count,
            size=KIB,
            small=(count // 100, KIB),
            contestants=(c.GANYMEDE, c.CURL),
            rounds=3,
        )
        for step, count in enumerate((1_000, 10_000, 100_000), start=1)
    ),
)
