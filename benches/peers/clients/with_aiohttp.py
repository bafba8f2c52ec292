"""Fetches what a list names with aiohttp: a task for each file, held back by a semaphore.

with_aiohttp.py LIST FOLDER CONNECTIONS [--certificate FILE] [--digests NAME,.. [--threads]]

A line of the list is a URL and a name and, with --digests, the digests of the file in that order. They are computed in
the event loop, or with --threads in threads beside it.
"""

import argparse
import asyncio
import hashlib
import ssl

import aiohttp
from arguments import parser

BLOCK = 256 * 1024


async def fetch_all(arguments: argparse.Namespace) -> None:
    context = ssl.create_default_context(cafile=arguments.certificate) if arguments.certificate else True
    algorithms = arguments.digests.split(",") if arguments.digests else []
    permits = asyncio.Semaphore(arguments.connections)
    connector = aiohttp.TCPConnector(limit=arguments.connections, ssl=context)
    async with aiohttp.ClientSession(connector=connector, auto_decompress=False) as session:

        async def fetch(line: str) -> None:
            url, name, *expected = line.split()
            hashes = [hashlib.new(algorithm) for algorithm in algorithms]

            def update(block: bytes) -> None:
                for digest in hashes:
                    digest.update(block)

            async with permits, session.get(url, raise_for_status=True) as reply:
                with (arguments.folder / name).open("wb", buffering=0) as file:
                    async for block in reply.content.iter_chunked(BLOCK):
                        if arguments.threads:
                            await asyncio.to_thread(update, block)
                        else:
                            update(block)
                        file.write(block)
            if [digest.hexdigest() for digest in hashes] != expected:
                raise ValueError(f"{name} has another digest")

        lines = arguments.list.read_text().splitlines()
        await asyncio.gather(*(fetch(line) for line in lines))


def main() -> None:
    known = parser()
    known.add_argument("--digests", default="")
    known.add_argument("--threads", action="store_true")
    asyncio.run(fetch_all(known.parse_args()))


if __name__ == "__main__":
    main()
