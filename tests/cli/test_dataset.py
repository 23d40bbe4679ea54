"""`tiercel dataset`: what is printed, and what is not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from typer.testing import Result

from tests.datasets.mapillary.server import TOKEN, Mapillary, image

Run = Callable[..., Result]
BOX = "13.361,52.501,13.379,52.509"


@pytest.fixture
def api() -> Iterator[Mapillary]:
    server = Mapillary([image(index, 13.37 + index * 1e-4, 52.505) for index in range(3)])
    yield server
    server.shutdown()
    server.server_close()


def test_mapillary_downloads_and_says_how_many(tiercel: Run, api: Mapillary, tmp_path: Path) -> None:
    arguments = ("dataset", "mapillary", "--bbox", BOX, "--token", TOKEN, "-o", tmp_path, "--api", api.url)
    result = tiercel(*arguments, "--rate", 500)
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == f"{tmp_path}: 3 new photos of 3; photos.csv lists them all\n"
    assert tiercel(*arguments).stdout == f"{tmp_path}: 0 new photos of 3, 3 were there; photos.csv lists them all\n"


def test_mapillary_takes_the_token_from_the_environment(
    tiercel: Run, api: Mapillary, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAPILLARY_TOKEN", TOKEN)
    assert tiercel("dataset", "mapillary", "--bbox", BOX, "-o", tmp_path, "--api", api.url).exit_code == 0
    assert "secret" not in tiercel("dataset", "mapillary", "--help").stdout


def test_mapillary_names_what_did_not_come(tiercel: Run, api: Mapillary, tmp_path: Path) -> None:
    api.trouble.refuse_new, api.trouble.gone = {"1000001"}, {"1000002"}
    result = tiercel("dataset", "mapillary", "--bbox", BOX, "--token", TOKEN, "-o", tmp_path, "--api", api.url)
    assert "1 new photos of 3, 1 no longer exist" in result.stdout
    assert "1000001: Photo 1000001 is refused" in result.stderr
    assert "1 photos did not come: run the same command again" in result.stderr


@pytest.mark.parametrize(
    ("box", "token", "complaint"),
    [
        ("52.50,13.36", TOKEN, "Error: --bbox '52.50,13.36' is no box: give west,south,east,north"),
        (BOX, "wrong", "Error: Mapillary refuses the token (401"),
        (BOX, "", "Error: There is no usable Mapillary token"),
        ("-10.005,5,-10.001,5.001", TOKEN, "Error: Mapillary has no photos in -10.005,5,"),
    ],
)
def test_mapillary_mistakes_are_one_sentence(
    tiercel: Run, api: Mapillary, tmp_path: Path, box: str, token: str, complaint: str
) -> None:
    result = tiercel("dataset", "mapillary", "--bbox", box, "--token", token, "-o", tmp_path, "--api", api.url)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith(complaint) and result.stderr.count("\n") == 1


@pytest.mark.parametrize("verb", ["mapillary"])
def test_help_has_an_example(tiercel: Run, verb: str) -> None:
    shown = tiercel("dataset", verb, "--help")
    assert shown.exit_code == 0 and f"tiercel dataset {verb}" in shown.stdout.split("Example", 1)[1]
