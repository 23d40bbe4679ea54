import dataclasses
import itertools
import math

import numpy as np
import pytest
import torch

from tests.models.tiny import tiny_config, tiny_model
from tests.training.conftest import CONFIG, small_stage
from tiercel.errors import TiercelError
from tiercel.models import Model
from tiercel.models.match import RANGES
from tiercel.models.retrieval import pose_scores
from tiercel.sim.landcover import CLASSES, LandCover
from tiercel.sim.world import Surface
from tiercel.training import losses
from tiercel.training.batches import MatchBatches, RetrievalBatches
from tiercel.training.feeding import FixedCities
from tiercel.training.losses import (
    UNSEEN,
    MatchLoss,
    RetrievalLoss,
    cover_in_view,
    held_right,
    in_cells,
    likely_headings,
    loss_for,
    naming_loss,
    said_by_retrieval,
)

PIXEL_M = 2 * CONFIG.resolution
STAGE = small_stage(crops_per_city=1, panoramas=0.0)


@pytest.fixture(scope="module")
def batch(noise_cities) -> dict[str, torch.Tensor]:
    return RetrievalBatches(FixedCities(noise_cities), STAGE, CONFIG, augment=False).sample(np.random.default_rng(0))


def test_keys_that_fit_at_the_stated_pose_are_right(batch, monkeypatch) -> None:
    """Each photo's query is cut from the key at its own position from its own azimuth on: nothing can fit better."""
    model = tiny_model(heads=("retrieval",))
    crops, photos = batch["strips"].shape[:2]
    bins = batch["strips"].shape[-1] // CONFIG.columns_per_heading
    keys = torch.randn(crops, batch["positions"].shape[1], 32, 4, generator=torch.Generator().manual_seed(0))
    start = batch["start"].round()
    seen = (start[..., None].long() + torch.arange(bins)) % 32
    queries = torch.stack([keys[c, p][seen[c, p]] for c in range(crops) for p in range(photos)])
    monkeypatch.setattr(model.retrieval, "keys", lambda *_: (keys, torch.zeros(keys.shape[:2])))
    monkeypatch.setattr(model.retrieval, "queries", lambda columns: 5 * queries)
    aligned = {**batch, "start": start}
    out = RetrievalLoss(model, STAGE)(aligned)
    assert out["right_unknown"] == out["right_known"] == 1
    assert out["loss"] < 0.01
    # Half of the answer where the left edge lies between two bins.
    between = RetrievalLoss(model, STAGE)({**batch, "start": start + 0.5})
    assert between["unknown_heading"] > 1
    # The same keys, but photos said to look elsewhere.
    wrong = RetrievalLoss(model, STAGE)({**batch, "start": (start + 7) % 32})
    assert wrong["right_known"] < 0.5 and wrong["loss"] > 5


def test_zoom_keys_that_fit_are_right(batch, monkeypatch) -> None:
    """Child keys that name their square and child, and queries that ask for the right ones, level by level."""
    model = tiny_model(heads=("retrieval", "zoom"))
    crops, photos = batch["strips"].shape[:2]
    squares = batch["fine_square"].shape[1] and STAGE.squares_per_crop
    names = {
        3: len(batch["root_image"]),
        2: crops,
        1: crops * squares,
    }  # squares encoded at each level, 16 children each
    crop = torch.arange(crops)[:, None].expand(crops, photos)
    right = {
        3: batch["city"][:, None] * 16 + batch["root_child"],
        2: crop * 16 + batch["middle_child"],
        1: (crop * squares + batch["fine_square"]) * 16 + batch["fine_child"],
    }
    parents_seen = {}

    def keys(image, parents, level) -> torch.Tensor:
        assert len(image) == len(parents) == names[level]
        parents_seen[level] = parents
        return 20 * torch.eye(names[level] * 16, 2000).reshape(names[level], 16, 2000)

    def queries(columns, level) -> torch.Tensor:
        asked = torch.eye(names[level] * 16, 2000)[right[level].flatten().clamp_min(0)]
        headings = torch.zeros(len(asked), 32, 2000)
        headings[torch.arange(len(asked)), batch["start"].flatten().round().long() % 32] = asked
        return headings

    monkeypatch.setattr(model.zoom, "keys", keys)
    monkeypatch.setattr(model.zoom, "queries", queries)
    out = RetrievalLoss(model, STAGE)(batch)
    for level in (1, 2, 3):
        assert out[f"right_zoom_{level}"] == 1
    assert out["zoom_loss"] < 0.5
    # What a square is told of the path is the key that its parent has for it.
    assert (parents_seen[3] == 0).all()
    assert parents_seen[2].argmax(1).tolist() == (batch["city"] * 16 + batch["root_child"][:, 0]).tolist()
    expected = torch.arange(crops)[:, None] * 16 + batch["fine_parent"]
    assert parents_seen[1].argmax(1).tolist() == expected.flatten().tolist()


def learn_by_heart(loss: torch.nn.Module, batch: dict[str, torch.Tensor], share: float) -> None:
    """A dozen steps on one batch bring its loss down to a share of what it was, and every weight has a part in it."""
    optimiser = torch.optim.Adam(loss.parameters(), lr=3e-3)
    history = []
    for _ in range(12):
        out = loss(batch)
        optimiser.zero_grad()
        out["loss"].backward()
        optimiser.step()
        history.append(float(out["loss"].detach()))
    assert all(math.isfinite(value) for value in history)
    assert min(history[-3:]) < share * history[0]
    without = [name for name, p in loss.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert without == []


@pytest.fixture
def hand_made() -> tuple[torch.Tensor, torch.Tensor]:
    """Scores of 2 photos for 3 squares of 4 children at 2 headings, and the headings."""
    scores = torch.randn(2, 12, 2, generator=torch.Generator().manual_seed(3))
    return scores, torch.tensor([1.0, 0.0])


def test_the_loss_over_siblings_knows_no_other_square(hand_made) -> None:
    scores, start = hand_made
    families = scores.reshape(2, 3, 4, 2)[torch.arange(2), torch.tensor([2, 0])]
    loss, _ = losses._child_loss(families, torch.tensor([1, 3]), start, losses.SMOOTHING)
    by_hand = 0.0
    for photo, (child, heading) in enumerate([(1, 1), (3, 0)]):
        for weight, flat, index in (
            (1.0, families[photo].flatten(), child * 2 + heading),
            (0.5, families[photo, :, heading], child),
            (0.5, families[photo].logsumexp(1), child),
        ):
            logs = flat.log_softmax(0)
            by_hand -= weight * (0.9 * float(logs[index]) + 0.1 * float(logs.mean())) / 2
    assert float(loss) == pytest.approx(by_hand, abs=1e-5)


def test_the_loss_with_rejection(hand_made) -> None:
    """The right child beside its siblings; "not here" for wrong squares, and for the right one at wrong headings."""
    scores, start = hand_made
    reject, real = torch.tensor(0.7), torch.ones(12, dtype=torch.bool)
    real[8:] = False  # the last square is a copy of another
    loss, right = losses._reject_loss(scores, torch.tensor([1, 7]), start, reject, 4, real)
    by_hand, hits = 0.0, 0
    for photo, (target, heading) in enumerate([(1, 1), (7, 0)]):
        wrong, best = [], []
        for square in range(3):
            for h in range(2):
                family = [float(value) for value in scores[photo, 4 * square : 4 * square + 4, h]]
                total = math.log(sum(map(math.exp, [*family, 0.7])))
                if h == heading:
                    best += [value - total for value in family]
                if (square, h) == (target // 4, heading):
                    by_hand -= (family[target % 4] - total) / 2
                elif square < 2:
                    wrong.append(0.7 - total)
        by_hand -= losses.REJECTED * sum(wrong) / len(wrong) / 2
        hits += int(best.index(max(best)) == target)
    assert float(loss) == pytest.approx(by_hand, abs=1e-4)
    assert float(right) == hits / 2


@pytest.mark.parametrize("objective", ["siblings", "branches", "reject", "tree"])
def test_every_objective_learns_a_batch_by_heart(noise_cities, objective) -> None:
    torch.manual_seed(0)
    stage = small_stage(heads=("zoom",), crops_per_city=1, photos_per_crop=4, panoramas=1.0, zoom_objective=objective)
    config = tiny_config(heads=("zoom",), zoom_reject=objective == "reject")
    batch = RetrievalBatches(FixedCities(noise_cities), stage, config, augment=False).sample(np.random.default_rng(0))
    loss = loss_for(Model(config), stage)
    learn_by_heart(loss, batch, 0.9)


def test_the_tree_compares_whole_paths(batch) -> None:
    """A better top pick helps all leaves below it, and only these."""
    model = tiny_model(heads=("zoom",))
    with torch.no_grad():
        columns = model.photo(batch["strips"].flatten(0, 1), False)
        levels = losses.squares_of_batch(model.zoom, columns, batch)
    root, middle, fine = levels
    assert [level.scores.shape[1] for level in levels] == [16 * 2, 16 * 2, 16 * 2 * STAGE.squares_per_crop]
    path = root.scores[:, middle.above[fine.above]] + middle.scores[:, fine.above] + fine.scores
    target = fine.target[fine.target >= 0]
    start = batch["start"].flatten()[fine.target >= 0]
    hidden = path[fine.target >= 0].masked_fill(~fine.real[None, :, None], losses.HIDDEN_SCORE)
    expected, _ = losses._child_loss(hidden, target, start)
    for level, scores in ((root, root.scores), (middle, root.scores[:, middle.above] + middle.scores)):
        inner, _ = losses._child_loss(scores, level.target, batch["start"].flatten())
        expected = expected + losses.INNER * inner
    with torch.no_grad():
        out, _ = losses.zoom_losses(model.zoom, columns, batch["start"].flatten(), batch, "tree")
    assert float(out["zoom_loss"]) == pytest.approx(float(expected), rel=1e-5)
    # The parent of each middle square is the root child that its crop lies in.
    above = middle.above.reshape(len(batch["strips"]), 16)
    assert (above == (batch["city"] * 16 + batch["root_child"][:, 0])[:, None]).all()


def test_retrieval_at_the_end_of_a_path(noise_cities, monkeypatch) -> None:
    """Where retrieval's keys make the last pick, a position's score is that of its cells and its own."""
    config = tiny_config(zoom_lowest=2)
    stage = small_stage(crops_per_city=1, panoramas=0.0, zoom_objective="tree")
    batch = RetrievalBatches(FixedCities(noise_cities), stage, config, augment=False).sample(np.random.default_rng(0))
    assert "fine_images" not in batch
    model = tiny_model(heads=("retrieval", "zoom"), zoom_lowest=2)
    crops, photos = batch["strips"].shape[:2]
    # The first positions stand for the truth to within half a step, which seldom lies across a border.
    assert (batch["position_child"][:, :photos] == batch["middle_child"]).float().mean() > 0.8
    levels = losses.squares_of_batch(model.zoom, model.photo(batch["strips"].flatten(0, 1), False), batch)
    path = losses.path_of_positions(levels, batch)
    assert path.shape == (crops * photos, batch["positions"].shape[1] * crops, 32)
    root, middle = levels
    for crop, place in itertools.product(range(crops), (0, 3, photos, photos + 5)):
        cell = crop * 16 + int(batch["position_child"][crop, place])
        above = int(batch["city"][crop] * 16 + batch["root_child"][crop, 0])
        expected = root.scores[:, above] + middle.scores[:, cell]
        assert torch.allclose(path[:, crop * batch["positions"].shape[1] + place], expected)
    seen = []
    monkeypatch.setattr(
        RetrievalLoss, "_retrieval", lambda self, *rest: seen.append(rest[-1]) or {"loss": rest[1].sum()}
    )
    loss_for(model, stage)(batch)
    assert torch.allclose(seen[0], path)


@pytest.mark.parametrize(
    ("changes", "words"),
    [({"zoom_objective": "luck"}, "choose from siblings"), ({"zoom_objective": "reject"}, "both or")],
)
def test_objectives_that_cannot_be(changes, words) -> None:
    with pytest.raises(TiercelError, match=words):
        loss_for(tiny_model(heads=("zoom",)), small_stage(heads=("zoom",), **changes))


def test_a_template_planted_at_the_truth_is_right(noise_cities, monkeypatch) -> None:
    """The loss looks for the right pose where the template really is: metres, cells and radius agree."""
    stage = small_stage(heads=("match",), crops_per_city=1, photos_per_crop=1, panoramas=1.0)
    batch = MatchBatches(FixedCities(noise_cities), stage, CONFIG, augment=False).sample(np.random.default_rng(0))
    model = tiny_model(heads=("match",))
    head = model.match
    # Move each truth to the centre of its cell, where a planted template fits exactly.
    cell = CONFIG.match_cell_m
    cells = (batch["truth"] / cell).floor().long()
    batch["truth"] = (cells + 0.5) * cell
    rng = torch.Generator().manual_seed(0)
    polar = torch.randn(2, 4, 16, 64, generator=rng)
    templates = head.template(polar, batch["start"].flatten(0, 1))
    features = 0.05 * torch.randn(2, 4, 128, 128, generator=rng)
    for crop in range(2):
        left, top = (cells[crop, 0] - head.radius).tolist()
        size = 2 * head.radius + 1
        features[crop, :, top : top + size, left : left + size] += templates[crop, 0]
    monkeypatch.setattr(head, "polar", lambda strips, around: polar)
    monkeypatch.setattr(head, "features", lambda image: features)
    out = MatchLoss(model, stage)(batch)
    assert out["right_place"] == 1
    assert out["loss"] < 0.01
    shifted = MatchLoss(model, stage)({**batch, "truth": batch["truth"] + torch.tensor([2 * cell, 0.0])})
    assert shifted["loss"] > 5


@pytest.mark.parametrize(("heads", "kind"), [(("retrieval", "zoom"), RetrievalBatches), (("match",), MatchBatches)])
def test_losses_go_down_on_a_batch_learnt_by_heart(noise_cities, heads, kind) -> None:
    torch.manual_seed(0)
    stage = small_stage(heads=heads, crops_per_city=1, photos_per_crop=4, panoramas=1.0)
    batch = kind(FixedCities(noise_cities), stage, CONFIG, augment=False).sample(np.random.default_rng(0))
    loss = loss_for(Model(tiny_config(heads=heads)), stage)
    learn_by_heart(loss, batch, 0.8)


def test_half_precision_gives_finite_losses(batch) -> None:
    loss = loss_for(Model(tiny_config(heads=("retrieval", "zoom"))), STAGE)
    with torch.autocast("cpu", torch.bfloat16):
        out = loss(batch)
    out["loss"].backward()
    assert all(torch.isfinite(value).all() for value in out.values())
    assert all(torch.isfinite(p.grad).all() for p in loss.parameters() if p.grad is not None)


@pytest.mark.parametrize("heads", [("match", "retrieval"), (), ("retrieval", "depth")])
def test_stages_that_cannot_be(heads) -> None:
    with pytest.raises(TiercelError, match=r"a stage trains \[match\], .*\[embedding\] or \[decoder\]"):
        loss_for(tiny_model(), small_stage(heads=heads))


def test_retrieval_alone(batch) -> None:
    stage = small_stage(heads=("retrieval",))
    loss = loss_for(tiny_model(heads=("retrieval",)), stage)
    assert isinstance(loss, RetrievalLoss)
    assert "zoom_loss" not in loss(batch)


def test_zooming_alone(batch) -> None:
    loss = loss_for(tiny_model(heads=("zoom",)), small_stage(heads=("zoom",)))
    out = loss(batch)
    assert torch.allclose(out["loss"], loss.stage.zoom_loss * out["zoom_loss"])
    assert "unknown_heading" not in out


def test_what_a_camera_has_in_view() -> None:
    """Grass all around, a house 20 m to the east that hides the pond behind it."""
    cover = torch.full((1, 50, 50), int(Surface.GRASS), dtype=torch.uint8)
    cover[0, 23:28, 35:37], cover[0, 23:28, 37:] = int(LandCover.BUILDING), int(Surface.WATER)
    camera, directions = torch.tensor([[51.0, 51.0]]), torch.tensor([[0.0, math.pi / 2, math.pi]])
    ranges = torch.tensor([3.0, 15.0, 21.0, 27.0, 45.0, 60.0])
    seen = cover_in_view(cover, torch.tensor([0]), camera, directions, ranges, 2.0)[0]
    grass, house = int(Surface.GRASS), int(LandCover.BUILDING)
    assert seen[:, 0].tolist() == [grass, grass, grass, grass, grass, UNSEEN]  # north, then beyond the edge
    assert seen[:, 1].tolist() == [grass, grass, house, UNSEEN, UNSEEN, UNSEEN]
    assert seen[:, 2].tolist() == [grass, grass, grass, grass, grass, UNSEEN]


def test_each_camera_looks_at_its_own_crop() -> None:
    cover = torch.stack([torch.zeros(8, 8), torch.ones(8, 8)]).to(torch.uint8)
    camera, direction = torch.full((3, 2), 8.0), torch.zeros(3, 1)
    seen = cover_in_view(cover, torch.tensor([0, 1, 0]), camera, direction, torch.tensor([3.0]), 2.0)
    assert seen.flatten().tolist() == [0, 1, 0]


def test_only_what_is_seen_needs_a_name() -> None:
    classes = torch.tensor([[3, UNSEEN], [1, 3]])
    logits = 20.0 * torch.nn.functional.one_hot(classes.clamp_min(0), CLASSES)
    loss, right = naming_loss(logits, classes)
    assert loss < 1e-3 and right == 1
    loss, right = naming_loss(logits.roll(1, -1), classes)
    assert loss > 10 and right == 0
    assert naming_loss(logits, torch.full((2, 2), UNSEEN))[0] == 0


@pytest.fixture(params=["retrieval", "match"])
def covered(request, noise_cities):  # noqa: ANN201
    """A loss that names land cover, and a batch for it."""
    stage = small_stage(heads=(request.param,), crops_per_city=1, panoramas=0.0, land_cover_loss=0.5)
    loss = loss_for(tiny_model(heads=(request.param,)), stage)
    return loss, loss.batches(FixedCities(noise_cities), stage, CONFIG, augment=False).sample(np.random.default_rng(0))


def test_land_cover_adds_to_the_loss(covered) -> None:
    """Layers that know nothing give each of the classes the same share, on the map and in the photo."""
    loss, batch = covered
    without = loss_for(loss.model, small_stage(heads=loss.stage.heads))(batch)
    layers = [module for name, module in loss.named_children() if name.startswith("name")]
    assert layers and "named_on_map" not in without
    for layer in layers:
        torch.nn.init.zeros_(layer.weight)
        torch.nn.init.zeros_(layer.bias)
    extra = loss(batch)["loss"] - without["loss"]
    assert float(extra.detach()) == pytest.approx(0.5 * 2 * math.log(CLASSES), rel=1e-3)


def test_land_cover_trains_layers_and_encoders(covered) -> None:
    loss, batch = covered
    for parameter in loss.model.parameters():
        parameter.grad = None
    loss(batch)["loss"].backward()
    assert all(float(p.grad.abs().sum()) > 0 for name, p in loss.named_parameters() if name.startswith("name"))


def test_photos_are_asked_for_what_lies_where_they_look(covered, monkeypatch) -> None:
    """The classes asked for are those of the map at each distance in each column's direction."""
    asked: list[torch.Tensor] = []

    def record(logits: torch.Tensor, classes: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        asked.append(classes)
        return logits.sum() * 0, logits.sum() * 0

    monkeypatch.setattr(losses, "naming_loss", record)
    loss, batch = covered
    loss(batch)
    cover, in_photo = batch["land_cover"], asked[1]
    assert torch.equal(asked[0], cover.long())
    if loss.stage.heads == ("match",):
        start, cell = torch.rad2deg(batch["start"][..., 0]), CONFIG.match_cell_m
        ranges = (np.arange(RANGES) + 0.5) * CONFIG.template_m / RANGES
    else:
        start, cell = batch["start"] * CONFIG.bin_deg, 4 * PIXEL_M
        ranges = np.array(CONFIG.ranges_m[1:])
    columns = in_photo.shape[2]
    turn = batch["strips"].shape[-1] / CONFIG.strip_columns * 360
    right = total = 0
    for photo, ring, column in itertools.product(range(len(in_photo)), range(len(ranges)), range(columns)):
        crop, within = divmod(photo, batch["strips"].shape[1])
        azimuth = math.radians(float(start[crop, within]) + (column + 0.5) * turn / columns)
        where = batch["truth"][crop, within].numpy() + ranges[ring] * np.array([math.sin(azimuth), -math.cos(azimuth)])
        col, row = (where // cell).astype(int)
        if in_photo[photo, ring, column] != losses.UNSEEN:
            total += 1
            right += int(cover[crop, row, col] == in_photo[photo, ring, column])
    # Ranges are rounded to whole cells, so some lie beyond the edge of a patch.
    assert total > 200 and right / total > 0.8


def test_a_truth_that_is_known_exactly_is_shared_by_the_cells_around_it() -> None:
    log = torch.randn(1, 5, 5, generator=torch.Generator().manual_seed(0)).flatten(1).log_softmax(1).reshape(1, 5, 5)
    exact = held_right(log, torch.tensor([[3.0, 1.0]]), 0.0)
    assert float(exact) == pytest.approx(float(log[0, 1, 3]))
    between = held_right(log, torch.tensor([[3.25, 1.0]]), 0.0)
    assert float(between) == pytest.approx(float(0.75 * log[0, 1, 3] + 0.25 * log[0, 1, 4]))


def test_a_truth_that_is_known_about_may_be_any_cell_near_by() -> None:
    """Whoever is sure of a cell within the error is not blamed for it, and more so the nearer it is."""
    said, sure = torch.tensor([[5.0, 5.0]]), {}
    for east in (5, 6, 10):
        log = torch.full((1, 11, 11), -30.0)
        log[0, 5, east] = 0.0
        sure[east] = float(held_right(log, said, 1.5)), float(held_right(log, said, 0.0))
    weight = [-0.5 * ((step - 5) / 1.5) ** 2 for step in range(11)]
    total = math.log(sum(math.exp(one) for one in weight))
    assert sure[6][0] == pytest.approx(weight[6] + weight[5] - 2 * total, abs=1e-3)
    assert sure[5][0] > sure[6][0] > sure[10][0] > sure[10][1]
    assert sure[6][1] == pytest.approx(-30.0)


def taught(student, teacher, batch) -> dict[str, torch.Tensor]:
    loss = loss_for(student, dataclasses.replace(STAGE, heads=("retrieval",), teacher="wide", teacher_loss=2.0))
    loss.teachers.append(teacher)
    return loss(batch)


def test_who_says_what_the_teacher_says_has_nothing_to_learn_from_it(batch) -> None:
    student, same = (tiny_model(seed=3, heads=("retrieval",)).eval() for _ in range(2))
    out = taught(student, same, batch)
    alone = loss_for(student, dataclasses.replace(STAGE, heads=("retrieval",)))(batch)
    assert float(out["taught"].detach()) == pytest.approx(0.0, abs=1e-4)
    assert float(out["loss"].detach()) == pytest.approx(float(alone["loss"].detach()), abs=1e-3)


def test_a_teacher_pulls_and_stays_as_it_is(batch) -> None:
    student, teacher = tiny_model(seed=3, heads=("retrieval",)).eval(), tiny_model(seed=4, heads=("retrieval",)).eval()
    out = taught(student, teacher, batch)
    assert float(out["taught"].detach()) > 0.01
    loss_for(student, STAGE)
    out["taught"].backward()
    assert all(parameter.grad is None for parameter in teacher.parameters())
    assert any(parameter.grad is not None and parameter.grad.abs().sum() > 0 for parameter in student.parameters())


@pytest.fixture(scope="module")
def beside(noise_cities) -> dict[str, torch.Tensor]:
    stage = small_stage(heads=("match",), crops_per_city=1, panoramas=0.0, beside="retrieval")
    return MatchBatches(FixedCities(noise_cities), stage, CONFIG, augment=False).sample(np.random.default_rng(2))


def test_what_retrieval_says_lies_where_the_match_looks(beside) -> None:
    """At the cell that holds a position of retrieval's grid, it is that pose's score, whichever way it is computed."""
    model, inside = tiny_model(seed=2, heads=("retrieval",)).eval(), 40
    start, per_position = beside["start"].flatten(0, 1), CONFIG.match_cells_per_position
    said = in_cells(said_by_retrieval(model, beside, inside), start, per_position, inside)
    photos, headings = start.shape
    assert said.shape == (photos, headings, 2, inside, inside)
    head, cell = model.retrieval, CONFIG.match_cell_m
    # The middle of both pictures is the same place: metres from it, for the first position in the north-west.
    off = (-inside / 2 + per_position / 2) * cell
    middle = beside["around_image"].shape[-1] * head.pixel_m / 2
    where = torch.full((2, 1, 2), middle + off)
    with torch.no_grad():
        columns = model.photo(beside["strips"].flatten(0, 1), False)
        keys, bias = head.keys(*head.features(beside["around_image"]), where)
        scores = pose_scores(head.queries(columns), keys.flatten(0, 1), bias.flatten())
    bins = (start / (2 * math.pi) * CONFIG.headings).round().long() % CONFIG.headings
    for photo, heading, crop in itertools.product(range(photos), range(headings), range(2)):
        found = said[photo, heading, crop, :per_position, :per_position]
        assert torch.allclose(found, scores[photo, crop, bins[photo, heading]].expand_as(found), atol=1e-4)


def test_likely_headings_stand_for_all_wrong_ones() -> None:
    """What a softmax sums over the wrong headings, estimated from a few that are drawn."""
    generator = torch.Generator().manual_seed(3)
    said = 3 * torch.randn(1, 32, generator=generator)
    scores = said + torch.randn(1, 32, generator=generator)
    right = torch.tensor([math.radians(11.25 * 5 + 3)])
    torch.manual_seed(0)
    azimuth, weight = likely_headings(said.expand(4000, -1), right.expand(4000), 3)
    bins = (azimuth / (2 * math.pi) * 32).round().long() % 32
    wrong = [bin for bin in range(32) if bin not in (4, 5, 6)]
    assert sorted(set(bins.flatten().tolist())) == wrong
    expected = scores[0, wrong].exp().sum()
    found = (scores.expand(4000, -1).gather(1, bins) + weight).exp().sum(1)
    assert float(found.mean()) == pytest.approx(float(expected), rel=0.05)
    # Fewer draws are needed for it than of headings at random.
    at_random = scores[0, wrong].exp() * len(wrong)
    assert float(found.std()) < 0.6 * float(at_random.std()) / 3**0.5


def test_the_match_is_asked_about_headings_that_retrieval_holds_likely(beside) -> None:
    stage = small_stage(heads=("match",), crops_per_city=1, beside="retrieval", likely_headings=True)
    match, other = tiny_model(seed=1, heads=("match",)), tiny_model(seed=2, heads=("retrieval",)).eval()
    likely, random = (loss_for(match, dataclasses.replace(stage, likely_headings=on)) for on in (True, False))
    for loss in (likely, random):
        loss.beside.append(other)
    torch.manual_seed(0)
    found = likely(beside)
    # They stand for all headings but three, not for one each.
    assert float(found["both"]) > float(random(beside)["both"]) + 1.0
    assert found["loss"].requires_grad


def test_likely_headings_need_a_model_that_says_what_is_likely() -> None:
    stage = small_stage(heads=("match",), likely_headings=True)
    with pytest.raises(TiercelError, match="name it by beside"):
        loss_for(tiny_model(heads=("match",)), stage)


def test_the_match_learns_beside_retrieval(beside) -> None:
    stage = small_stage(heads=("match",), crops_per_city=1, beside="retrieval", beside_weight=0.7)
    match, other = tiny_model(seed=1, heads=("match",)), tiny_model(seed=2, heads=("retrieval",)).eval()
    loss = loss_for(match, stage)
    alone = loss(beside)
    loss.beside.append(other)
    both = loss(beside)
    assert float(both["match_alone"]) == pytest.approx(float(alone["loss"].detach()), rel=1e-5)
    assert float(both["both"]) != pytest.approx(float(both["match_alone"]), rel=1e-4)
    expected = both["both"] + MatchLoss.ALONE * both["match_alone"]
    assert float(both["loss"].detach()) == pytest.approx(float(expected), rel=1e-5)
    both["loss"].backward()
    assert all(parameter.grad is None for parameter in other.parameters())
    assert not any(name.startswith("beside") for name in loss.state_dict())
