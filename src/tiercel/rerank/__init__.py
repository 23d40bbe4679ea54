"""The second look: judges that compare candidates with the photo, and tournaments that decide among them.

A `Judge` says how likely one candidate is a better match than another, scores one alone, or ranks several. What a judge
cannot answer is unreadable: counted and shown, never a vote. Vision-language models judge through a `Backend`.
"""

from tiercel.rerank.judge import Judge, Preference, Ranking, Score

__all__ = ["Judge", "Preference", "Ranking", "Score"]
