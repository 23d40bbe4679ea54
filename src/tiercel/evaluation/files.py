"""Measurements that a YAML file describes: ``tiercel evaluate recipes/zoom-objectives.yaml``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from tiercel.errors import TiercelError

Report = Callable[[str], None]


def run_file(path: Path, work: Path = Path("runs"), report: Report = print) -> Path:
    """Measure what a file asks for.

    Args:
        path: YAML with a key ``protocol``: ``objectives``, ``metropolis``, ``retrieval``, ``fusion``, ``rerank``
            or ``experiments``.
        work: Where cities, checkpoints and atlases are kept, to be used again.
        report: Told a line now and then.

    Returns:
        The file of rows that was written.

    Raises:
        TiercelError: the file is missing, is no YAML, or asks for something else.
    """
    content = _read(path)
    protocol = content.get("protocol")
    if protocol == "metropolis":
        from tiercel.evaluation.metropolis import measure_metropolis, read_metropolis

        metropolis = read_metropolis(path, content)
        measure_metropolis(metropolis, path, work, report)
        return metropolis.results
    if protocol == "objectives":
        from tiercel.evaluation.comparison import compare, read_comparison

        comparison = read_comparison(path, content)
        compare(comparison, path, work, report)
        return comparison.results
    if protocol == "fusion":
        from tiercel.evaluation.fusion import measure_fusion, read_fusion

        fusion = read_fusion(path, content)
        measure_fusion(fusion, path, work, report)
        return fusion.results
    if protocol == "retrieval":
        from tiercel.evaluation.retrieval import measure_retrieval, read_retrieval

        retrieval = read_retrieval(path, content)
        measure_retrieval(retrieval, path, work, report)
        return retrieval.results
    if protocol == "rerank":
        from tiercel.evaluation.reranking import measure_study, read_study

        study = read_study(path, content)
        measure_study(study, path, work, report)
        return study.results
    if protocol == "experiments":
        from tiercel.evaluation.experiments import read_experiments, run_experiments

        experiments = read_experiments(path, content)
        run_experiments(experiments, path, work, report)
        return experiments.results
    names = "objectives, metropolis, retrieval, fusion, rerank or experiments"
    raise TiercelError(f"{path} has no protocol that can be measured: give 'protocol:' with {names}.")


def _read(path: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise TiercelError(f"{path} does not exist: the project's files of measurements are in recipes/.") from None
    except (yaml.YAMLError, UnicodeDecodeError):
        raise TiercelError(f"{path} is not valid YAML: compare it with those in recipes/.") from None
    if not isinstance(content, dict):
        raise TiercelError(f"{path} holds no settings: compare it with those in recipes/.")
    return content
