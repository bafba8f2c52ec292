"""Computes digests of files that are there already, and downloads nothing: the time that hashing alone takes.

digests.py FOLDER THREADS NAME,..

It uses OpenSSL's digests by way of hashlib, on as many threads as it is told.
"""

import hashlib
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

BLOCK = 256 * 1024


def main() -> None:
    folder, threads, algorithms = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3].split(",")

    def compute(path: Path) -> None:
        hashes = [hashlib.new(algorithm) for algorithm in algorithms]
        with path.open("rb", buffering=0) as file:
            while block := file.read(BLOCK):
                for digest in hashes:
                    digest.update(block)

    with ThreadPoolExecutor(threads) as pool:
        for _ in pool.map(compute, sorted(folder.iterdir())):
            pass


if __name__ == "__main__":
    main()
