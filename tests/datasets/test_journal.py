"""A journal survives being cut off."""

from __future__ import annotations

from pathlib import Path

from tiercel.datasets.journal import appending, read_journal


def test_what_was_appended_is_read_and_a_cut_line_costs_itself_alone(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    assert list(read_journal(path)) == []
    with appending(path) as append:
        append({"a": 1})
        append({"a": "Straße\n"})
        assert len(list(read_journal(path))) == 2  # there before the file is closed
    with path.open("ab") as file:
        file.write(b'{"a": 3, "b": [1, ')
    with appending(path) as append:
        append({"a": 4})
    assert list(read_journal(path)) == [{"a": 1}, {"a": "Straße\n"}, {"a": 4}]


def test_lines_that_are_no_objects_are_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    path.write_bytes(b'7\n[1]\n\xff\xfe\n{"a": 1}\n')
    assert list(read_journal(path)) == [{"a": 1}]
