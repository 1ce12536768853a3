"""Outlines of shapes that annotation tools store by a centre and radii, or as turned rectangles.

An outline is x0, y0, x1, y1, ... in pixels.
"""

import math

VERTICES = 64


def ellipse(center_x: float, center_y: float, radius_x: float, radius_y: float, turn: float = 0.0) -> list[float]:
    """A polygon of an ellipse that is turned by an angle in radians."""
    outline = []
    for step in range(VERTICES):
        angle = 2 * math.pi * step / VERTICES
        x, y = radius_x * math.cos(angle), radius_y * math.sin(angle)
        outline += [
            center_x + x * math.cos(turn) - y * math.sin(turn),
            center_y + x * math.sin(turn) + y * math.cos(turn),
        ]
    return outline


def rectangle(left: float, top: float, width: float, height: float, turn: float = 0.0) -> list[float]:
    """A rectangle that is turned about its left upper corner by an angle in radians."""
    corners = [(0.0, 0.0), (width, 0.0), (width, height), (0.0, height)]
    return [
        edge
        for x, y in corners
        for edge in (left + x * math.cos(turn) - y * math.sin(turn), top + x * math.sin(turn) + y * math.cos(turn))
    ]
