from pathlib import Path

import pytest

from tiercel.candidates.matching import FileIndex

FILES = [Path("/data/east/1.jpg"), Path("/data/west/1.jpg"), Path("/data/west/2.jpg")]


@pytest.mark.parametrize(
    ("path", "number"),
    [
        ("/data/west/1.jpg", 1),
        ("west/1.jpg", 1),
        ("1.jpg", None),  # there are two
        ("2.jpg", 2),
        ("north/2.jpg", None),
        ("3.jpg", None),
        ("st/1.jpg", None),
    ],
)
def test_all_of_a_name_has_to_fit(path, number) -> None:
    assert FileIndex(FILES).ending_in(Path(path)) == number


@pytest.mark.parametrize(
    ("path", "number"),
    [("/elsewhere/west/1.jpg", 1), ("/elsewhere/north/1.jpg", None), ("/elsewhere/2.jpg", 2), ("3.jpg", None)],
)
def test_as_much_of_a_path_as_fits(path, number) -> None:
    assert FileIndex(FILES).most_like(Path(path)) == number
