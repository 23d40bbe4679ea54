"""Telling the data sets of pairs apart by their folders."""

from __future__ import annotations

from pathlib import Path

from tiercel.datasets.pairs import cvact, cvusa, folders, vigor
from tiercel.datasets.pairs.pairs import PairDataset
from tiercel.errors import TiercelError

LAYOUTS = ("vigor", "cvusa", "cvact", "folders")
SUBSET = "CVPR_subset"
"""Folder of CVUSA's distribution that holds the pairs."""

_LOOKED_FOR = (
    f"a folder splits of {', '.join(vigor.CITIES)} (VIGOR), {cvusa.LISTS['train']} (CVUSA), {cvact.FILE} (CVACT), nor "
    f"the folders {folders.PHOTOS} and {folders.TILES}"
)


def open_pairs(
    folder: str | Path, *, layout: str | None = None, area: str = "same", labels: str = "original"
) -> PairDataset:
    """Opens a data set of pairs; reads none of its lists and pictures yet.

    Args:
        folder: Where it lies.
        layout: One of `LAYOUTS`; told by what the folder holds when not given.
        area: Of VIGOR, "same" or "cross".
        labels: Of VIGOR, "original" or "corrected".

    Raises:
        TiercelError: The folder does not exist or is no such data set, or an option is unknown.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise TiercelError(f"{folder} is no folder; give the one that holds the data set of pairs.")
    if layout is not None and layout not in LAYOUTS:
        raise TiercelError(f"There is no layout '{layout}': use {', '.join(LAYOUTS)}.")
    layout = layout or recognise(folder)
    match layout:
        case "vigor":
            return vigor.Vigor(folder, area=area, labels=labels)
        case "cvusa":
            return cvusa.Cvusa(folder / SUBSET if (folder / SUBSET).is_dir() else folder)
        case "cvact":
            return cvact.Cvact(folder)
        case "folders":
            return folders.Folders(folder / folders.PHOTOS, folder / folders.TILES)
    raise TiercelError(f"{folder} is no data set of pairs: there is neither {_LOOKED_FOR}.")


def recognise(folder: Path) -> str | None:
    """Which layout a folder has, however incomplete it is; None where it has none."""
    if any(_of_vigor(folder, city) for city in vigor.CITIES):
        return "vigor"
    for root in (folder, folder / SUBSET):
        if any((root / name).is_file() for name in cvusa.LISTS.values()) or (root / "bingmap").is_dir():
            return "cvusa"
    if any((folder / name).exists() for name in (cvact.FILE, *cvact.FOLDERS.values())):
        return "cvact"
    if (folder / folders.PHOTOS).is_dir() and (folder / folders.TILES).is_dir():
        return "folders"
    return None


def _of_vigor(folder: Path, city: str) -> bool:
    lists = [name for names in vigor.LABEL_FOLDERS.values() for name in names]
    pictures = [folder / city / "panorama", folder / city / "satellite", folder / "ground" / city]
    return any(path.is_dir() for path in (*(folder / name / city for name in lists), *pictures))
