"""The page of the demo: one HTML file with everything in it, nothing to fetch."""

from __future__ import annotations

import base64
import io
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from importlib.resources import files

from PIL import Image

from tiercel.demo.pictures import CardPictures, Pixels
from tiercel.demo.results import KINDS, RADII_M, Located
from tiercel.geo import Square

_KEY = '<svg viewBox="0 0 16 16" aria-hidden="true">{}</svg>'
_KEY_TRUE = _KEY.format('<path d="M3 3 13 13M13 3 3 13" stroke="#00b4c8" stroke-width="3"/>')
_KEY_FOUND = _KEY.format('<circle cx="8" cy="8" r="5" fill="#ec5818" stroke="#888" stroke-width="1.5"/>')


@dataclass(frozen=True)
class City:
    """The city the photos were taken in.

    Attributes:
        seed: what it was grown from.
        square: the ground the picture shows.
        pixels: (height, width, 3) uint8, from above, row 0 north.
        leaf_m: side of the smallest cell, in metres.
        cells: how many of them are covered.
    """

    seed: int
    square: Square
    pixels: Pixels
    leaf_m: float
    cells: int


@dataclass(frozen=True)
class Timing:
    """Seconds spent on each part of the demo, by name, in order."""

    seconds: dict[str, float]

    @property
    def total(self) -> float:
        """All parts together."""
        return sum(self.seconds.values())


def render(
    city: City,
    located: Sequence[Located],
    pictures: Sequence[CardPictures],
    methods: dict[str, list[float]],
    kinds: dict[str, list[float]],
    model: str,
    timing: Timing,
) -> str:
    """Write the page.

    Args:
        city: the city, and how it looks from above.
        located: the photos, in the order they are shown.
        pictures: the pictures of each photo, in the same order.
        methods: recall within each of :data:`RADII_M` by method, the first being the headline.
        kinds: the headline method's recall by kind of photo.
        model: name of the model.
        timing: how long it took.

    Returns:
        A complete HTML document that refers to nothing outside itself.
    """
    style = files("tiercel.demo").joinpath("page.css").read_text(encoding="utf-8")
    cards = "\n".join(
        _card(n, one, shown) for n, (one, shown) in enumerate(zip(located, pictures, strict=True), start=1)
    )
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>tiercel: {len(located)} photos in a city it had never seen</title>
<style>{style}</style>
</head>
<body>
<header>
<h1>Where were these photos taken?</h1>
<p class="lead">{len(located)} street photos from a city that was made up a minute ago, and one picture of it
from above. For each photo, tiercel names the spot among {city.cells:,} cells of {city.leaf_m:g} m.</p>
</header>
{_headline(located, methods, timing)}
<div class="tables">
{_table("methods", "Share of all photos found within a distance", methods)}
{_table("kinds", "The same for each kind of photo, by the posterior", kinds)}
</div>
<h2>The city from above</h2>
<p>Every cross is a place where a photo was taken; a line leads to the disc where tiercel put it.
Choose one to see its photo.</p>
{_map(city, located)}
<h2>Photo by photo, the best first, the worst last</h2>
<p>Under each photo: the probability of every cell over the city (the brighter, the likelier), the squares
zoomed through on the way to the answer, and the four likeliest places.</p>
<section class="gallery">
{cards}
</section>
<footer>
<p>City of seed <code>{city.seed}</code>, model <code>{escape(model)}</code>. Seconds spent: {_seconds(timing)}.
City and photos are simulated; on real photos the bundled model, trained on simulated cities alone, does worse.</p>
</footer>
</body>
</html>
"""


def _headline(located: Sequence[Located], methods: dict[str, list[float]], timing: Timing) -> str:
    best, *others = methods.items()
    within = RADII_M.index(50)
    beside = ", ".join(f"{name} {values[within]:.1f} %" for name, values in others)
    median = statistics.median(one.error_m for one in located)
    each = timing.seconds["locating"] / len(located)
    tiles = [
        ("found within 50 m", f"{best[1][within]:.0f}", "%", beside),
        ("median error", *distance(median).split(), "half of the photos are closer"),
        ("one photo takes", f"{each:.2f}", "s", "on the machine that made this page"),
    ]
    return f'<dl class="headline">{"".join(_tile(*tile) for tile in tiles)}</dl>'


def _tile(what: str, value: str, unit: str, note: str) -> str:
    return f"<div><dt>{what}</dt><dd>{value}<small>{unit}</small></dd><dd>{escape(note)}</dd></div>"


def _table(name: str, caption: str, rows: dict[str, list[float]]) -> str:
    head = "".join(f'<th scope="col">{radius} m</th>' for radius in RADII_M)
    body = "\n".join(
        f'<tr><th scope="row">{escape(name)}</th>{"".join(f"<td>{value:.1f} %</td>" for value in values)}</tr>'
        for name, values in rows.items()
    )
    return f"""<table class="{name}"><caption>{escape(caption)}</caption>
<thead><tr><th></th>{head}</tr></thead>
<tbody>
{body}
</tbody></table>"""


def _map(city: City, located: Sequence[Located]) -> str:
    marks = "\n".join(_mark(city.square, number, one) for number, one in enumerate(located, start=1))
    side = city.square.side
    return f"""<figure>
<div class="city">
<img src="{data_uri(city.pixels, quality=82)}" alt="The city from above, {side / 1000:g} km across, north up.">
<svg viewBox="0 0 {side:g} {side:g}" role="group" aria-label="Where the photos were taken and found">
{marks}
</svg>
</div>
<ul class="key">
<li>{_KEY_TRUE}taken here</li>
<li>{_KEY_FOUND}found here</li>
</ul>
</figure>"""


def _mark(square: Square, number: int, one: Located) -> str:
    """Draw one photo's truth and answer, in metres east and south of the north-west corner."""
    true_x, true_y = one.x - square.west, square.north - one.y
    x, y = one.fix.x - square.west, square.north - one.fix.y
    arm = square.side / 150
    across = 2 * arm
    cross = (
        f"M{true_x - arm:.1f} {true_y - arm:.1f}l{across:.1f} {across:.1f}m0 {-across:.1f}l{-across:.1f} {across:.1f}"
    )
    return (
        f'<a href="#photo-{number}"><title>Photo {number}: {KINDS[one.kind]}, {distance(one.error_m)} off</title>'
        f'<line x1="{true_x:.1f}" y1="{true_y:.1f}" x2="{x:.1f}" y2="{y:.1f}"/>'
        f'<path class="edge" d="{cross}"/><path class="true" d="{cross}"/>'
        f'<circle class="found" cx="{x:.1f}" cy="{y:.1f}" r="{square.side / 230:.1f}"/></a>'
    )


def _card(number: int, one: Located, pictures: CardPictures) -> str:
    fix = one.fix
    steps = "".join(
        _figure(pixels, f"Zoom step {step}: the map {square.side:g} m across.")
        for step, (pixels, square) in enumerate(zip(pictures.steps, fix.steps, strict=False), start=1)
    )
    off = [distance(math.hypot(place.x - one.x, place.y - one.y)) for place in fix.candidates]
    runners = "".join(
        _figure(pixels, f"The map around candidate {place.rank}.", f"{_percent(place.probability)}<br>{away} off")
        for pixels, place, away in zip(pictures.candidates, fix.candidates, off, strict=False)
    )
    heat = _figure(
        pictures.heat,
        "Heat map over the city, with the true and the found place marked.",
        f"Cross: taken here. Disc: found here. Greedy zooming ends {distance(one.greedy_error_m)} off.",
    )
    sure = f"90 % sure to be within {distance(fix.radius_90_m)}"
    kind = KINDS[one.kind]
    return f"""<article id="photo-{number}">
<img class="street" src="{data_uri(pictures.photo)}" alt="Photo {number}, a simulated street view: {kind}.">
<header><div><h3>Photo {number}</h3><p>{kind}<br>{sure}</p></div>
<span class="error {_grade(one.error_m)}">{distance(one.error_m)} off</span></header>
<div class="views" style="grid-template-columns: {len(pictures.steps)}fr 1fr">
{heat}
<div class="steps">{steps}</div>
</div>
<div class="runners">{runners}</div>
</article>"""


def _figure(pixels: Pixels, alt: str, caption: str = "") -> str:
    below = f"<figcaption>{caption}</figcaption>" if caption else ""
    return f'<figure><img src="{data_uri(pixels)}" alt="{alt}">{below}</figure>'


def data_uri(pixels: Pixels, quality: int = 80) -> str:
    """Put a picture into a ``data:`` address, as JPEG.

    Args:
        pixels: (height, width, 3) uint8.
        quality: of the JPEG.
    """
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=quality, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def distance(metres: float) -> str:
    """Write a distance as a person would: 3.2 m, 48 m, 1.4 km."""
    if metres < 9.95:
        return f"{metres:.1f} m"
    return f"{metres:.0f} m" if metres < 999.5 else f"{metres / 1000:.1f} km"


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %" if share >= 0.095 else f"{100 * share:.1f} %"


def _grade(error_m: float) -> str:
    return "good" if error_m <= 50 else "fair" if error_m <= 100 else "poor"


def _seconds(timing: Timing) -> str:
    return ", ".join(f"{name} {seconds:.0f}" for name, seconds in timing.seconds.items())
