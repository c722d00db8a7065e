"""Labels of points, placed one after the other where they hide least: the same on every run."""

from collections.abc import Iterable, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.transforms import Bbox

RADII = (5.0, 8.0, 12.0, 17.0, 23.0, 30.0, 38.0, 48.0, 60.0)  # points, from the point's centre
ANGLES = np.deg2rad([0, 180, 90, 270, 30, 150, 210, 330, 60, 120, 240, 300])
LED = 9.0  # points: from here on, a line leads to the label
DOT = 3.0  # points: half the side of what is kept free around a point
OUTSIDE, TEXT, POINT, FAR = 40.0, 10.0, 4.0, 0.25  # what is lost by each, per point or its square


def label_points(
    axes: Axes,
    x: Iterable[float],
    y: Iterable[float],
    texts: Iterable[str],
    colours: Sequence[str],
    size: float = 7.0,
) -> None:
    """Write a text beside every point (x, y in data units), with a line to it where it is far.

    To be called when all else is drawn, for it takes the sizes as they are then.
    """
    fig = axes.figure
    fig.draw_without_rendering()
    unit = fig.dpi / 72
    frame = axes.get_window_extent()
    at = axes.transData.transform(np.column_stack([list(x), list(y)]))
    dots = [Bbox.from_extents(*(p - DOT * unit), *(p + DOT * unit)) for p in at]
    taken: list[Bbox] = []
    back = {"facecolor": "white", "alpha": 0.7, "linewidth": 0, "pad": 0.4}
    for point, text, colour in zip(at, texts, colours, strict=True):
        label = axes.annotate(
            text, (0, 0), xycoords="figure pixels", fontsize=size, color=colour,
            ha="center", va="center",
        )  # fmt: skip
        extent = label.get_window_extent()
        label.remove()
        half = np.array([extent.width, extent.height]) / 2
        ways = [
            (radius, point + shift(angle, radius * unit, half))
            for radius in RADII
            for angle in ANGLES
        ]
        boxes = [Bbox.from_extents(*(centre - half), *(centre + half)) for _, centre in ways]
        losses = [
            FAR * radius * unit + lost(box, frame, taken, dots, unit)
            for (radius, _), box in zip(ways, boxes, strict=True)
        ]
        best = int(np.argmin(losses))
        radius, centre = ways[best]
        taken.append(boxes[best])
        line = {"arrowstyle": "-", "color": colour, "linewidth": 0.5, "shrinkA": 0, "shrinkB": 2}
        axes.annotate(
            text, axes.transData.inverted().transform(point), (centre - point) / unit,
            textcoords="offset points", fontsize=size, color=colour, ha="center", va="center",
            bbox=back, zorder=2.5, arrowprops=line if radius >= LED else None,
        )  # fmt: skip


def shift(angle: float, radius: float, half: np.ndarray) -> np.ndarray:
    """From a point to the centre of a label whose nearest edge is `radius` away at an angle."""
    way = np.array([np.cos(angle), np.sin(angle)])
    return way * radius + np.sign(way) * half * np.minimum(1.0, 1.5 * np.abs(way))


def lost(box: Bbox, frame: Bbox, taken: list[Bbox], dots: list[Bbox], unit: float) -> float:
    """What a label at `box` costs: of others hidden, of points hidden, and of itself cut off."""
    inside = shared(box, frame)
    out = box.width * box.height - inside
    hidden = TEXT * sum(shared(box, other) for other in taken)
    hidden += POINT * sum(shared(box, dot) for dot in dots)
    return (OUTSIDE * out + hidden) / unit**2


def shared(one: Bbox, other: Bbox) -> float:
    """The area that two boxes share."""
    both = Bbox.intersection(one, other)
    return 0.0 if both is None else both.width * both.height
