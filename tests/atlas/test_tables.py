import numpy as np
import pytest

from tiercel.atlas.tables import Column, Pieces, check_table, is_complete, read_column, write_atomically

COLUMNS = {"cell": Column("int64"), "grid": Column("float16", (2, 3))}


def rows(*cells: int) -> dict[str, np.ndarray]:
    grid = np.arange(6, dtype=np.float16).reshape(2, 3) + 10 * np.array(cells, np.float16)[:, None, None]
    return {"cell": np.array(cells), "grid": grid, "not a column": np.zeros(len(cells))}


def test_pieces_become_one_table_in_the_order_of_their_numbers(tmp_path) -> None:
    table = tmp_path / "cells.lance"
    first = Pieces(table, COLUMNS)
    first.write(10, rows(5))
    first.write(0, rows(7, 8))
    assert not is_complete(table)
    later = Pieces(table, COLUMNS)
    assert [later.has(piece) for piece in (0, 1, 2, 10)] == [True, False, False, True]
    later.write(1, None)
    later.write(2, rows(9))
    assert later.has(1)
    assert later.commit()
    assert later.commit()
    assert is_complete(table)
    assert check_table(table) == 4
    assert read_column(table, "cell", COLUMNS["cell"]).tolist() == [7, 8, 9, 5]
    grid = read_column(table, "grid", COLUMNS["grid"])
    assert grid.shape == (4, 2, 3)
    assert grid.dtype == np.float16
    np.testing.assert_array_equal(grid, rows(7, 8, 9, 5)["grid"])
    assert Pieces(table, COLUMNS).has(123)


def test_more_rows_than_a_batch_keep_their_order(tmp_path) -> None:
    table = tmp_path / "cells.lance"
    pieces = Pieces(table, COLUMNS)
    for piece in range(3):
        pieces.write(piece, rows(*range(piece * 600, (piece + 1) * 600)))
    pieces.commit()
    np.testing.assert_array_equal(read_column(table, "cell", COLUMNS["cell"]), np.arange(1800))
    np.testing.assert_array_equal(read_column(table, "grid", COLUMNS["grid"]), rows(*range(1800))["grid"])


def test_not_a_number_survives(tmp_path) -> None:
    table = tmp_path / "cells.lance"
    pieces = Pieces(table, COLUMNS)
    values = rows(1, 2)
    values["grid"][0, 1, 1] = np.nan
    pieces.write(0, values)
    pieces.commit()
    np.testing.assert_array_equal(read_column(table, "grid", COLUMNS["grid"]), values["grid"])


def test_pieces_without_rows_make_no_table(tmp_path) -> None:
    pieces = Pieces(tmp_path / "cells.lance", COLUMNS)
    pieces.write(0, None)
    assert not pieces.commit()
    assert not is_complete(tmp_path / "cells.lance")


def test_a_file_that_is_missing_is_found_out(tmp_path) -> None:
    table = tmp_path / "cells.lance"
    pieces = Pieces(table, COLUMNS)
    pieces.write(0, rows(1))
    pieces.commit()
    next((table / "data").iterdir()).unlink()
    with pytest.raises(ValueError, match="missing or cut short"):
        check_table(table)


def test_a_file_is_written_in_full_or_not_at_all(tmp_path, monkeypatch) -> None:
    write_atomically(tmp_path / "note", b"one")
    write_atomically(tmp_path / "note", b"two")
    assert (tmp_path / "note").read_bytes() == b"two"
    assert [path.name for path in tmp_path.iterdir()] == ["note"]
