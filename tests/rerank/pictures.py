"""A photo and candidates with pictures on disk, made in a moment."""

from pathlib import Path

import numpy as np
from PIL import Image

from tiercel.candidates import Candidate, CandidateList


def save(path: Path, seed: int, size: tuple[int, int] = (96, 96)) -> Path:
    """A picture of coloured noise, (width, height)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(1, 255, (size[1] // 8, size[0] // 8, 3), np.uint8)
    Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC).save(path)
    return path


def a_list(folder: Path, count: int = 4, *, correct: int = 1, heading: float | None = None) -> CandidateList:
    """A panorama and some candidates, the one of index `correct` the right one."""
    candidates = tuple(
        Candidate(
            cell=number,
            score=-float(number),
            crop=save(folder / f"place-{number}.png", 10 + number),
            crop_m=156.25,
            correct=number == correct,
        )
        for number in range(count)
    )
    photo = save(folder / "photo.png", 1, (128, 64))
    return CandidateList(photo, candidates, panorama=True, field_of_view=360.0, heading=heading)
