"""Plots of what the race has measured; the same samples give the same files."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from marks import MIB
from outcome import Entry, Outcome

INK, FAINT, OWN, SLOWER, FASTER, LIMIT = "#1f2328", "#d1d9e0", "#0969da", "#8c959f", "#d4772c", "#cf222e"
MEMORY_MARK = 48
# In inches.
ROW, TITLE, GAP, MARGIN, NAMES = 0.25, 0.3, 0.32, 0.2, 2.2

mpl.rcParams.update(
    {
        "svg.hashsalt": "ganymede",
        # Letters as text, which the viewer draws, and not as outlines: a third of the size.
        "svg.fonttype": "none",
        "font.size": 9,
        "text.color": INK,
        "axes.labelcolor": INK,
        "axes.edgecolor": FAINT,
        "xtick.color": INK,
        "ytick.color": INK,
        "xtick.labelsize": 8,
        "figure.facecolor": "white",
        "axes.facecolor": "white",
        "axes.axisbelow": True,
        "grid.color": FAINT,
        "grid.linewidth": 0.6,
    }
)


@dataclass(frozen=True)
class Panel:
    """A part of a figure with a row for each of some names."""

    title: str
    names: list[str]
    draw: Callable[[Axes], None]

    @property
    def height(self) -> float:
        return TITLE + ROW * len(self.names) + GAP


def draw(outcomes: list[Outcome], folder: Path) -> None:
    """Draws what can be drawn of these."""
    memory = {outcome.key: outcome for outcome in outcomes if outcome.place == "memory"}
    disk = [outcome for outcome in outcomes if outcome.place == "disk"]
    few = {key: outcome for key, outcome in memory.items() if key[0] in "ABCDEFG"}
    figures = {
        "overview": overview(list(few.values()), "memory"),
        "overview-disk": overview(disk, "disk"),
        "small": rounds([few[key] for key in ("A", "B") if key in few]),
        "large": rounds([few[key] for key in ("C", "D") if key in few]),
        "far": rounds([few[key] for key in few if key.startswith("E")]),
        "segments": rounds([few[key] for key in ("F", "G") if key in few]),
        "growth": growth([memory[key] for key in memory if key.startswith("L")]),
        "memory": peaks([memory[key] for key in ("H1", "H2", "B", "C") if key in memory]),
    }
    for name, figure in figures.items():
        path = folder / f"{name}.svg"
        path.unlink(missing_ok=True)
        if figure:
            # Neither a date nor a version: what has not changed is to stay the same file.
            figure.savefig(path, metadata={"Date": None, "Creator": None})


def overview(outcomes: list[Outcome], place: str) -> Figure | None:
    """How many times as long as ganymede each takes."""
    ratios = {
        outcome.key: sorted(((other.wall / own.wall, other) for other in outcome.others), key=lambda pair: pair[0])
        for outcome in outcomes
        if (own := outcome.own) and outcome.peers
    }
    every = [ratio for pairs in ratios.values() for ratio, _ in pairs]
    if not every:
        return None
    # The label of the longest bar needs room.
    limits = (min(0.7, *every) / 1.5, max(2, *every) * 2.5)

    def panel(outcome: Outcome) -> Panel:
        pairs = ratios[outcome.key]

        def bars(axes: Axes) -> None:
            for number, (ratio, entry) in enumerate(pairs):
                color = OWN if entry.own else SLOWER if ratio >= 1 else FASTER
                axes.barh(number, ratio - 1, left=1, height=0.66, color=color)
                beside(axes, max(ratio, 1), number, f"{ratio:.2f}")
            axes.axvline(1, color=OWN, linewidth=1.6)
            logarithmic(axes, limits)

        return Panel(headed(outcome), [named(entry) for _, entry in pairs], bars)

    title = (
        f"Wall time of each client against ganymede's, to {place} (logarithmic): right of the blue line it is slower.\n"
        "ganymede verifies every file; of the others those with a check mark do."
    )
    return compose([panel(outcome) for outcome in outcomes if outcome.key in ratios], title)


def rounds(outcomes: list[Outcome]) -> Figure | None:
    """The time of each round, and the medians."""

    def panel(outcome: Outcome) -> Panel:
        entries = sorted((entry for entry in outcome.ran if entry.stores), key=lambda entry: entry.wall)

        def points(axes: Axes) -> None:
            for number, entry in enumerate(entries):
                color = OWN if entry.own else SLOWER
                axes.plot(entry.walls, [number] * len(entry.walls), "o", color=color, markersize=4.5, alpha=0.5, mew=0)
                axes.plot([entry.wall] * 2, [number - 0.33, number + 0.33], color=color, linewidth=2)
                beside(axes, max(entry.walls), number, f"{entry.wall:.2f} s")
            if outcome.bound:
                axes.axvline(outcome.bound, color=LIMIT, linewidth=1.2, linestyle="--")
            walls = [wall for entry in entries for wall in entry.walls]
            least, most = min([*walls, outcome.bound or walls[0]]), max(walls)
            # The label of the slowest needs room, the more of it the more the scale is compressed.
            logarithmic(axes, (least / 1.15, max(most, least * 1.5) * (most / least) ** 0.15 * 1.3))

        return Panel(headed(outcome), [named(entry) for entry in entries], points)

    title = "Wall time of every round in seconds (logarithmic), and the median. Those with a check mark verify."
    if any(outcome.bound for outcome in outcomes):
        title += "\nThe red line is what the servers alone make it last."
    return compose([panel(outcome) for outcome in outcomes if outcome.ran], title)


def peaks(outcomes: list[Outcome]) -> Figure | None:
    """The peak memory of each."""

    def panel(outcome: Outcome) -> Panel:
        entries = sorted(outcome.ran, key=lambda entry: entry.memory)

        def bars(axes: Axes) -> None:
            for number, entry in enumerate(entries):
                axes.barh(number, entry.memory / MIB, height=0.66, color=OWN if entry.own else SLOWER)
                beside(axes, entry.memory / MIB, number, f"{entry.memory / MIB:.1f}")
            axes.axvline(MEMORY_MARK, color=LIMIT, linewidth=1.2, linestyle="--")
            axes.set_xlim(0, 1.15 * max(MEMORY_MARK, *(entry.memory / MIB for entry in entries)))

        return Panel(headed(outcome), [named(entry) for entry in entries], bars)

    title = f"Peak of the resident memory in MiB; the red line is the mark, {MEMORY_MARK} MiB."
    return compose([panel(outcome) for outcome in outcomes if outcome.ran], title)


def growth(outcomes: list[Outcome]) -> Figure | None:
    """The time against the number of files."""
    names = dict.fromkeys(entry.name for outcome in outcomes for entry in outcome.ran)
    if not names:
        return None
    figure = Figure(figsize=(6.4, 4.2), layout="constrained")
    axes = figure.subplots()
    for name in names:
        ran = [(outcome.count, entry) for outcome in outcomes if (entry := outcome.find(name))]
        counts, walls = [count for count, _ in ran], [entry.wall for _, entry in ran]
        own = ran[0][1].own
        axes.loglog(counts, walls, "o-", color=OWN if own else SLOWER, label=name, linewidth=2 if own else 1.5)
        if own:
            straight = [walls[0] * count / counts[0] for count in counts]
            axes.loglog(counts, straight, "--", color=LIMIT, linewidth=1, label="the same time for each file")
    axes.set_xlabel("files of 1 KiB")
    axes.set_ylabel("wall time in seconds (median)")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
        axis.set_minor_locator(NullLocator())
    axes.grid(which="major")
    axes.legend(frameon=False)
    unframe(axes)
    return figure


def compose(panels: list[Panel], title: str) -> Figure | None:
    """Puts panels under each other, in two columns when there are many of them."""
    if not panels:
        return None
    columns = split(panels)
    width = 4.75
    head = MARGIN + 0.2 * (1 + title.count("\n"))
    total = head + max(sum(panel.height for panel in column) for column in columns)
    figure = Figure(figsize=(len(columns) * width if len(columns) > 1 else 6.6, total))
    across, down = figure.get_size_inches()
    wide = across / len(columns)
    figure.text(MARGIN / across, 1 - MARGIN / 2 / down, title, va="top", fontsize=9)
    for number, column in enumerate(columns):
        top = head
        for panel in column:
            tall = ROW * len(panel.names)
            bottom = down - top - TITLE - tall
            left = number * wide + NAMES
            axes = figure.add_axes((left / across, bottom / down, (wide - NAMES - MARGIN) / across, tall / down))
            axes.set_yticks(range(len(panel.names)), panel.names)
            axes.set_ylim(len(panel.names) - 0.5, -0.5)
            axes.tick_params(axis="both", length=0)
            axes.tick_params(axis="x", labelsize=7.5, pad=2)
            axes.grid(axis="x")
            unframe(axes)
            panel.draw(axes)
            heading = (number * wide + MARGIN) / across
            figure.text(heading, (bottom + tall + 0.07) / down, panel.title, weight="bold", va="bottom")
            top += panel.height
    return figure


def split(panels: list[Panel]) -> list[list[Panel]]:
    if len(panels) < 5:
        return [panels]
    half = sum(panel.height for panel in panels) / 2
    left: list[Panel] = []
    while sum(panel.height for panel in left) + panels[len(left)].height / 2 < half:
        left.append(panels[len(left)])
    return [left, panels[len(left) :]]


def logarithmic(axes: Axes, limits: tuple[float, float]) -> None:
    axes.set_xscale("log")
    axes.set_xlim(*limits)
    narrow = limits[1] / limits[0] < 5
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 1.5, 2, 3, 4, 5, 7) if narrow else (1, 2, 5)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def beside(axes: Axes, value: float, row: int, text: str) -> None:
    axes.annotate(text, (value, row), (4, 0), textcoords="offset points", va="center", fontsize=8)


def unframe(axes: Axes) -> None:
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def named(entry: Entry) -> str:
    return f"{entry.name} \N{CHECK MARK}" if entry.verifies else entry.name


def headed(outcome: Outcome) -> str:
    return f"{outcome.key}: {outcome.label}"
