"""The files that are fetched: made from a seed, and compared byte for byte."""

import hashlib
import os
import random
from dataclasses import dataclass
from pathlib import Path

from measure import Failure

ALGORITHMS = ("md5", "sha1", "sha224", "sha256", "sha384", "sha512")
BLOCK = 1024 * 1024


@dataclass(frozen=True)
class File:
    """A file to fetch; its digests are in hexadecimal, by algorithm."""

    name: str
    size: int
    digests: dict[str, str]


def make(folder: Path, count: int, size: int, algorithms: tuple[str, ...]) -> list[File]:
    """Makes files that are the same in every run, and takes their digests."""
    folder.mkdir()
    return [make_one(folder / f"f{number:06}", size, number, algorithms) for number in range(count)]


def make_one(path: Path, size: int, seed: int, algorithms: tuple[str, ...]) -> File:
    source = random.Random(seed)
    hashes = {algorithm: hashlib.new(algorithm) for algorithm in algorithms}
    with path.open("wb") as file:
        left = size
        while left > 0:
            block = source.randbytes(min(left, BLOCK))
            left -= len(block)
            file.write(block)
            for digest in hashes.values():
                digest.update(block)
    return File(path.name, size, {name: digest.hexdigest() for name, digest in hashes.items()})


def compare(source: Path, out: Path, files: list[File]) -> None:
    """Raises Failure unless a folder holds exactly the files of another, with the same bytes."""
    expected = {file.name for file in files}
    found = set(os.listdir(out))
    if missing := expected - found:
        raise Failure(f"{len(missing)} of {len(expected)} files are missing, {min(missing)} for one")
    if surplus := found - expected:
        raise Failure(f"{len(surplus)} other files are left, {min(surplus)} for one")
    for file in files:
        # A block that is not full is the last one: most files take no second look.
        block = min(file.size + 1, BLOCK)
        if not equal(f"{source}/{file.name}", f"{out}/{file.name}", block):
            raise Failure(f"{file.name} has other bytes")


def equal(left: str, right: str, length: int) -> bool:
    with open(left, "rb", buffering=0) as one, open(right, "rb", buffering=0) as other:
        while True:
            block = one.read(length)
            if block != other.read(length):
                return False
            if len(block) < length:
                return True
