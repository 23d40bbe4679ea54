"""The package tiledwebmaps, run in a process of its own: it changes the environment that projections depend on."""

import importlib.util
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

_LOAD = """
import json, sys
import numpy, tiledwebmaps
layout, jobs, out = sys.argv[1:]
maps = tiledwebmaps.WithDefault(tiledwebmaps.from_yaml(layout, wait_after_last_modified=0.0))
pictures = [
    maps.load(latlon=numpy.array([latitude, longitude]), bearing=0.0, meters_per_pixel=metres, shape=(pixels, pixels))
    for latitude, longitude, metres, pixels in json.loads(jobs)
]
numpy.savez(out, *pictures)
"""


def skip_without_package() -> None:
    if importlib.util.find_spec("tiledwebmaps") is None or importlib.util.find_spec("requests") is None:
        pytest.skip("the package tiledwebmaps is not installed (there are wheels for Linux on x86_64 alone)")


def load(layout: Path, jobs: Sequence[tuple[float, float, float, int]], work: Path) -> list[np.ndarray]:
    """What the package shows around (latitude, longitude, metres per pixel, pixels)."""
    skip_without_package()
    subprocess.run([sys.executable, "-c", _LOAD, str(layout), json.dumps(jobs), str(work / "out.npz")], check=True)
    with np.load(work / "out.npz") as pictures:
        return [pictures[f"arr_{index}"] for index in range(len(jobs))]


def run(script: str, **values: Any) -> Any:
    """What a script that may use `numpy`, the package's `geo` and the values (as arrays) leaves in `answer`."""
    skip_without_package()
    frame = (
        "import json, sys, numpy, tiledwebmaps\nfrom tiledwebmaps import geo\n"
        "globals().update({name: numpy.array(value) for name, value in json.loads(sys.argv[1]).items()})\n"
        f"{script}\nprint('\\n' + json.dumps(numpy.asarray(answer).tolist()))"
    )
    done = subprocess.run([sys.executable, "-c", frame, json.dumps(values)], check=True, capture_output=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])
