"""The plots: throughput as a share of its floor, latencies in milliseconds, memory by orders."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from tests.bench.report import Figure

_OURS, _FLOOR, _TARGET = "#2f6f9f", "#c9ced3", "#c0392b"


def plot(figures: Sequence[Figure], path: Path) -> None:
    """Draw the figures beside their floors and targets as an SVG."""
    # Those of the console's pages, and of the other dashboards', are many: the table has them.
    latencies = [figure for figure in figures if figure.unit == "ms" and figure.part != "console"]
    shares = [figure for figure in figures if figure.unit.endswith("/s") and figure.floor]
    # A fixed salt, so that the same figures give the same file.
    with mpl.rc_context({"svg.hashsalt": "bench", "svg.fonttype": "none", "font.size": 9}):
        canvas = Canvas(figsize=(9, 1.4 + 0.5 * (len(shares) + len(latencies))), layout="constrained")
        above, below = canvas.subplots(2, 1, height_ratios=[max(1, len(shares)), max(1, len(latencies))])
        _bars(above, shares, "throughput, share of the floor (more is better)", in_floors=True)
        _bars(below, latencies, "latency, ms (less is better)", in_floors=False)
        above.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3, frameon=False)
        canvas.savefig(path, format="svg", metadata={"Date": None})


def plot_memory(samples: Sequence[tuple[int, float]], path: Path) -> None:
    """Draw a process's memory in MB by the number of orders as an SVG."""
    with mpl.rc_context({"svg.hashsalt": "bench", "svg.fonttype": "none", "font.size": 9}):
        canvas = Canvas(figsize=(9, 3), layout="constrained")
        axes = canvas.subplots()
        axes.plot([orders for orders, _ in samples], [mb for _, mb in samples], color=_OURS)
        axes.set(xlabel="orders", ylabel="worker's memory, MB", xlim=(0, samples[-1][0]))
        axes.set_ylim(bottom=0)
        axes.xaxis.set_major_formatter("{x:,.0f}")
        axes.spines[["top", "right"]].set_visible(False)
        canvas.savefig(path, format="svg", metadata={"Date": None})


def _bars(axes: Axes, figures: Sequence[Figure], title: str, *, in_floors: bool) -> None:
    height, rows = 0.36, range(len(figures))
    scales = [figure.floor or 1.0 if in_floors else 1.0 for figure in figures]
    values = [figure.value / scale for figure, scale in zip(figures, scales, strict=True)]
    floors = [(figure.floor or 0.0) / scale for figure, scale in zip(figures, scales, strict=True)]
    axes.barh([row - height / 2 for row in rows], values, height, color=_OURS, label="ours")
    axes.barh([row + height / 2 for row in rows], floors, height, color=_FLOOR, label="floor")
    targets = [(row, figure.target.limit) for row, figure in zip(rows, figures, strict=True) if figure.target]
    axes.vlines(
        [limit for _, limit in targets],
        [row - 0.45 for row, _ in targets],
        [row + 0.45 for row, _ in targets],
        color=_TARGET,
        label="target",
    )
    for row, figure, value in zip(rows, figures, values, strict=True):
        axes.annotate(f" {figure.value:,.4g} {figure.unit}", (value, row - height / 2), va="center", fontsize=8)
    axes.set_yticks(rows, [f"{figure.part}: {figure.name}" for figure in figures])
    axes.invert_yaxis()
    axes.set_xlabel(title)
    axes.margins(x=0.15)
    axes.spines[["top", "right"]].set_visible(False)
