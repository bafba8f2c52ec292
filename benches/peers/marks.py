"""What is to be reached, and how far it is."""

from collections.abc import Callable
from dataclasses import dataclass

from outcome import Outcome, fastest

MIB = 1024 * 1024
# What is no more than this does not grow.
LINEAR = 1.1


@dataclass(frozen=True)
class Mark:
    """At most `limit` is to be `measured`, which is None where somebody was out; `what` names it."""

    what: str
    limit: float
    measured: Callable[[Outcome], float | None]
    unit: str = ""


def of_best(limit: float, *, verifying: bool = False) -> Mark:
    """The time against that of the fastest peer, or of the fastest that verifies."""

    def measured(outcome: Outcome) -> float | None:
        best = fastest([peer for peer in outcome.peers if peer.verifies or not verifying])
        return outcome.own.wall / best.wall if outcome.own and best else None

    return Mark("of the best peer that verifies" if verifying else "of the best peer", limit, measured)


def of_named(limit: float, name: str) -> Mark:
    """The time against that of a contestant."""

    def measured(outcome: Outcome) -> float | None:
        other = outcome.find(name)
        return outcome.own.wall / other.wall if outcome.own and other else None

    return Mark(f"of {name}", limit, measured)


def of_processor_time(limit: float, name: str) -> Mark:
    """The time against the processor time of a contestant, spread over all cores."""

    def measured(outcome: Outcome) -> float | None:
        other = outcome.find(name)
        return outcome.own.wall / (other.cpu / outcome.cores) if outcome.own and other else None

    return Mark(f"of the processor time of {name} over the cores", limit, measured)


def in_memory(limit: float) -> Mark:
    """The peak memory, in MiB."""

    def measured(outcome: Outcome) -> float | None:
        return outcome.own.memory / MIB if outcome.own else None

    return Mark("of peak memory", limit, measured, " MiB")


def growth(outcomes: list[Outcome]) -> float | None:
    """What a file takes in the longest of the scenarios that differ in nothing else, against the shortest."""
    steps = [outcome for outcome in outcomes if outcome.place == "memory" and outcome.key.startswith("L")]
    own = [(outcome.count, outcome.own.wall / outcome.count) for outcome in steps if outcome.own]
    return max(own)[1] / min(own)[1] if len(own) > 1 else None
