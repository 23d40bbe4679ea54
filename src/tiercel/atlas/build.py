"""Building an atlas: every cell of the tree through the model, in pieces that survive a killed build.

The work is done in a folder beside the final one, which gets its name only when it is complete.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tiercel.atlas import overview
from tiercel.atlas.atlas import Atlas
from tiercel.atlas.encode import Progress, Work
from tiercel.atlas.gallery import GalleryPlan
from tiercel.atlas.manifest import FILE, Manifest
from tiercel.atlas.tables import notes_folder, write_atomically
from tiercel.errors import TiercelError
from tiercel.geo import Square

if TYPE_CHECKING:
    from tiercel.maps import Basemap
    from tiercel.models import Model


def build(
    basemap: Basemap,
    model: Model,
    folder: str | Path,
    *,
    root: Square | None = None,
    gallery: GalleryPlan | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Atlas:
    """Prepares a map for a model.

    An atlas that was built from the same map for the same model is left as it is. A build that was killed goes on
    where it stopped when it is called again. Until all is done, nothing is visible at `folder`, and an atlas that is
    to be overwritten stays.

    Args:
        basemap: The map.
        model: The model.
        folder: Where the atlas is to be.
        root: Root of the tree; the smallest that covers the map, centred on it, if left out.
        gallery: Cells of the gallery, for a model that makes embeddings; the leaves if left out.
        overwrite: Whether an atlas of something else, or a damaged one, may be replaced.
        progress: Called with the number of pieces done and the number of all.

    Returns:
        The atlas, opened.

    Raises:
        TiercelError: The folder holds something else, the map covers nothing, or the disk is full or not writable.
        KeyboardInterrupt: Ctrl-C, with a message that says how to go on.
    """
    folder = Path(folder).resolve()
    manifest = Manifest.of(basemap, model, root, gallery)
    if _is_built(folder, manifest, overwrite):
        return Atlas.open(folder, model)
    partial = folder.with_name(folder.name + ".partial")
    with in_plain_words(partial):
        _start(partial, manifest)
        work = Work(basemap, model, manifest, partial, progress)
        if not work.encode():
            shutil.rmtree(partial)
            raise TiercelError(
                f"The map {basemap.name} covers no place, all of it is without data; check its nodata value."
            )
        _draw_overview(work)
        _publish(partial, folder, manifest.model_copy(update={"versions": work.versions}))
    return Atlas.open(folder, model)


def _draw_overview(work: Work) -> None:
    path = work.folder / work.manifest.overview
    if not path.exists():
        root = work.manifest.zoom_tree.root
        # Finer than the map itself would only be larger.
        pixels = min(overview.PIXELS, int(np.ceil(root.side / work.basemap.resolution)))
        write_atomically(path, overview.to_png(*work.basemap.read(root, pixels)))


def _is_built(folder: Path, manifest: Manifest, overwrite: bool) -> bool:
    """Whether the atlas is there already.

    Raises:
        TiercelError: Something else is there.
    """
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return False
    if not (folder / FILE).is_file():
        raise TiercelError(f"{folder} is there already and is not an atlas; choose another place with -o.")
    try:
        different = Manifest.read(folder).differences(manifest)
        if not different:
            Atlas.open(folder)
    except TiercelError:
        if overwrite:
            return False
        raise
    if different and not overwrite:
        raise TiercelError(
            f"{folder} is an atlas of another {' and '.join(different)}; choose another place with -o, "
            "or replace it with --overwrite."
        )
    return not different


def _start(partial: Path, manifest: Manifest) -> None:
    """Makes the working folder, or keeps the one that a killed build of the same atlas left."""
    if (partial / FILE).is_file():
        try:
            if not Manifest.read(partial).differences(manifest):
                return
        except TiercelError:
            pass  # Of another format, or cut short: of no use.
        shutil.rmtree(partial)
    elif partial.exists() and any(partial.iterdir()):
        raise TiercelError(f"{partial} is in the way and is not a partial atlas; move it, or choose another -o.")
    partial.mkdir(parents=True, exist_ok=True)
    manifest.write(partial)


def _publish(partial: Path, folder: Path, manifest: Manifest) -> None:
    """Gives the complete atlas its name."""
    manifest.write(partial)
    shutil.rmtree(notes_folder(partial), ignore_errors=True)
    replaced = folder.with_name(folder.name + ".replaced")
    if folder.exists():
        shutil.rmtree(replaced, ignore_errors=True)
        os.replace(folder, replaced)
    os.replace(partial, folder)
    shutil.rmtree(replaced, ignore_errors=True)


@contextmanager
def in_plain_words(partial: Path) -> Iterator[None]:
    """Says what stopped a build and how to go on.

    Args:
        partial: Folder that keeps what is done.
    """
    again = f"run the same command again to go on (what is done is kept in {partial})"
    try:
        yield
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"Stopped; {again}.") from None
    except TiercelError:
        raise
    except Exception as error:
        if _is_disk_full(error):
            raise TiercelError(f"The disk is full; free some space and {again}.") from error
        if isinstance(error, PermissionError | NotADirectoryError) or getattr(error, "errno", None) == errno.EROFS:
            raise TiercelError(f"{partial} cannot be written ({error}); choose another place with -o.") from error
        raise


def _is_disk_full(error: Exception) -> bool:
    """Lance tells errors of the operating system in words only."""
    numbers = {errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)}
    words = ("No space left on device", "Disk quota exceeded", "not enough space on the disk")
    return getattr(error, "errno", None) in numbers or any(word in str(error) for word in words)
