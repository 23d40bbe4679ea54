"""Cities without end: what each step gets, whoever renders it and however often the run was stopped."""

import dataclasses
import os
import pickle
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock

from tests.models.tiny import tiny_config
from tests.training.conftest import make_city
from tiercel.errors import TiercelError
from tiercel.training import stream as module
from tiercel.training.cities import city_folder
from tiercel.training.feeding import Cut
from tiercel.training.recipe import Cities
from tiercel.training.splits import split_of
from tiercel.training.stream import ABANDONED_S, CityStream, plan

CONFIG = tiny_config()
CITIES = Cities(window=4, uses=2, views=64, validation=0, size=2000.0)
CUT = Cut(250.0, 40.0, 2.0, 0.0, photos=4, crops=1, least=4, pixel=CONFIG.resolution)
SQUARES = Cut(400.0, 70.0, 1.0, 500.0, photos=4, crops=2, least=4, pixel=CONFIG.resolution)


def stream(folder, **changes) -> CityStream:
    return CityStream(folder, dataclasses.replace(CITIES, **changes), CONFIG, 5, "match")


@pytest.fixture
def drawn(monkeypatch) -> dict[str, object]:
    """Cities at hand at once instead of rendered ones."""
    cities: dict[str, object] = {}

    def city(self, number) -> object:
        return cities.setdefault(str(number), make_city(number, CITIES.views))

    monkeypatch.setattr(CityStream, "city", city)
    return cities


def test_every_city_serves_as_often_as_it_was_planned_for(tmp_path) -> None:
    """But for the first ones, which begin somewhere on their way so that not all end together."""
    read = stream(tmp_path)
    per_city = read.per_city(CUT)
    assert per_city == int(64 * 2 * 0.75) // 4
    places = [read.place_of(number, CUT) for number in range(40 * per_city)]
    assert len(set(places)) == len(places)
    served = Counter(city for city, _ in places)
    last = max(served)
    assert all(served[city] == per_city for city in range(4, last - 8))
    assert {turn for city, turn in places if city == 9} == set(range(per_city))


def test_the_cities_of_a_step_differ_and_are_those_at_hand(tmp_path) -> None:
    read = stream(tmp_path)
    for step in range(300):
        used = [read.place_of(number, CUT)[0] for number in (2 * step, 2 * step + 1)]
        assert used[0] != used[1]
        assert set(used) <= set(read.at_hand(step, CUT, 2)[: CITIES.window + 1])


def test_what_follows_is_announced_in_the_order_of_its_use(tmp_path) -> None:
    read = stream(tmp_path)
    first_use: dict[int, int] = {}
    for number in range(2000):
        first_use.setdefault(read.place_of(number, CUT)[0], number // CITIES.window)
    following = read.at_hand(50, CUT, 2)[CITIES.window :]
    assert [first_use[city] for city in following] == sorted(first_use[city] for city in following)


@pytest.mark.parametrize("cut", [CUT, SQUARES])
def test_panoramas_serve_as_often_as_asked(tmp_path, cut) -> None:
    city = make_city(2, 2000)
    read = stream(tmp_path, views=2000, uses=3)
    servings = plan(city, cut, read.per_city(cut), np.random.default_rng(0))
    served = np.bincount(np.concatenate([crop.photos for one in servings for crop in one]), minlength=2000)
    reached = cut.reaches(city)
    assert (served[~reached] == 0).mean() > 0.9
    assert (served > 3).mean() < 0.02
    assert served[reached].mean() == pytest.approx(3 * 0.75, rel=0.15)


def test_no_panorama_serves_twice_where_each_is_used_once(tmp_path) -> None:
    city, read = make_city(2, 2000), stream(tmp_path, views=2000, uses=1)
    servings = plan(city, CUT, read.per_city(CUT), np.random.default_rng(0))
    photos = np.concatenate([crop.photos for one in servings for crop in one])
    assert len(np.unique(photos)) > 0.99 * len(photos)
    assert all(len(set(crop.photos)) == len(crop.photos) for one in servings for crop in one)


def test_a_step_is_a_function_of_the_seed_and_itself(tmp_path, drawn) -> None:
    rng = np.random.default_rng(0)
    one, other = stream(tmp_path), pickle.loads(pickle.dumps(stream(tmp_path)))
    for step in (0, 7, 40, 7):
        some, same = (read.servings(rng, step, CUT, 2) for read in (one, other))
        for left, right in zip(some, same, strict=True):
            assert left.city.seed == right.city.seed
            assert np.array_equal(left.crops[0].photos, right.crops[0].photos)
    differs = CityStream(tmp_path, CITIES, CONFIG, 6, "match").servings(rng, 7, CUT, 2)
    assert any(not np.array_equal(a.crops[0].photos, b.crops[0].photos) for a, b in zip(some, differs, strict=True))


def test_processes_share_the_stream_out(tmp_path, drawn) -> None:
    rng = np.random.default_rng(0)
    whole = CityStream(tmp_path, CITIES, CONFIG, 5, "match").servings(rng, 3, CUT, 4)
    parts = [CityStream(tmp_path, CITIES, CONFIG, 5, "match", 0, process, 2) for process in (0, 1)]
    shared = [serving for part in parts for serving in part.servings(rng, 3, CUT, 2)]
    for one, other in zip(whole, shared, strict=True):
        assert one.city.seed == other.city.seed and np.array_equal(one.crops[0].photos, other.crops[0].photos)


def test_a_stage_leaves_out_what_earlier_ones_have_used_up(tmp_path) -> None:
    later = CityStream(tmp_path, CITIES, CONFIG, 5, "later", 100)
    assert later._seed(0) == stream(tmp_path)._seed(100)
    assert pickle.loads(pickle.dumps(later))._seed(0) == later._seed(0)


def test_only_seeds_that_train_are_rendered(tmp_path) -> None:
    read = stream(tmp_path)
    assert all(split_of(read._seed(number)) == "train" for number in range(0, 5000, 7))


def test_renderers_work_ahead_and_the_used_up_is_dropped(tmp_path) -> None:
    """With cities that are rendered for once, small ones."""
    read = stream(tmp_path, window=2, views=40, uses=1, size=500.0)
    cut = dataclasses.replace(CUT, photos=8)
    try:
        read.render_ahead(0, cut, 1)
        first = read.servings(np.random.default_rng(0), 0, cut, 1)[0].city
        assert first.overhead[1].shape[0] == round(500 / CONFIG.resolution)
        step = 2 * 3 * read.per_city(cut)
        read.render_ahead(step, cut, 1)
        later = read.servings(np.random.default_rng(0), step, cut, 1)[0].city
        assert later.seed > first.seed
        assert not city_folder(first.seed, tmp_path, read.cities, CONFIG).exists()
        assert np.asarray(first.strips[0]).any(), "what is mapped stays readable"
    finally:
        read.close()


def test_a_stage_beside_keeps_what_it_still_needs(tmp_path) -> None:
    read = stream(tmp_path)
    for number in range(6):
        city_folder(read._seed(number), tmp_path, CITIES, CONFIG).mkdir(parents=True)
    slow = tmp_path / "retrieval.needs"
    slow.write_text(str(read._seed(2)))
    read._drop_behind(5)
    there = [city_folder(read._seed(number), tmp_path, CITIES, CONFIG).is_dir() for number in range(6)]
    assert there == [False, False, True, True, True, True]
    long_ago = time.time() - ABANDONED_S - 1
    os.utime(slow, (long_ago, long_ago))
    read._drop_behind(5)
    assert not city_folder(read._seed(4), tmp_path, CITIES, CONFIG).is_dir()
    assert city_folder(read._seed(5), tmp_path, CITIES, CONFIG).is_dir()


def test_a_stage_goes_on_saying_what_it_needs(tmp_path, monkeypatch) -> None:
    """A city is at hand for longer than another stage believes that one is still running which says nothing."""
    read = stream(tmp_path)
    monkeypatch.setattr(module, "Renderers", lambda *_: type("Idle", (), {"close": lambda self: None})())
    read.render_ahead(0, CUT, 2)
    mark = tmp_path / "match.needs"
    assert mark.read_text() == str(read._seed(0))
    long_ago = time.time() - ABANDONED_S
    os.utime(mark, (long_ago, long_ago))
    read.render_ahead(1, CUT, 2)
    assert mark.stat().st_mtime < long_ago + 1, "not every step"
    read._said -= module.SAYS_EVERY_S + 1
    read.render_ahead(2, CUT, 2)
    assert mark.stat().st_mtime > long_ago + 1


def test_a_city_that_cannot_be_rendered_ends_the_waiting(tmp_path, monkeypatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(module, "prepare_city", fail)
    read = stream(tmp_path)
    with pytest.raises(OSError, match="no space"):
        module.render(read._seed(0), tmp_path, CITIES, CONFIG)
    with pytest.raises(TiercelError, match="no space left"):
        read.city(0)


def test_a_run_that_goes_on_tries_again_what_failed(tmp_path) -> None:
    read = stream(tmp_path)
    target = city_folder(read._seed(0), tmp_path, CITIES, CONFIG)
    target.parent.mkdir(parents=True)
    target.with_suffix(".failed").write_text("no space left")
    read.begin()
    assert not target.with_suffix(".failed").exists()


def test_what_another_process_renders_is_left_to_it(tmp_path) -> None:
    seed = stream(tmp_path)._seed(0)
    target = city_folder(seed, tmp_path, CITIES, CONFIG)
    target.parent.mkdir(parents=True)
    with FileLock(target.with_suffix(".lock")):
        assert not module.render(seed, tmp_path, CITIES, CONFIG)
    assert not target.is_dir()


def test_a_city_without_photos_in_reach() -> None:
    lonely = make_city(0, 1)
    lonely.positions[:] = 5.0
    with pytest.raises(TiercelError, match="render more views"):
        plan(lonely, CUT, 3, np.random.default_rng(0))


def test_renderers_end_with_a_training_that_is_killed(tmp_path) -> None:
    """Whatever kills it, nothing goes on rendering."""
    script = (
        "import os, sys, time\n"
        "from pathlib import Path\n"
        "from tests.training.test_stream import CITIES, CONFIG\n"
        "from tiercel.training.stream import Renderers\n"
        "if __name__ == '__main__':\n"
        "    pool = Renderers(Path(sys.argv[1]), CITIES, CONFIG)._pool\n"
        "    print(pool.submit(os.getpid).result(), flush=True)\n"
        "    os.kill(os.getpid(), 9)\n"
    )
    file = tmp_path / "killed.py"
    file.write_text(script)
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, str(file), str(tmp_path)], capture_output=True, text=True, cwd=root,
        env={**os.environ, "PYTHONPATH": f"{root}{os.pathsep}{root / 'src'}"}, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == -9, done.stderr
    renderer = int(done.stdout)
    for _ in range(100):
        if not Path(f"/proc/{renderer}").exists():
            return
        time.sleep(0.1)
    raise AssertionError("the renderer goes on")
