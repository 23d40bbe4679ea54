"""What is said of a data set."""

from pathlib import Path

from tiercel.datasets.pairs import Checked, Part


def test_a_data_set_is_whole_when_nothing_is_missing_and_nothing_wrong() -> None:
    there, lacking = Part("tiles", 3), Part("photos", 1, 2, ("a.jpg",))
    assert Checked("VIGOR", Path(), (there,), notes=("labels are off",)).whole
    assert not Checked("VIGOR", Path(), (there, lacking)).whole
    assert not Checked("VIGOR", Path(), (there,), ("a list is torn",)).whole
