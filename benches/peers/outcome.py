"""What came of a scenario, as it is stored and as the report and the plots read it."""

from dataclasses import dataclass
from statistics import median
from typing import Any, Self

from measure import Sample

DISQUALIFIED = "disqualified"


@dataclass(frozen=True)
class Entry:
    """How a contestant did. Without `samples` it was disqualified, or is not on this machine: `out` says why.

    When it was so slow that its first turn had to do, `slow` is set, and that turn is the only sample.
    """

    name: str
    own: bool
    verifies: bool
    stores: bool
    command: str
    out: str | None
    slow: bool
    samples: list[Sample]

    @classmethod
    def read(cls, stored: dict[str, Any]) -> Self:
        return cls(**{**stored, "samples": [Sample(**sample) for sample in stored["samples"]]})

    @property
    def disqualified(self) -> bool:
        return bool(self.out and self.out.startswith(DISQUALIFIED))

    @property
    def walls(self) -> list[float]:
        return [sample.wall for sample in self.samples]

    @property
    def wall(self) -> float:
        """The median, in seconds."""
        return median(self.walls)

    @property
    def cpu(self) -> float:
        """The median, in seconds."""
        return median(sample.cpu for sample in self.samples)

    @property
    def memory(self) -> float:
        """The median, in bytes."""
        return median(sample.memory for sample in self.samples)


@dataclass(frozen=True)
class Outcome:
    """A scenario, where it was written to, and how everybody did.

    `bound` is how many seconds the servers alone make it last for everybody, and `cores` what the machine has.
    """

    key: str
    place: str
    label: str
    title: str
    date: str
    rounds: int
    count: int
    size: int
    bound: float | None
    cores: int
    entries: list[Entry]

    @classmethod
    def read(cls, stored: dict[str, Any]) -> Self:
        return cls(**{**stored, "entries": [Entry.read(entry) for entry in stored["entries"]]})

    @property
    def ran(self) -> list[Entry]:
        """Who was not out."""
        return [entry for entry in self.entries if not entry.out]

    @property
    def own(self) -> Entry | None:
        """Whom the others are compared with: the first of ganymede's that was not out."""
        return next((entry for entry in self.ran if entry.own), None)

    @property
    def others(self) -> list[Entry]:
        """Who fetched the same, otherwise or with other options."""
        return [entry for entry in self.ran if entry.stores and entry is not self.own]

    @property
    def peers(self) -> list[Entry]:
        """Who fetched the same and is not ganymede."""
        return [entry for entry in self.ran if entry.stores and not entry.own]

    def find(self, name: str) -> Entry | None:
        return next((entry for entry in self.ran if entry.name == name), None)


def fastest(entries: list[Entry]) -> Entry | None:
    return min(entries, key=lambda entry: entry.wall, default=None)
