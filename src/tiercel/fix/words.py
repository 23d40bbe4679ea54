"""Numbers as a reader wants them: coordinates, metres, percent and directions."""

from __future__ import annotations

import math

_POINTS = ("N", "NE", "E", "SE", "S", "SW", "W", "NW")


def coordinate(latitude: float, longitude: float) -> str:
    """Such as "52.520008° N, 13.404954° E": six decimals are a tenth of a metre."""
    north, east = "N" if latitude >= 0 else "S", "E" if longitude >= 0 else "W"
    return f"{abs(latitude):.6f}° {north}, {abs(longitude):.6f}° {east}"


def metres(distance: float) -> str:
    """Such as "4.2 m", "310 m" or "1.9 km"."""
    if not math.isfinite(distance):
        return "unknown"
    if distance < 9.95:
        return f"{distance:.1f} m"
    return f"{distance:.0f} m" if distance < 999.5 else f"{distance / 1000:.1f} km"


def percent(share: float) -> str:
    """Such as "34 %", "1.2 %" or "< 0.01 %"."""
    if not math.isfinite(share):
        return "unknown"
    if share < 0.0001:
        return "< 0.01 %"
    return f"{100 * share:.0f} %" if share >= 0.0995 else f"{100 * share:.{1 if share >= 0.00995 else 2}f} %"


def direction(heading: float) -> str:
    """Such as "124° SE"."""
    turned = round(heading) % 360
    return f"{turned}° {_POINTS[round(turned / 45) % 8]}"
