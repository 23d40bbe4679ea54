"""How many street pictures a second one thread renders, over places drawn from a city. Run it on an idle machine."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np

from tiercel.sim import StreetLook, StreetRenderer, make_world, sample_viewpoints


def main() -> None:
    """Time each kind of picture, compilation and shadows left out."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=float, default=2000.0)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--pictures", type=int, default=60)
    options = parser.parse_args()
    started = time.perf_counter()
    world = make_world(options.seed, options.size)
    print(f"city of {options.size:g} m: {time.perf_counter() - started:.1f} s, compilation included")
    renderer = StreetRenderer(world)
    rng = np.random.default_rng(0)
    places = sample_viewpoints(world, options.pictures, rng)
    looks = [StreetLook.sample(rng) for _ in places]
    kinds: dict[str, Callable[[float, float, StreetLook], object]] = {
        "cylinder 128 x 512, 2 x 2": lambda x, y, look: renderer.cylinder(x, y, 2.0, 0.0, 128, 512, 0.8, look),
        "cylinder 64 x 256, 2 x 2": lambda x, y, look: renderer.cylinder(x, y, 2.0, 0.0, 64, 256, 0.8, look),
        "cylinder 128 x 512, 1 ray": lambda x, y, look: renderer.cylinder(x, y, 2.0, 0.0, 128, 512, 0.8, look, 1),
        "perspective 160 x 320": lambda x, y, look: renderer.perspective(x, y, 1.7, 0.0, 0.0, 90.0, 160, 320, look),
        "panorama 512 x 1024": lambda x, y, look: renderer.panorama(x, y, 2.0, 0.0, 512, 1024, look),
    }
    for name, render in kinds.items():
        for place, look in zip(places[:4], looks[:4], strict=True):
            render(place["x"], place["y"], look)
        for index in range(len(renderer.suns)):  # cast the shadows of every sun
            render(places[0]["x"], places[0]["y"], StreetLook(sun=index))
        wall, work = time.perf_counter(), time.process_time()
        for place, look in zip(places, looks, strict=True):
            render(place["x"], place["y"], look)
        wall, work = time.perf_counter() - wall, time.process_time() - work
        print(f"{name:32} {len(places) / wall:7.1f} a second ({len(places) / work:.1f} a second of processor time)")


if __name__ == "__main__":
    main()
