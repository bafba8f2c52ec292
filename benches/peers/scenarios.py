"""What is raced."""

from dataclasses import dataclass

import contestants as c
from files import ALGORITHMS

KIB, MIB = 1024, 1024 * 1024


@dataclass(frozen=True)
class Scenario:
    """Files, the servers that they come from, and who fetches them.

    `small` is how many files of how many bytes there are with --small; `made` is false where the files need not be
    there. `limit` is how many seconds a turn may take.
    """

    key: str
    title: str
    mark: str
    count: int
    size: int
    small: tuple[int, int]
    contestants: tuple[c.Contestant, ...]
    connections: int = 16
    servers: tuple[str, ...] = ("plain",)
    algorithms: tuple[str, ...] = ("sha256",)
    rounds: int = 7
    made: bool = True
    limit: float = 900


MANY = (c.GANYMEDE, c.CURL, c.WGET2, c.ARIA2, c.REQUESTS, c.AIOHTTP)

SCENARIOS = (
    Scenario(
        key="A",
        title="5,000 files of 16 KiB",
        mark="at most 0.95 of the best peer",
        count=5_000,
        size=16 * KIB,
        small=(300, 16 * KIB),
        contestants=MANY,
    ),
    Scenario(
        key="B",
        title="50,000 files of 1 KiB",
        mark="at most 0.95 of the best peer",
        count=50_000,
        size=KIB,
        small=(600, KIB),
        contestants=MANY,
    ),
    Scenario(
        key="C",
        title="one file of 2 GiB, over one connection",
        mark="at most 1.00 of the best peer, and at most 0.5 of the best that verifies",
        count=1,
        size=2048 * MIB,
        small=(1, 32 * MIB + 1),
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
    ),
    Scenario(
        key="D",
        title="100 files of 20 MiB with MD5, SHA-1, SHA-224, SHA-256, SHA-384 and SHA-512",
        mark="at most 1.15 of the processor time of the digests alone over the cores, and at most 0.6 of aiohttp",
        count=100,
        size=20 * MIB,
        small=(6, MIB),
        contestants=(c.GANYMEDE, c.AIOHTTP_DIGESTS, c.AIOHTTP_THREADS, c.DIGESTS_ALONE),
        algorithms=ALGORITHMS,
    ),
    Scenario(
        key="E1",
        title="5,000 files of 16 KiB behind a round trip of 40 ms",
        mark="at most 0.9 of the best peer",
        count=5_000,
        size=16 * KIB,
        small=(100, 16 * KIB),
        contestants=MANY,
        servers=("far",),
    ),
    Scenario(
        key="E2",
        title="5,000 files of 16 KiB behind a round trip of 40 ms, over HTTPS from a server with HTTP/2",
        mark="at most 0.8 of the best peer",
        count=5_000,
        size=16 * KIB,
        small=(100, 16 * KIB),
        contestants=(*MANY, c.CURL_SHARING),
        servers=("far_secure",),
    ),
    Scenario(
        key="F",
        title="one file of 200 MiB from a server that gives each connection 5 MiB/s, over 8 connections",
        mark="at most 0.9 of aria2",
        count=1,
        size=200 * MIB,
        small=(1, 5 * MIB + 1),
        connections=8,
        contestants=(c.GANYMEDE, c.ARIA2, c.AXEL),
        servers=("limited",),
    ),
    Scenario(
        key="G",
        title="one file of 200 MiB from mirrors that give a connection 5, 1 and 5 MiB/s; the first breaks down",
        mark="at most 0.7 of aria2",
        count=1,
        size=200 * MIB,
        small=(1, 5 * MIB + 1),
        connections=8,
        contestants=(c.GANYMEDE, c.ARIA2),
        servers=("mortal", "slow", "limited"),
    ),
    Scenario(
        key="H1",
        title="1,000,000 lines of input, read and checked only",
        mark="less than 48 MiB of memory",
        count=1_000_000,
        size=0,
        small=(20_000, 0),
        contestants=(c.GANYMEDE_DRY,),
        algorithms=(),
        rounds=3,
        made=False,
    ),
    Scenario(
        key="H2",
        title="200,000 files of 100 bytes",
        mark="less than 48 MiB of memory",
        count=200_000,
        size=100,
        small=(1_000, 100),
        contestants=(c.GANYMEDE, c.CURL, c.WGET2, c.ARIA2),
        rounds=3,
    ),
    *(
        Scenario(
            key=f"L{step}",
            title=f"{count:,} files of 1 KiB: does the time grow as the number does?",
            mark="the same time for a file in L1, L2 and L3",
            count=count,
            size=KIB,
            small=(count // 100, KIB),
            contestants=(c.GANYMEDE, c.CURL),
        )
        for step, count in enumerate((1_000, 10_000, 100_000), start=1)
    ),
)
