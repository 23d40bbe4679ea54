"""`tiercel evaluate --data` on data sets of pairs."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from typer.testing import Result

from tests.datasets.pairs.handmade import write_cvact

Run = Callable[..., Result]


def test_the_rows_are_written_and_shown(tiercel: Run, tmp_path: Path) -> None:
    folder = write_cvact(tmp_path / "CVACT")
    np.savez(tmp_path / "x.npz", queries=np.eye(4), references=np.eye(4))
    result = tiercel(
        "evaluate", "--data", folder, "--features", tmp_path / "x.npz", "-o", tmp_path / "rows.json",
        "--candidates", tmp_path / "best.jsonl", "--top", 2, "--page", tmp_path / "page.md",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert "cvact-test" in result.stdout and "100.0" in result.stdout
    assert (tmp_path / "rows.json").is_file() and (tmp_path / "best.jsonl").is_file()
    assert "| R@1, % | 100.0" in (tmp_path / "page.md").read_text()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--model", "bundled"), "has no embedding head"),
        (("--seed", "3"), "leave out --seed"),
        (("--split", "all"), "has no split 'all'"),
    ],
)
def test_wrong_input_ends_with_2_and_a_sentence(
    tiercel: Run, tmp_path: Path, options: tuple[str, ...], words: str
) -> None:
    result = tiercel("evaluate", "--data", write_cvact(tmp_path / "CVACT"), "-o", tmp_path / "rows.json", *options)
    assert result.exit_code == 2 and words in " ".join(result.output.split())
    assert not (tmp_path / "rows.json").exists()


def test_a_folder_that_nothing_is_measured_on(tiercel: Run, tmp_path: Path) -> None:
    (tmp_path / "atlas.json").write_text("{}")
    result = tiercel("evaluate", "--data", tmp_path)
    assert result.exit_code == 2 and f"{tmp_path} is an atlas: give --data a zooming" in " ".join(result.output.split())
