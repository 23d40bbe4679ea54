"""From a photo to a fix: the whole path in one object."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tiercel.atlas import Atlas
from tiercel.fix import Candidate, Fix
from tiercel.geo import Area, Square
from tiercel.maps import Basemap
from tiercel.models import Model, PhotoFeatures, RegionFit, load_model
from tiercel.models.match import polar_columns
from tiercel.photos import Photo
from tiercel.search import (
    Descent,
    Disc,
    Policy,
    Posterior,
    Region,
    Tempered,
    best_first,
    greedy,
    posterior,
    zoom_steps,
)
from tiercel.search.decoder import DecoderSquares
from tiercel.search.gallery import GalleryRetriever, GalleryScores
from tiercel.search.match import Matcher, Matches
from tiercel.search.policies import PoseScores, Retriever, zoom_policy
from tiercel.search.policy import log_sum_exp
from tiercel.search.together import encode_rig, rigs, surplus

_Swept = tuple[NDArray[np.int64], NDArray[np.float64]]

RUNNERS_UP = 6
"""Candidates in a fix."""
WIDE_DEG = 180.0
"""A photo at least so wide counts as a panorama where regions are calibrated."""


@dataclass(frozen=True)
class Prior:
    """A rough position that is known beforehand.

    Attributes:
        latitude: Degrees, WGS84.
        longitude: Degrees, WGS84.
        radius_m: Standard deviation along each axis, metres.
    """

    latitude: float
    longitude: float
    radius_m: float


@dataclass(frozen=True)
class Judged:
    """What a second look at the candidates comes to.

    Attributes:
        posterior: The probability of each leaf.
        leaves: (K,) flat, of the candidates, best first.
    """

    posterior: Posterior
    leaves: NDArray[np.int64]


class _SweptPoses(NamedTuple):
    """What the two judges say about the poses that the match looked at.

    Attributes:
        leaves: (K,) flat leaves that hold them.
        position: (n,) for each pose its position's place among all P of each of these, leaf by leaf.
        first: (n,) log-probability by the first stage.
        match: (n,) score by the match.
        rest: (K, P) what the other poses at each position hold.
    """

    leaves: NDArray[np.int64]
    position: NDArray[np.int64]
    first: NDArray[np.float64]
    match: NDArray[np.float64]
    rest: NDArray[np.float64]

    def held(self, first_weight: float, match_weight: float) -> NDArray[np.float64]:
        """(K, P) what each position holds once what its poses hold together is divided among them by both judges."""
        together = first_weight * self.first + match_weight * self.match
        together += log_sum_exp(self.first) - log_sum_exp(together)
        held = np.bincount(self.position, np.exp(together), self.rest.size).reshape(self.rest.shape)
        return np.asarray(self.rest + held)


class Analysis:
    """What every method says about one photo. Each is computed when it is first asked for.

    Args:
        locator: Holds the atlas and the model.
        photo: The photo's features.
        prior: What is known beforehand; bears on `first` and all that follows from it.
        within: The place is known to lie in a leaf that this area reaches; likewise.
    """

    def __init__(
        self, locator: Locator, photo: PhotoFeatures, prior: Prior | None = None, within: Area | None = None
    ) -> None:
        """Nothing is computed yet."""
        self.locator, self.photo, self.prior, self.within = locator, photo, prior, within
        self.calibration = locator.model.config.calibration

    @cached_property
    def poses(self) -> PoseScores:
        """Retrieval's score of every pose."""
        return self.locator.retriever.scores(self.photo, self.calibration.retrieval_temperature)

    @cached_property
    def zoom(self) -> Policy:
        """Zooming's scores. Where the zoom head leaves the last pick to retrieval's keys, these make it."""
        return zoom_policy(self.locator.atlas, self.photo, None if self._zooms_to_the_end else self.poses)

    @cached_property
    def zoom_weighed(self) -> Policy:
        """As `zoom`, but with the zoom head's part weighed against retrieval's, where retrieval makes the last pick."""
        return self.zoom if self._zooms_to_the_end else self._together

    @cached_property
    def _together(self) -> Policy:
        """Retrieval's poses, and the zoom head's scores with the weight they deserve beside them."""
        return zoom_policy(self.locator.atlas, self.photo, self.poses, self.calibration.zoom_weight)

    @property
    def _zooms_to_the_end(self) -> bool:
        return self.locator.atlas.manifest.sizes.zoom_lowest == 1

    @property
    def zoom_levels(self) -> int:
        """How many levels of the tree zooming scores, counted from the leaves."""
        return len(self.photo.zoom) and len(self.photo.zoom) + self.locator.atlas.manifest.sizes.zoom_lowest - 1

    @cached_property
    def zoom_tempered(self) -> Tempered:
        """The zoom head's scores as searches among siblings need them."""
        return Tempered(self.zoom, self.calibration.sibling_temperatures)

    @cached_property
    def zoom_greedy(self) -> Descent:
        """Zooming pick by pick, as published."""
        return greedy(self.zoom_tempered)

    @cached_property
    def zoom_best_first(self) -> Descent:
        """The exact best leaf over sibling log-probabilities."""
        return best_first(self.zoom_tempered, 1)

    @cached_property
    def zoom_global(self) -> Posterior:
        """Zooming with every leaf weighed against every other."""
        return posterior(self.zoom_weighed, temperature=self.calibration.global_temperature)

    @cached_property
    def retrieval(self) -> Posterior:
        """Retrieval alone."""
        return Posterior.from_scores(self.locator.atlas.tree, self.poses.leaf_scores)

    @cached_property
    def first(self) -> Posterior:
        """The first stage: retrieval and zooming together, and what is known beforehand."""
        return self._informed(posterior(self._together))

    def _informed(self, answer: Posterior) -> Posterior:
        """An answer once what is known beforehand is taken into account."""
        atlas = self.locator.atlas
        if self.within is not None:
            answer = answer.restricted(self.within.cells(atlas.tree, atlas.tree.depth), self.within.name)
        if self.prior is not None:
            x, y = atlas.frame.from_wgs84(self.prior.latitude, self.prior.longitude)
            answer = answer.with_prior(float(x), float(y), self.prior.radius_m)
        return answer

    @cached_property
    def match_everywhere(self) -> Posterior:
        """The geometric match as a first stage of its own: every position and heading of the map, no prior."""
        tree, scores = self.locator.atlas.tree, self.locator.matcher.everywhere(self.photos)
        leaves = np.full(tree.count(tree.depth), -np.inf)
        leaves[self.locator.atlas.leaf_index] = scores
        return Posterior.from_scores(tree, leaves)

    @cached_property
    def matches_everywhere(self) -> Matches:
        """The best poses in the leaves that are likeliest by the match alone, best first."""
        return self.places(self.match_everywhere)

    @cached_property
    def swept(self) -> _Swept:
        """The geometric match of what matters: (K,) flat leaves, (K, positions, H) scores of their poses or NaN."""
        return self._sweep(self.first)

    def _sweep(self, likely: Posterior) -> _Swept:
        """The geometric match at the headings that are likeliest in the leaves that are."""
        headings = self.poses.by_heading.astype(np.float64)
        share = np.exp(headings - log_sum_exp(headings)[:, None])
        probability = likely.probability[self.locator.atlas.leaf_index, None] * share
        leaves, scores = self.locator.matcher.sweep(self.photo, probability, self.calibration.effort)
        possible = np.isfinite(likely.log_probability[leaves])
        return leaves[possible], scores[possible]

    @cached_property
    def match_alone(self) -> Posterior:
        """The geometric match without a first stage."""
        leaves, scores = self.swept
        alone = np.full(len(self.first.probability), -np.inf)
        alone[leaves] = log_sum_exp(np.where(np.isnan(scores), -np.inf, scores).reshape(len(scores), -1))
        return Posterior.from_scores(self.first.tree, alone)

    @cached_property
    def final(self) -> Posterior:
        """The first stage, with what the swept poses hold together divided among them by the match as well."""
        return self.judged(self.calibration.first_weight, self.calibration.match_weight)

    def judged(self, first_weight: float, match_weight: float) -> Posterior:
        """As `final`, for any weights of the two judges.

        They have to agree not only on a leaf but on where in it the camera stood and which way it looked: what they say
        is added pose by pose, and summed out then.
        """
        swept = self._swept_poses
        new = self.first.log_probability.astype(np.float64)
        new[swept.leaves] = _log(swept.held(first_weight, match_weight).sum(1))
        return Posterior.from_scores(self.first.tree, new)

    @cached_property
    def _swept_poses(self) -> _SweptPoses:
        return self._both_judges(self.swept)

    def _both_judges(self, swept: _Swept) -> _SweptPoses:
        leaves, scores = swept
        poses = self.poses.poses[self.locator.atlas.rows(leaves)].astype(np.float64)
        poses += (self.first.log_probability[leaves] - log_sum_exp(poses.reshape(len(leaves), -1)))[:, None, None]
        seen = ~np.isnan(scores)
        rest = np.where(seen, 0.0, np.exp(poses)).sum(2)
        return _SweptPoses(leaves, np.nonzero(seen.reshape(rest.size, -1))[0], poses[seen], scores[seen], rest)

    @cached_property
    def at_positions(self) -> NDArray[np.float64]:
        """(stored leaves, positions) log-probability by the first stage."""
        positions = log_sum_exp(self.poses.poses.astype(np.float64))
        leaves = self.first.log_probability[self.locator.atlas.leaf_index]
        return np.asarray(positions + (leaves - log_sum_exp(positions))[:, None])

    def judged_at_positions(self, likely: Posterior) -> NDArray[np.float64]:
        """As `at_positions`, once the match has judged the poses that matter in the leaves that are `likely`."""
        swept = self._both_judges(self._sweep(likely))
        held = swept.held(self.calibration.first_weight, self.calibration.match_weight)
        judged = self.at_positions.copy()
        judged[self.locator.atlas.rows(swept.leaves)] = _log(held)
        return judged

    @property
    def photos(self) -> list[PhotoFeatures]:
        """The photos that the match looks at, each of which may have looked any way."""
        return [self.photo]

    @cached_property
    def matches(self) -> Matches:
        """The best poses in the likeliest leaves, best first."""
        return self.places(self.final)

    def places(self, answer: Posterior, leaves: NDArray[np.int64] | None = None) -> Matches:
        """The best place in each of some leaves.

        Args:
            answer: Says how likely they are.
            leaves: (K,) flat, in the order in which they are wanted; the likeliest if left out.
        """
        leaves = answer.top(self.calibration.candidates)[0] if leaves is None else leaves
        return self.locator.matcher.match_together(self.photos, leaves)

    @property
    def kind(self) -> str:
        """What is known of the photo, by which regions are calibrated: such as ``panorama`` or ``photo_north``."""
        seen = sum(int(photo.polar.any((0, 1)).sum()) for photo in self.photos)
        wide = seen >= WIDE_DEG / 360.0 * polar_columns(self.locator.model.config)
        north = any(photo.heading_known for photo in self.photos)
        return ("panorama" if wide else "photo") + ("_north" if north else "")

    def region_around(self, answer: Posterior, x: float, y: float) -> Region:
        """The circles around a place, for an answer that says otherwise than `final`; calibrated as for that."""
        fit = self.calibration.regions.get(f"match/{self.kind}", RegionFit())
        return Region(Disc(answer.tree, answer.probability, (x, y), fit.scale_m), fit.shares)

    def region(self, method: str, *, calibrated: bool = True) -> Region:
        """The circles around a method's answer that hold the truth as often as they say.

        Args:
            method: ``match`` (the fix), ``sweep``, ``fusion``, ``retrieval`` or ``global``.
            calibrated: Whether to use what was fitted for them; else the probability is taken at its word.
        """
        names = {"match": "final", "sweep": "match_alone", "fusion": "first", "global": "zoom_global"}
        answer: Posterior = getattr(self, names.get(method, method))
        around = (float(self.matches.x[0]), float(self.matches.y[0])) if method == "match" else answer.centre
        fit = self.calibration.regions.get(f"{method}/{self.kind}", RegionFit()) if calibrated else RegionFit()
        return Region(Disc(answer.tree, answer.probability, around, fit.scale_m), fit.shares)


class DecoderAnalysis(Analysis):
    """What the published zooming network says about one photo; it is all that its model has.

    Args:
        locator: Holds the atlas and the model.
        token: (width,) from `Model.encode_tokens`.
        prior: What is known beforehand.
        within: Likewise.
    """

    def __init__(
        self, locator: Locator, token: NDArray[np.float32], prior: Prior | None = None, within: Area | None = None
    ) -> None:
        """Nothing is computed yet."""
        self.locator, self.token, self.prior, self.within = locator, token, prior, within
        self.calibration = locator.model.config.calibration

    @cached_property
    def zoom(self) -> Policy:
        """The decoder's scores, computed when they are asked for."""
        return self.locator.squares.policy(self.token)

    @cached_property
    def first(self) -> Posterior:
        """The same, and what is known beforehand."""
        return self._informed(self.zoom_global)

    @property
    def final(self) -> Posterior:
        """Nothing comes behind it."""
        return self.first

    @property
    def at_positions(self) -> NDArray[np.float64]:
        """(stored leaves, 1), since the network tells no positions in a leaf apart."""
        return self.first.log_probability[self.locator.atlas.leaf_index, None].astype(np.float64)

    def judged_at_positions(self, likely: Posterior) -> NDArray[np.float64]:
        """Nothing comes behind it."""
        return self.at_positions

    @property
    def zoom_levels(self) -> int:
        """It makes every pick."""
        return self.locator.atlas.tree.depth

    @property
    def kind(self) -> str:
        """The network knows nothing of the photo but its pixels."""
        return "any"

    def places(self, answer: Posterior, leaves: NDArray[np.int64] | None = None) -> Matches:
        """The centres of leaves; the network says nothing about headings."""
        tree = answer.tree
        leaves = answer.top(self.calibration.candidates, apart=1)[0] if leaves is None else leaves
        x, y = tree.centre(tree.depth, *tree.unflat(tree.depth, leaves))
        return Matches(leaves, answer.log_probability[leaves].astype(np.float64), x, y, np.full(len(leaves), np.nan))


class MatchAnalysis(Analysis):
    """What the geometric match says by itself, where the model has no other head.

    Args:
        locator: Holds the atlas and the model.
        photos: The photos' features, each of which may have looked any way.
        prior: What is known beforehand.
        within: Likewise.
    """

    def __init__(
        self,
        locator: Locator,
        photos: Sequence[PhotoFeatures],
        prior: Prior | None = None,
        within: Area | None = None,
    ) -> None:
        """Nothing is computed yet."""
        super().__init__(locator, photos[0], prior, within)
        self._photos = list(photos)

    @property
    def photos(self) -> list[PhotoFeatures]:
        """The photos."""
        return self._photos

    @cached_property
    def first(self) -> Posterior:
        """Every position and heading of the map, and the prior."""
        return self._informed(self.match_everywhere)

    @property
    def final(self) -> Posterior:
        """Nothing comes behind it."""
        return self.first


class TogetherAnalysis(Analysis):
    """What every method says about photos from one spot.

    What is said of each position about each photo is added, as if they were independent. They are less so, since they
    share their light, their season and the cars beside them: the sum is divided by `tiercel.search.together.surplus`.

    Args:
        locator: Holds the atlas and the model.
        parts: The analyses of photos that may each have looked any way, or of rigs of them, with nothing known
            beforehand.
        count: How many photos there are in all parts together.
        prior: What is known beforehand.
        within: Likewise.
    """

    def __init__(
        self,
        locator: Locator,
        parts: Sequence[Analysis],
        count: int,
        prior: Prior | None = None,
        within: Area | None = None,
    ) -> None:
        """Nothing is computed yet."""
        self.locator, self.parts, self.count = locator, list(parts), count
        self.prior, self.within = prior, within
        self.calibration = locator.model.config.calibration

    @property
    def photos(self) -> list[PhotoFeatures]:
        """One for each rig."""
        return [part.photo for part in self.parts]

    @cached_property
    def retrieval(self) -> Posterior:
        """Retrieval alone, leaf by leaf."""
        return self._at_leaves([part.retrieval.log_probability[self._stored, None] for part in self.parts])

    @cached_property
    def first(self) -> Posterior:
        """The first stage, position by position, and the prior."""
        return self._informed(self._at_leaves([part.at_positions for part in self.parts]))

    @cached_property
    def final(self) -> Posterior:
        """The first stage and the match of all photos, position by position, and the prior."""
        return self._informed(self._at_leaves([part.judged_at_positions(self.first) for part in self.parts]))

    def places(self, answer: Posterior, leaves: NDArray[np.int64] | None = None) -> Matches:
        """The best places for all photos, with the heading of the first; without a match, those of the first part."""
        if self.locator.model.match is None:
            return self.parts[0].places(answer, leaves)
        return super().places(answer, leaves)

    @property
    def kind(self) -> str:
        """As of one photo that sees what all of them see."""
        return super().kind if self.locator.model.match is not None else "any"

    @property
    def _stored(self) -> NDArray[np.int64]:
        return self.locator.atlas.leaf_index

    def _at_leaves(self, parts: Sequence[NDArray[np.floating]]) -> Posterior:
        """Log-probabilities (stored leaves, positions) added, with the positions of each leaf summed out."""
        tree = self.locator.atlas.tree
        scores = np.full(tree.count(tree.depth), -np.inf)
        scores[self._stored] = log_sum_exp(np.sum(parts, axis=0, dtype=np.float64))
        return Posterior.from_scores(tree, scores, temperature=surplus(self.count))


def _log(held: NDArray[np.float64]) -> NDArray[np.float64]:
    """The logarithm, of nothing too."""
    return np.log(np.maximum(held, np.finfo(np.float64).tiny))


class EmbeddingAnalysis(Analysis):
    """What a model says that has the head ``embedding``, and not the finer one for retrieval.

    Args:
        locator: Holds the atlas and the model.
        photo: The photo's features.
        prior: What is known beforehand.
        within: Likewise.
        wide: Whether the photo counts as a panorama.
    """

    def __init__(
        self,
        locator: Locator,
        photo: PhotoFeatures,
        prior: Prior | None = None,
        within: Area | None = None,
        *,
        wide: bool = False,
    ) -> None:
        """Nothing is computed yet."""
        super().__init__(locator, photo, prior, within)
        self._wide = wide

    @cached_property
    def scores(self) -> GalleryScores:
        """The score of every cell of the gallery."""
        return self.locator.gallery.scores(self.photo, self.calibration.retrieval_temperature)

    @cached_property
    def retrieval(self) -> Posterior:
        """The gallery alone."""
        return Posterior.from_scores(self.locator.atlas.tree, self.scores.leaf_scores)

    @cached_property
    def first(self) -> Posterior:
        """The same, and what is known beforehand."""
        return self._informed(self.retrieval)

    @property
    def final(self) -> Posterior:
        """Nothing comes behind it."""
        return self.first

    @property
    def at_positions(self) -> NDArray[np.float64]:
        """(stored leaves, 1), since positions in a leaf are told apart by the gallery alone."""
        return self.first.log_probability[self.locator.atlas.leaf_index, None].astype(np.float64)

    def judged_at_positions(self, likely: Posterior) -> NDArray[np.float64]:
        """Nothing comes behind it."""
        return self.at_positions

    @property
    def kind(self) -> str:
        """What is known of the photo, as `Analysis.kind`."""
        return ("panorama" if self._wide else "photo") + ("_north" if self.photo.heading_known else "")

    def places(self, answer: Posterior, leaves: NDArray[np.int64] | None = None) -> Matches:
        """The best places in leaves, as far as the gallery's cells tell them."""
        leaves = answer.top(self.calibration.candidates, apart=1)[0] if leaves is None else leaves
        x, y = np.array([self.scores.place(int(leaf)) for leaf in leaves]).T
        heading = np.array([self.scores.best_heading(int(leaf)) for leaf in leaves])
        return Matches(leaves, answer.log_probability[leaves].astype(np.float64), x, y, heading)


class Locator:
    """Locates photos on a prepared map.

    Args:
        atlas: The prepared map.
        model: The model it was prepared for.
        basemap: The map itself, for sharper pictures.

    Raises:
        TiercelError: The atlas was built for another model.
    """

    def __init__(self, atlas: Atlas, model: Model, basemap: Basemap | None = None) -> None:
        """Checks that atlas and model belong together."""
        atlas.check_model(model)
        self.atlas, self.model, self.basemap = atlas, model, basemap

    @classmethod
    def open(cls, folder: str | Path, model: str | Path = "bundled", basemap: Basemap | None = None) -> Locator:
        """Open an atlas and the model it was built for.

        Args:
            folder: The atlas, from `tiercel build`.
            model: ``bundled``, a checkpoint folder, or a Hugging Face id.
            basemap: The map itself, for sharper pictures.

        Raises:
            TiercelError: The folder is no atlas, or was built for another model.
        """
        atlas = Atlas.open(folder)
        leaf_m = atlas.tree.side(atlas.tree.depth)
        return cls(atlas, load_model(model).on_grid(leaf_m), basemap)

    @cached_property
    def retriever(self) -> Retriever:
        """Retrieval over this atlas."""
        return Retriever(self.atlas)

    @cached_property
    def matcher(self) -> Matcher:
        """The geometric match over this atlas."""
        return Matcher(self.atlas, self.model)

    @cached_property
    def gallery(self) -> GalleryRetriever:
        """Retrieval over the gallery of this atlas."""
        assert self.model.embedding is not None
        return GalleryRetriever(self.atlas, float(self.model.embedding.scale.detach()))

    @cached_property
    def squares(self) -> DecoderSquares:
        """The decoder over this atlas."""
        assert self.model.decoder is not None
        return DecoderSquares.of(self.atlas, self.model.decoder.decoder)

    @cached_property
    def convergence(self) -> float:
        """Azimuth of the map's grid north in the middle of the map, degrees from true north."""
        root = self.atlas.tree.root
        return self.atlas.frame.convergence(root.x, root.y)

    def analyse(self, photo: Photo, prior: Prior | None = None, within: Area | None = None) -> Analysis:
        """What every method says about a photo, whose heading is from true north; inside, they are from grid north."""
        if self.model.decoder is not None:
            return DecoderAnalysis(self, self.model.encode_tokens([photo])[0], prior, within)
        return self._analysis([photo], self.model.encode_photos([self._on_map(photo)]), prior, within)

    def analyse_together(
        self,
        photos: Sequence[Photo],
        turns: Sequence[float] | None = None,
        prior: Prior | None = None,
        within: Area | None = None,
    ) -> Analysis:
        """As `analyse`, for photos from one spot; see `locate_together`."""
        found = rigs([self._on_map(photo) for photo in photos], turns)
        if len(photos) == 1:
            return self.analyse(photos[0], prior, within)
        if self.model.decoder is not None:
            return TogetherAnalysis(self, [self.analyse(photo) for photo in photos], len(photos), prior, within)
        return self._analysis(photos, [encode_rig(self.model, rig) for rig in found], prior, within)

    def _analysis(
        self, photos: Sequence[Photo], features: Sequence[PhotoFeatures], prior: Prior | None, within: Area | None
    ) -> Analysis:
        """The analysis that suits the model's heads, of photos from one spot that may each have looked any way."""
        if self.model.match is not None and self.model.retrieval is None:
            return MatchAnalysis(self, features, prior, within)
        parts: list[Analysis]
        known = (prior, within) if len(photos) == 1 else (None, None)
        if self.model.embedding is not None and self.model.retrieval is None:
            wide = sum(photo.field_of_view.value for photo in photos) >= WIDE_DEG
            parts = [EmbeddingAnalysis(self, one, *known, wide=wide) for one in features]
        else:
            parts = [Analysis(self, one, *known) for one in features]
        return parts[0] if len(photos) == 1 else TogetherAnalysis(self, parts, len(photos), prior, within)

    def _on_map(self, photo: Photo) -> Photo:
        """The photo with its heading, if it is known, from grid north."""
        if photo.heading is None:
            return photo
        return replace(photo, heading=replace(photo.heading, value=(photo.heading.value - self.convergence) % 360.0))

    def locate(self, photo: Photo | str | Path, prior: Prior | None = None, within: Area | None = None) -> Fix:
        """Where was this photo taken?

        Args:
            photo: A photo, or the path of one. The position it carries only scores the answer; its heading is used.
            prior: A rough position, if it may be used.
            within: An area in which the place is known to lie.

        Raises:
            TiercelError: The photo cannot be read, the prior is far off the map, or the area holds no cell of it.
        """
        return self.locate_together([photo], prior=prior, within=within)

    def locate_together(
        self,
        photos: Sequence[Photo | str | Path],
        turns: Sequence[float] | None = None,
        prior: Prior | None = None,
        within: Area | None = None,
    ) -> Fix:
        """Where were these photos taken, all from one spot?

        Where photos know their headings, or the turns between them are told, they have to agree on how the whole was
        turned; else each one's heading is found by itself.

        Args:
            photos: Photos, or their paths; panoramas and others may be mixed.
            turns: Degrees clockwise from the first photo's centre to that of each other one, if they are known.
            prior: A rough position, if it may be used.
            within: An area in which the place is known to lie.

        Returns:
            The fix, with the heading of the first photo.

        Raises:
            TiercelError: A photo cannot be read, the turns do not fit the photos, the prior is far off the map, or the
                area holds no cell of it.
        """
        opened = [photo if isinstance(photo, Photo) else Photo.open(photo) for photo in photos]
        return self.answer(opened, self.analyse_together(opened, turns, prior, within))

    def answer(self, opened: Sequence[Photo], analysis: Analysis, judged: Judged | None = None) -> Fix:
        """The fix of photos from one spot, with what they themselves say of their place beside it.

        Args:
            opened: The photos.
            analysis: What is known of them.
            judged: As in `fix`.
        """
        first, *others = [str(photo.path or "photo") for photo in opened]
        fix = replace(self.fix(analysis, first, judged), together=tuple(others))
        position = next((photo.position for photo in opened if photo.position is not None), None)
        if position is None:
            return fix
        x, y = self.atlas.frame.from_wgs84(position.latitude, position.longitude)
        # Far from the map its frame knows no distances.
        return replace(fix, gps=(float(x), float(y))) if fix.tree.root.contains(x, y) else fix

    def fix(self, analysis: Analysis, name: str, judged: Judged | None = None) -> Fix:
        """The fix that an analysis comes to.

        Args:
            analysis: What is known of the photo.
            name: Of the photo.
            judged: What somebody who compared the candidates made of it, if somebody did.
        """
        final, tree = judged.posterior if judged else analysis.final, self.atlas.tree
        matches = analysis.places(final, judged.leaves) if judged else analysis.matches
        candidates = self._candidates(matches, final)
        best = candidates[0]
        side = tree.cells_per_side(tree.depth)
        heat = np.where(self.atlas.covered(tree.depth), final.probability, np.nan).astype(np.float32)
        # The match may put the camera just across the border of the cell it looked at.
        leaf = int(tree.flat(tree.depth, *tree.cell_at(best.x, best.y, tree.depth)))
        region = analysis.region_around(final, best.x, best.y) if judged else analysis.region("match")
        return Fix(
            photo=name,
            latitude=best.latitude,
            longitude=best.longitude,
            x=best.x,
            y=best.y,
            crs=self.atlas.frame.name,
            radius_50_m=region.radius(0.5),
            radius_90_m=region.radius(0.9),
            heading=best.heading,
            candidates=candidates,
            heat=heat.reshape(side, side),
            tree=tree,
            steps=zoom_steps(tree, leaf),
        )

    def _candidates(self, matches: Matches, final: Posterior) -> list[Candidate]:
        """The best places that lie apart: a neighbouring leaf of a better one is no other place."""
        tree = self.atlas.tree
        chosen: list[Candidate] = []
        for row, leaf in enumerate(matches.leaves):
            x, y = float(matches.x[row]), float(matches.y[row])
            if any(np.hypot(x - one.x, y - one.y) < tree.side(tree.depth) for one in chosen):
                continue
            latitude, longitude = self.atlas.frame.to_wgs84(x, y)
            cell_row, cell_col = tree.unflat(tree.depth, int(leaf))
            chosen.append(
                Candidate(
                    rank=len(chosen) + 1,
                    x=x,
                    y=y,
                    latitude=float(latitude),
                    longitude=float(longitude),
                    probability=float(final.probability[leaf]),
                    level=tree.depth,
                    row=int(cell_row),
                    col=int(cell_col),
                    heading=None
                    if np.isnan(matches.heading[row])
                    else (float(matches.heading[row]) + self.convergence) % 360.0,
                    score=float(final.log_probability[leaf]),
                )
            )
            if len(chosen) == RUNNERS_UP:
                break
        return chosen

    def overhead(self, square: Square, pixels: int) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        """The map from above, from the map itself if it is at hand, else from the atlas's overview."""
        return self.basemap.read(square, pixels) if self.basemap is not None else self.atlas.read(square, pixels)
