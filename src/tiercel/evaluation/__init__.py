"""Named protocols, metrics, how sure they are, and the report."""

from tiercel.evaluation.evaluate import evaluate
from tiercel.evaluation.protocol import LOCATE, QUERIES, UNSEEN, Protocol, Query
from tiercel.evaluation.report import render, write_into_card
from tiercel.evaluation.results import Row, read_rows, write_rows

__all__ = [
    "LOCATE",
    "QUERIES",
    "UNSEEN",
    "Protocol",
    "Query",
    "Row",
    "evaluate",
    "read_rows",
    "render",
    "write_into_card",
    "write_rows",
]
