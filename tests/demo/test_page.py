"""The page stands by itself and says what was found."""

from __future__ import annotations

import base64
import io
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from tests.demo.conftest import ROOT, overhead
from tiercel.demo.page import City, Timing, data_uri, distance, render
from tiercel.demo.pictures import draw
from tiercel.demo.results import KINDS, Located, recalls

VOID = {"meta", "img", "br", "line", "path", "circle"}


class Reader(HTMLParser):
    """Collects tags with their attributes, and minds that they are closed."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def all(self, attribute: str) -> list[str]:
        return [value for _, attributes in self.tags if (value := attributes.get(attribute)) is not None]


@pytest.fixture
def page(four: list[Located]) -> str:
    city = City(7, ROOT, overhead(ROOT, 32)[0], 31.25, 4096)
    methods = {"posterior": recalls([one.error_m for one in four]), "chance & luck": [0.1, 0.2, 0.8]}
    kinds = {KINDS[one.kind]: recalls([one.error_m]) for one in four}
    pictures = [draw(one, overhead) for one in four]
    return render(city, four, pictures, methods, kinds, "a <model>", Timing({"making": 3.0, "locating": 2.0}))


def test_tags_are_closed_and_every_picture_is_inside_and_described(page: str) -> None:
    reader = Reader()
    reader.feed(page)
    assert reader.open == []
    images = [attributes for tag, attributes in reader.tags if tag == "img"]
    assert len(images) == 1 + 4 * (1 + 1 + 3 + 1)
    assert all((image["src"] or "").startswith("data:image/jpeg;base64,") and image["alt"] for image in images)


def test_nothing_is_fetched_from_outside(page: str) -> None:
    reader = Reader()
    reader.feed(page)
    assert not {"script", "link", "iframe"} & {tag for tag, _ in reader.tags}
    assert all(address.startswith("#") for address in reader.all("href"))
    assert "url(" not in page and "@import" not in page


def test_every_mark_on_the_map_leads_to_its_photo(page: str) -> None:
    reader = Reader()
    reader.feed(page)
    assert reader.all("href") == [f"#photo-{n}" for n in (1, 2, 3, 4)]
    assert [name for name in reader.all("id")] == [f"photo-{n}" for n in (1, 2, 3, 4)]


def test_it_says_what_was_found_and_escapes_names(page: str) -> None:
    assert "75<small>%</small>" in page  # three of four within 50 m
    assert "38<small>m</small>" in page  # between 30 and 45 m
    assert "500 m off" in page
    assert "a &lt;model&gt;" in page and "chance &amp; luck" in page


def test_marks_lie_where_the_photos_were_taken_and_found(page: str) -> None:
    assert 'x1="1000.0" y1="1000.0" x2="1500.0" y2="1000.0"' in page


@pytest.mark.parametrize(
    ("metres", "words"), [(0.04, "0.0 m"), (9.94, "9.9 m"), (9.96, "10 m"), (999, "999 m"), (1440, "1.4 km")]
)
def test_distances_read_as_a_person_says_them(metres: float, words: str) -> None:
    assert distance(metres) == words


def test_a_picture_survives_its_address() -> None:
    pixels = np.zeros((20, 30, 3), np.uint8)
    pixels[:, 15:] = 200
    head, _, body = data_uri(pixels).partition(",")
    assert head == "data:image/jpeg;base64"
    again = np.asarray(Image.open(io.BytesIO(base64.b64decode(body))))
    assert np.abs(again.astype(int) - pixels).mean() < 3
