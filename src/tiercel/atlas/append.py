"""Adding a district to an atlas: only its new cells are encoded, and all that is there already stays as it is.

Rows go into new versions of the tables, which nobody reads until the manifest names them; it is replaced in one step
when all is done. What a killed append left behind is taken up by the next one of the same map, and removed by that of
another.
"""

from __future__ import annotations

import math
import shutil
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tiercel.atlas import overview
from tiercel.atlas.atlas import Atlas
from tiercel.atlas.build import in_plain_words
from tiercel.atlas.encode import Progress, Work
from tiercel.atlas.manifest import MOST_LEAVES, Manifest, MapRecord, TreeRecord, reaches
from tiercel.atlas.tables import forget_versions, latest_version, notes_folder, write_atomically
from tiercel.errors import TiercelError
from tiercel.geo import Square, ZoomTree

if TYPE_CHECKING:
    from tiercel.maps import Basemap
    from tiercel.models import Model

Bounds = tuple[float, float, float, float]

_PLAN = "append.json"


def append(basemap: Basemap, model: Model, folder: str | Path, *, progress: Progress | None = None) -> Atlas:
    """Adds a district to an atlas.

    Cells that are stored already stay as they are, also where the new map shows them otherwise; each cell is encoded
    from the map that it is from alone. A map that the atlas was built from, or that was appended before, changes
    nothing. Until all is done, readers see the atlas as it was.

    Args:
        basemap: The map of the district. It is read in the atlas's frame, whatever its own.
        model: The model that the atlas was built for.
        folder: The atlas.
        progress: Called with the number of pieces done and the number of all.

    Returns:
        The atlas, opened.

    Raises:
        TiercelError: There is no such atlas, it is for another model, for a decoder, or its tree has no room for the
            district; the map covers no new cell; or the disk is full or not writable.
        KeyboardInterrupt: Ctrl-C, with a message that says how to go on.
    """
    before = Atlas.open(Path(folder).resolve(), model)
    record = MapRecord.of(basemap)
    if record.fingerprint in {known.fingerprint for known in (before.manifest.map, *before.manifest.districts)}:
        return before
    if before.square_levels:
        raise TiercelError(
            f"{before.folder} is for a decoder, which sees the map as a whole: join the maps and build another atlas."
        )
    if basemap.frame != before.frame:
        basemap = basemap.in_frame(before.frame)
    manifest = _extended(before, basemap, record)
    notes = notes_folder(before.folder)
    with in_plain_words(notes):
        before = _settled(before)
        _start(notes, manifest)
        work = Work(basemap, model, manifest, before.folder, progress, before)
        work.encode()
        if work.leaves_stored == len(before.leaf_index):
            shutil.rmtree(notes)
            raise TiercelError(
                f"The map {basemap.name} adds no cell to {before.folder}: what it covers is there already, "
                "or all of it is without data."
            )
        _draw_overview(work, before)
        manifest.model_copy(update={"versions": work.versions}).write(before.folder)
        _tidy(before, work.versions, manifest.overview)
    return Atlas.open(before.folder, model)


def _extended(before: Atlas, basemap: Basemap, record: MapRecord) -> Manifest:
    """What the atlas is to be, but for the versions of its tables."""
    districts = (*before.manifest.districts, record)
    tree = _tree_with_room(before, basemap)
    root = tree.root
    return before.manifest.model_copy(
        update={
            "tree": TreeRecord(x=root.x, y=root.y, side=root.side, branching=tree.branching, depth=tree.depth),
            "districts": districts,
            "versions": {},
            "overview": f"overview-{len(districts)}.png",
        }
    )


def _tree_with_room(before: Atlas, basemap: Basemap) -> ZoomTree:
    """The atlas's tree, or one around it that reaches the map as well.

    Only embeddings know nothing of the squares that they lie in, so that only with these alone the tree can grow.

    Raises:
        TiercelError: There is no room.
    """
    tree, bounds = before.tree, basemap.bounds
    if not all(math.isfinite(value) for value in bounds):
        raise TiercelError(
            f"The map {basemap.name} lies where {before.folder} has no coordinates; build an atlas of its own."
        )
    while not reaches(tree, bounds):
        larger = _grown(tree, bounds)
        if before.manifest.sizes.heads != ("embedding",) or larger.cells_per_side(larger.depth) > MOST_LEAVES:
            raise _no_room(before, basemap)
        tree = larger
    return tree


def _grown(tree: ZoomTree, bounds: Bounds) -> ZoomTree:
    """A tree of one more level, with the old root among its children, as far towards a map as that goes."""
    root, g = tree.root, tree.branching
    west, south, east, north = bounds
    middle_x = (min(west, root.west) + max(east, root.east)) / 2
    middle_y = (min(south, root.south) + max(north, root.north)) / 2
    # The old root in column 0 is the western child: the centre lies east of it.
    along = (np.arange(g)[::-1] - (g - 1) / 2) * root.side
    x = root.x + along[abs(root.x + along - middle_x).argmin()]
    y = root.y + along[abs(root.y + along - middle_y).argmin()]
    return ZoomTree(Square(float(x), float(y), g * root.side), g, tree.depth + 1)


def _no_room(before: Atlas, basemap: Basemap) -> TiercelError:
    root, bounds = before.tree.root, basemap.bounds
    west, south = min(bounds[0], root.west), min(bounds[1], root.south)
    east, north = max(bounds[2], root.east), max(bounds[3], root.north)
    latitude, longitude = before.frame.to_wgs84((west + east) / 2, (south + north) / 2)
    kilometres = max(east - west, north - south) / 1000
    return TiercelError(
        f"The map {basemap.name} reaches beyond the {root.side / 1000:g} km that {before.folder} has room for; build "
        f"that again with --overwrite and --around {float(latitude):.4f},{float(longitude):.4f},"
        f"{math.ceil(10 * kilometres) / 10:g}, then append."
    )


def _settled(before: Atlas) -> Atlas:
    """The atlas with its manifest naming the versions of its tables, which those of earlier releases do not."""
    missing = {table.stem: latest_version(table) for table in before.tables if table.stem not in before.versions}
    if missing:
        before.manifest.model_copy(update={"versions": before.versions | missing}).write(before.folder)
        return Atlas.open(before.folder)
    return before


def _start(notes: Path, manifest: Manifest) -> None:
    """Makes the folder of notes, or keeps the one that a killed append of the same map left."""
    plan = manifest.model_dump_json().encode()
    if (notes / _PLAN).is_file() and (notes / _PLAN).read_bytes() == plan:
        return
    shutil.rmtree(notes, ignore_errors=True)
    notes.mkdir()
    write_atomically(notes / _PLAN, plan)


def _draw_overview(work: Work, before: Atlas) -> None:
    """The picture of the whole map: as it was, and the district where there was nothing."""
    root = work.manifest.zoom_tree.root
    pixels = min(overview.PIXELS, int(np.ceil(root.side / min(before.overview_resolution, work.basemap.resolution))))
    rgb, covered = before.read(root, pixels)
    new_rgb, new = work.basemap.read(root, pixels)
    new &= ~covered
    write_atomically(
        work.folder / work.manifest.overview, overview.to_png(np.where(new[..., None], new_rgb, rgb), covered | new)
    )


def _tidy(before: Atlas, versions: dict[str, int], picture: str) -> None:
    """Removes what neither the atlas nor one who has opened it as it was needs. To fail in this does no harm."""
    with suppress(OSError, ValueError, RuntimeError):
        shutil.rmtree(notes_folder(before.folder))
        for path in before.folder.glob("overview*.png"):
            if path.name not in (before.manifest.overview, picture):
                path.unlink()
        for table in before.tables:
            forget_versions(table, {before.versions[table.stem], versions[table.stem]})
