"""What a second look is worth: judges, tournaments and controls on the same candidates."""

from tiercel.evaluation.reranking.study import Study, measure_study, read_study

__all__ = ["Study", "measure_study", "read_study"]
