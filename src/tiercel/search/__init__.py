"""From the scores of a policy to the places on the map: searches down the tree, and the probability of every leaf.

Pure numpy; knows trees and scores, no networks.
"""

from tiercel.search.descent import Descent, beam, best_first, greedy, zoom_steps
from tiercel.search.disc import Disc, Region
from tiercel.search.policy import BottomUp, LevelScores, Policy, Tempered, WeightedSum, bottom_up
from tiercel.search.posterior import Posterior, posterior

__all__ = [
    "BottomUp",
    "Descent",
    "Disc",
    "LevelScores",
    "Policy",
    "Posterior",
    "Region",
    "Tempered",
    "WeightedSum",
    "beam",
    "best_first",
    "bottom_up",
    "greedy",
    "posterior",
    "zoom_steps",
]
