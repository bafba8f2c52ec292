"""What the clients written in Python are told on the command line."""

import argparse
from pathlib import Path


def parser() -> argparse.ArgumentParser:
    """Returns a parser of what all of them know; each may add to it."""
    known = argparse.ArgumentParser()
    known.add_argument("list", type=Path)
    known.add_argument("folder", type=Path)
    known.add_argument("connections", type=int)
    known.add_argument("--certificate")
    return known
