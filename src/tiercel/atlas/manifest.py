"""What an atlas was built from: the part of it that is plain JSON."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, ValidationError

from tiercel.atlas.gallery import GalleryPlan
from tiercel.errors import TiercelError
from tiercel.geo import Square, ZoomTree

if TYPE_CHECKING:
    from tiercel.maps import Basemap
    from tiercel.models import Model

#: Raised whenever an older reader would misread a newer atlas.
FORMAT = 1
FILE = "atlas.json"
#: Share of a leaf by which a map may stick out of its tree: less than rounding and reprojection leave.
_SLACK = 0.01
#: Most leaves along a side of a tree that is planned larger than its map.
MOST_LEAVES = 4096


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class MapRecord(_Record):
    """The map. Its name and source are for people; the fingerprint tells whether it is the same."""

    name: str
    source: str
    fingerprint: str

    @classmethod
    def of(cls, basemap: Basemap) -> MapRecord:
        """The record of a map."""
        return cls(name=basemap.name, source=basemap.source, fingerprint=basemap.fingerprint())


class ModelRecord(_Record):
    """The model. Its name is for people; the fingerprint tells whether it is the same."""

    name: str
    fingerprint: str


class TreeRecord(_Record):
    """The tree: centre and side of the root in metres, children along a side, level of the leaves."""

    x: float
    y: float
    side: float
    branching: int
    depth: int


class Sizes(_Record):
    """Shapes of the features, and which heads of the model they are for."""

    heads: tuple[str, ...]
    positions: int
    headings: int
    key_width: int
    match_cells: int
    match_width: int
    zoom_width: int
    zoom_levels: int
    zoom_lowest: int = 1
    square_width: int = 0


class GalleryRecord(_Record):
    """The gallery: cells of one or several scales, each on a grid that starts in one corner (see `CellGrid`).

    Attributes:
        width: Numbers in an embedding.
        scales: Sides of the cells, in leaves.
        stride: How far apart neighbouring cells are, in their own sides.
        west: Easting of the corner from which cells are counted, metres.
        north: Northing of it.
    """

    width: int
    scales: tuple[float, ...]
    stride: float
    west: float
    north: float


class IndexRecord(_Record):
    """An approximate index over the gallery.

    Attributes:
        version: Version of the table that holds it.
        cells: How many cells it holds.
        partitions: Parts into which it divides them.
        probes: How many of them a search looks at.
        effort: How many candidates it keeps in view in each.
        recall: Share of the ten most similar cells that it found, when it was measured after building.
    """

    version: int
    cells: int
    partitions: int
    probes: int
    effort: int
    recall: float


class Manifest(_Record):
    """What an atlas was built from.

    Attributes:
        format: Version of the layout on disk.
        map: The map.
        frame: Name of the frame, "EPSG:32633" or WKT.
        tree: The tree of cells.
        model: The model.
        sizes: Shapes of the features.
        gallery: The gallery; None where the model makes no embeddings.
        districts: Maps that were appended, in their order.
        versions: For each table, by the name of its folder without its ending, the version to read. The last one where
            none is named.
        index: The approximate index; None where there is none.
        overview: Name of the picture of the whole map.
    """

    format: int
    map: MapRecord
    frame: str
    tree: TreeRecord
    model: ModelRecord
    sizes: Sizes
    gallery: GalleryRecord | None = None
    districts: tuple[MapRecord, ...] = ()
    versions: dict[str, int] = {}
    index: IndexRecord | None = None
    overview: str = "overview.png"

    @classmethod
    def of(
        cls, basemap: Basemap, model: Model, root: Square | None = None, gallery: GalleryPlan | None = None
    ) -> Manifest:
        """The manifest of the atlas of a map for a model.

        Args:
            basemap: The map.
            model: The model.
            root: Root of the tree, for one that does not follow from the map's bounds.
            gallery: Cells of the gallery, for a model that makes embeddings; the leaves if left out.

        Raises:
            TiercelError: the model's leaves do not divide the root, or a gallery was asked for and it makes no
                embeddings.
        """
        config = model.config
        if root is None:
            tree = fit_tree(basemap.bounds, config.leaf_m, config.branching)
        else:
            tree = tree_of(root, config.leaf_m, config.branching)
        if config.decoder is not None:
            tree = _of_depth(tree, config.decoder.depth, f"The map {basemap.name}", model.name)
        return cls(
            format=FORMAT,
            map=MapRecord.of(basemap),
            frame=basemap.frame.name,
            tree=TreeRecord(
                x=tree.root.x, y=tree.root.y, side=tree.root.side, branching=tree.branching, depth=tree.depth
            ),
            model=ModelRecord(name=model.name, fingerprint=model.fingerprint),
            sizes=Sizes(
                heads=tuple(config.heads),
                positions=config.positions_per_leaf**2,
                headings=config.headings,
                key_width=config.key_width,
                match_cells=config.match_cells_per_leaf,
                match_width=config.match_width,
                zoom_width=config.zoom_width,
                zoom_levels=min(config.zoom_levels, tree.depth) if "zoom" in config.heads else 0,
                zoom_lowest=config.zoom_lowest,
                square_width=config.decoder.width if config.decoder is not None else 0,
            ),
            gallery=_gallery(model, tree, gallery),
        )

    @property
    def zoom_levels(self) -> range:
        """Levels of the tree, from the top, whose cells have zoom keys; none where the model has no zoom head."""
        return range(self.tree.depth - self.sizes.zoom_levels + 1, self.tree.depth + 2 - self.sizes.zoom_lowest)

    @property
    def zoom_tree(self) -> ZoomTree:
        """The tree of cells."""
        tree = self.tree
        return ZoomTree(Square(tree.x, tree.y, tree.side), tree.branching, tree.depth)

    def differences(self, other: Manifest) -> list[str]:
        """What another atlas was built from otherwise: any of "map", "model", "tree", "gallery"; not counting names."""
        return [
            what
            for what, same in (
                ("map", self.map.fingerprint == other.map.fingerprint and self.frame == other.frame),
                ("model", self.model.fingerprint == other.model.fingerprint and self.sizes == other.sizes),
                ("tree", self.tree == other.tree),
                ("gallery", self.tree != other.tree or self.gallery == other.gallery),
            )
            if not same
        ]

    def write(self, folder: Path) -> None:
        """Writes the manifest into a folder, in one step; what is as ever is left out."""
        temporary = folder / f"{FILE}.tmp"
        temporary.write_text(self.model_dump_json(indent=2, exclude_defaults=True) + "\n", encoding="utf-8")
        temporary.replace(folder / FILE)

    @classmethod
    def read(cls, folder: Path) -> Manifest:
        """Reads the manifest of a folder.

        Raises:
            TiercelError: The folder is missing, is no atlas, or is one of another format.
        """
        if not folder.exists():
            raise TiercelError(f"There is no atlas at {folder}; make one with `tiercel build MAP -o {folder}`.")
        try:
            content = json.loads((folder / FILE).read_text(encoding="utf-8"))
            found = content["format"]
        except (OSError, ValueError, KeyError, TypeError):
            raise TiercelError(
                f"{folder} is not an atlas: it has no readable {FILE}; make one with `tiercel build`."
            ) from None
        if found != FORMAT:
            raise TiercelError(
                f"{folder} is an atlas of format {found} and this version reads {FORMAT}; "
                "build it again with --overwrite."
            )
        try:
            return cls.model_validate(content)
        except ValidationError:
            raise TiercelError(f"{folder / FILE} is damaged; build the atlas again with --overwrite.") from None


def _gallery(model: Model, tree: ZoomTree, plan: GalleryPlan | None) -> GalleryRecord | None:
    """The record of the gallery of a tree.

    Raises:
        TiercelError: A gallery was asked for, and the model makes no embeddings.
    """
    config = model.config
    if config.embedding is None:
        if plan is not None:
            raise TiercelError(
                f"Model {model.name} makes no embeddings of cells, so it has no use for a stride or scales; "
                f"leave them out, or take a model with the head 'embedding' (it has: {', '.join(config.heads)})."
            )
        return None
    plan = plan or GalleryPlan()
    root, width = tree.root, config.embedding.width
    return GalleryRecord(width=width, scales=plan.scales, stride=plan.stride, west=root.west, north=root.north)


def tree_of(root: Square, leaf_m: float, branching: int) -> ZoomTree:
    """The tree of a given root with leaves of a given side.

    Raises:
        TiercelError: the leaves do not divide it.
    """
    depth = max(1, round(math.log(root.side / leaf_m, branching)))
    if abs(leaf_m * branching**depth - root.side) > _SLACK * leaf_m:
        raise TiercelError(
            f"A square of {root.side:g} m cannot be divided into {branching} x {branching} again and again down to "
            f"cells of {leaf_m:g} m; give cells of {root.side / branching**depth:g} m."
        )
    return ZoomTree(root, branching, depth)


def fit_tree(bounds: tuple[float, float, float, float], leaf_m: float, branching: int) -> ZoomTree:
    """The smallest tree with leaves of a given side that covers a map, centred on the map.

    Args:
        bounds: West, south, east and north of the map, metres.
        leaf_m: Side of a leaf, metres.
        branching: Children along a side.

    Returns:
        A tree of depth 1 or more.
    """
    west, south, east, north = bounds
    extent = max(east - west, north - south) - _SLACK * leaf_m
    depth = 1
    while leaf_m * branching**depth < extent:
        depth += 1
    # To the millimetre: another release of the projection library must not make another tree.
    x, y = round((west + east) / 2, 3), round((south + north) / 2, 3)
    return ZoomTree(Square(x, y, leaf_m * branching**depth), branching, depth)


def root_around(basemap: Basemap, model: Model, latitude: float, longitude: float, side: float) -> Square:
    """The root of a tree that leaves room around a map for districts to come.

    Args:
        basemap: The map.
        model: The model, which knows how large leaves are.
        latitude: Of the root's centre, degrees.
        longitude: Degrees.
        side: Metres that its sides are to have at least.

    Raises:
        TiercelError: The map sticks out of it, or it has too many leaves.
    """
    x, y = (float(value) for value in basemap.frame.from_wgs84(latitude, longitude))
    if not (math.isfinite(x) and math.isfinite(y)):
        raise TiercelError(
            f"{latitude:g}, {longitude:g} is where the map {basemap.name} has no coordinates; give a place on it."
        )
    config = model.config
    tree = fit_tree((x - side / 2, y - side / 2, x + side / 2, y + side / 2), config.leaf_m, config.branching)
    if tree.cells_per_side(tree.depth) > MOST_LEAVES:
        raise TiercelError(
            f"A square of {tree.root.side / 1000:g} km has too many cells of {config.leaf_m:g} m; ask for less than "
            f"{side / 1000:g} km around the place."
        )
    if not reaches(tree, basemap.bounds):
        raise TiercelError(
            f"The map {basemap.name} does not lie within {tree.root.side / 1000:g} km around {latitude:g}, "
            f"{longitude:g}; give another place, or more kilometres."
        )
    return tree.root


def reaches(tree: ZoomTree, bounds: tuple[float, float, float, float]) -> bool:
    """Whether a tree covers a map, given by its west, south, east and north."""
    west, south, east, north = bounds
    root = tree.root.expanded(_SLACK * tree.side(tree.depth))
    return root.west <= west and root.east >= east and root.south <= south and root.north >= north


def _of_depth(tree: ZoomTree, depth: int, what: str, name: str) -> ZoomTree:
    """The tree of a model that picks a fixed number of times, around the same ground.

    Raises:
        TiercelError: The map is larger than what the model looks at.
    """
    root, side = tree.root, tree.side(tree.depth) * tree.branching**depth
    if tree.depth > depth:
        raise TiercelError(
            f"{what} needs {tree.depth} picks down to cells of {tree.side(tree.depth):g} m and model {name} makes "
            f"{depth}: cut the map to {side / 1000:g} km a side."
        )
    return ZoomTree(Square(root.x, root.y, side), tree.branching, depth)
