"""Candidates: for each photo the likeliest places, handed on to whatever ranks them again.

`retrieve` makes them on a prepared map, `retrieve_into` does so for thousands of photos and can be interrupted, and
`candidates_of_pairs` takes them from the ranking of a benchmark's gallery. `read_candidates` reads both formats back:
JSON lines that hold all that is known (`tiercel.candidates.files` specifies them), and the plain JSON list that
rerankers of published retrieval results take.
"""

from tiercel.candidates.crops import Crops
from tiercel.candidates.files import CandidateFile, read_candidates, write_candidates, write_paper
from tiercel.candidates.lists import CORRECT_M, Candidate, CandidateList, recall
from tiercel.candidates.on_map import Plan, retrieve, retrieve_into
from tiercel.candidates.pairs import candidates_of_pairs, mark_pairs

__all__ = [
    "CORRECT_M", "Candidate", "CandidateFile", "CandidateList", "Crops", "Plan", "candidates_of_pairs", "mark_pairs",
    "read_candidates", "recall", "retrieve", "retrieve_into", "write_candidates", "write_paper",
]  # fmt: skip
