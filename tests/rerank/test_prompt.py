from pathlib import Path

import pytest
import yaml

from tiercel.errors import TiercelError
from tiercel.rerank.prompt import FOLDER, arms, load_prompt, pieces

KINDS = {
    "pairwise": "pair", "pairwise_reasoning": "pair", "score": "point", "reasoning_score": "point", "yes_no": "point",
    "likert": "point", "reasoning_then_score": "point", "reasoning_then_yes_no": "point", "listwise": "list",
}  # fmt: skip


def test_every_arm_of_the_paper_is_there() -> None:
    assert {arm: load_prompt(arm).kind for arm in arms()} == KINDS


@pytest.mark.parametrize("arm", sorted(KINDS))
def test_arms_of_two_calls_ask_for_a_reason_first(arm: str) -> None:
    assert bool(load_prompt(arm).reason) == (arm.startswith("reasoning_then") or arm == "pairwise_reasoning")


@pytest.mark.parametrize("arm", sorted(KINDS))
def test_all_arms_begin_alike_so_that_a_photo_is_read_once(arm: str) -> None:
    assert load_prompt(arm).prefix == load_prompt("pairwise").prefix


def test_an_edited_copy_is_read(tmp_path: Path) -> None:
    content = yaml.safe_load((FOLDER / "yes_no.yaml").read_text(encoding="utf-8"))
    content |= {"version": 7, "question": "Here: {candidate}"}
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    assert load_prompt("mine", tmp_path).label == "mine v7"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"question": "Look at it."}, r"\{candidate\} must be there once"),
        ({"question": "{candidate} {picture}"}, r"\{picture\} means nothing here"),
        ({"kind": "pair"}, r"\{first\} must be there once"),
        ({"version": "new"}, "version"),
        ({"colour": "red"}, "colour"),
        ({"verdict": {"json": "?", "key": "a", "choices": ["1", "2"]}}, "choices need words"),
        ({"verdict": {"json": "?", "key": "a"}}, "needs values for its choices, or a range"),
    ],
)
def test_a_wrong_prompt_names_its_file_and_what_is_wrong(change: dict[str, object], words: str, tmp_path: Path) -> None:
    content = yaml.safe_load((FOLDER / "yes_no.yaml").read_text(encoding="utf-8")) | change
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    with pytest.raises(TiercelError, match=rf"mine\.yaml.*{words}"):
        load_prompt("mine", tmp_path)


def test_a_missing_prompt_lists_those_that_are_there() -> None:
    with pytest.raises(TiercelError, match=r"guess\.yaml does not exist.*likert"):
        load_prompt("guess")


def test_pieces_take_turns() -> None:
    assert pieces("a {b} c{d}") == ["a ", "b", " c", "d", ""]
