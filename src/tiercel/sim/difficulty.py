"""How unlike a drawing board a simulated world is: named sets of numbers for the city, its map and its cameras."""

from __future__ import annotations

from dataclasses import dataclass, field

from tiercel.errors import TiercelError
from tiercel.sim.viewpoints import EYE_HEIGHTS

Range = tuple[float, float]
"""Least and greatest value; what lies between is drawn evenly."""


@dataclass(frozen=True)
class Ageing:
    """What has changed since the map was flown, each as a share.

    Attributes:
        trees: Of all trees that were missing, of another size, or stood elsewhere.
        streets: Of all streets whose markings were other ones or none, or whose carriageway has been laid anew.
        buildings: Of all buildings that were missing, of another height, or under another roof; of as many again, those
            that have been pulled down since.
    """

    trees: float = 0.0
    streets: float = 0.0
    buildings: float = 0.0


@dataclass(frozen=True)
class Lens:
    """How far the cameras of a data set are from what is said of them.

    Attributes:
        pitch: Standard deviation of the elevation of a photo's axis, degrees.
        steepest: Its greatest elevation, degrees.
        roll: Standard deviation of a photo's turn about its axis, degrees.
        tilt: Standard deviation of the lean of a panorama about each of two level axes, degrees.
        compass: Standard deviation of the declared heading about the true one, degrees.
        field_of_view: Greatest error of the declared field of view, as a share of the true one.
        distortion: Greatest radial distortion: how much further out, or in, a point half a picture's width from the
            principal point is seen than by a pinhole, as a share.
        off_centre: Standard deviation of the principal point about the middle, as a share of the width.
        blur: Least and greatest standard deviation of the photographic blur, pixels.
        obstructed: Share of the photos taken from cars with a bonnet, the edge of a windscreen or a wiper in them.
        quality: Least and greatest JPEG quality.
    """

    pitch: float = 3.0
    steepest: float = 8.0
    roll: float = 0.0
    tilt: float = 0.0
    compass: float = 0.0
    field_of_view: float = 0.0
    distortion: float = 0.0
    off_centre: float = 0.0
    blur: Range = (0.0, 0.0)
    obstructed: float = 0.0
    quality: tuple[int, int] = (92, 92)

    @property
    def exact(self) -> bool:
        """Whether pictures are what a pinhole sees, or a level cylinder."""
        return self == Lens()


@dataclass(frozen=True)
class Difficulty:
    """How hard a simulated world makes it to find a photo's place on its map.

    Attributes:
        name: What it is called.
        slope: Between which the steepest hundredth of the ground begins to rise, metres per metre; None for gentle
            ground. Streets are laid on it as it is, as they are in an old town on a hill.
        valley: How far from a river the ground has risen to its hills, metres.
        trees: Factor on the number of street trees.
        crowd: Factor on the number of places where people may stand.
        parking: Factor on the gaps between vehicles at the kerb.
        busy: Whether more of the places for vehicles are taken, and more of them by vans and lorries.
        ageing: What has changed since the map was flown.
        lean: Between which the greatest displacement of roofs and crowns on the map lies, metres per metre of height;
            see `tiercel.sim.overhead.OverheadLook.lean`.
        seasons_apart: Least time between the map and the photos, seasons of the year.
        noise: Factor on the noise of street pictures.
        sharpest: Greatest sharpness of street pictures, see `tiercel.sim.sky.StreetLook.sharpness`.
        eye_heights: Between which heights cameras are held, metres, by who holds them.
        lens: How far the cameras of a data set are from what is said of them.
    """

    name: str = "plain"
    slope: Range | None = None
    valley: float = 260.0
    trees: float = 1.0
    crowd: float = 1.0
    parking: float = 1.0
    busy: bool = False
    ageing: Ageing = Ageing()
    lean: Range = (0.0, 0.0)
    seasons_apart: float = 0.0
    noise: float = 1.0
    sharpest: float = 1.0
    eye_heights: dict[str, Range] = field(default_factory=lambda: dict(EYE_HEIGHTS))
    lens: Lens = Lens()


PLAIN = Difficulty()
"""A flat, exact world: the map shows what the camera sees, and every camera is what it says it is."""

HARD = Difficulty(
    name="hard",
    slope=(0.07, 0.11),
    valley=600.0,
    trees=1.7,
    crowd=2.5,
    parking=0.7,
    busy=True,
    ageing=Ageing(trees=0.1, streets=0.1, buildings=0.04),
    lean=(0.12, 0.35),
    seasons_apart=1.0,
    noise=2.0,
    sharpest=0.3,
    eye_heights={"foot": (1.0, 2.0), "car": (1.0, 2.6), "roof": (1.8, 3.5)},
    lens=Lens(
        pitch=5.0, steepest=13.0, roll=2.5, tilt=2.5, compass=2.0, field_of_view=0.08, distortion=0.06, off_centre=0.02,
        blur=(0.3, 1.3), obstructed=0.3, quality=(60, 92),
    ),
)  # fmt: skip
"""What real maps and cameras are like: hills, an old map with leaning buildings, another season, careless cameras."""

DIFFICULTIES: dict[str, Difficulty] = {level.name: level for level in (PLAIN, HARD)}


def difficulty(name: str | Difficulty) -> Difficulty:
    """The difficulty of a name; one that is given as such is handed back.

    Raises:
        TiercelError: There is none of that name.
    """
    if isinstance(name, Difficulty):
        return name
    if name not in DIFFICULTIES:
        raise TiercelError(f"There is no difficulty '{name}': choose from {', '.join(DIFFICULTIES)}.")
    return DIFFICULTIES[name]


def in_words(level: Difficulty) -> list[str]:
    """What makes a hard world hard, one line a matter, as the documentation has it."""
    ageing, lens, eyes = level.ageing, level.lens, level.eye_heights
    slope = level.slope or (0.0, 0.0)
    low, high = min(eye[0] for eye in eyes.values()), max(eye[1] for eye in eyes.values())
    return [
        f"Hills: the steepest hundredth of the ground rises by more than {slope[0]:.0%} to {slope[1]:.0%}.",
        f"Crowds: {level.crowd:g} times the places for people, {level.trees:g} times the street trees; kerbs with "
        f"{level.parking:g} of the gaps between parked vehicles, more of them vans, and lorries in the lanes.",
        f"An older map: {ageing.trees:.0%} of the trees, the paint of {ageing.streets:.0%} of the streets and "
        f"{ageing.buildings:.0%} of the buildings were others or missing; as many buildings stood that are gone now.",
        f"Leaning: roofs and crowns lie up to {level.lean[0]:g} to {level.lean[1]:g} m off for every metre of height, "
        "walls show, and the ground is in place.",
        f"Another season: map and photos are at least {level.seasons_apart:g} season apart.",
        f"Eyes at {low:g} to {high:g} m; pitch and roll with standard deviations of {lens.pitch:g} and {lens.roll:g} "
        f"degrees, panoramas tilted by {lens.tilt:g}.",
        f"Lenses: the declared field of view is off by up to {lens.field_of_view:.0%}, lines bend by up to "
        f"{lens.distortion:.0%} at half the width, and the principal point is off by {lens.off_centre:.0%} of it.",
        f"Compass: declared headings are off with a standard deviation of {lens.compass:g} degrees.",
        f"Pictures: blur of {lens.blur[0]:g} to {lens.blur[1]:g} pixels, {level.noise:g} times the noise, JPEG "
        f"quality {lens.quality[0]} to {lens.quality[1]}; {lens.obstructed:.0%} of the photos from cars have a bonnet, "
        "the edge of a windscreen or a wiper in them.",
    ]
