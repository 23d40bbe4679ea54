"""The card that every checkpoint carries."""

from tiercel.training.card import METRICS, model_card
from tiercel.training.recipe import Cities, Recipe, Stage


def test_the_card_says_what_the_model_was_made_of(tmp_path) -> None:
    stages = (Stage("first", ("retrieval",), 20), Stage("second", ("match",), 10))
    recipe = Recipe(cities=Cities(train=3, validation=1, views=7, size=500.0), stages=stages, seed=5)
    (tmp_path / "first").mkdir()
    (tmp_path / "first" / "log.csv").write_text(
        "step,name,value\n10,validation_loss,3.5\n20,loss,1.0\n20,validation_loss,2.25\n20,validation_known_heading,1.5\n"
    )
    file = tmp_path / "mine.yaml"
    file.write_text("seed: 5\n# the recipe's own text\n")
    card = model_card(recipe, file, tmp_path)
    assert "license: apache-2.0" in card
    assert "Heads: retrieval, match." in card
    assert "3 cities (seeds 10000 to 10002); 500 m square, with 7 panoramas in each" in card
    assert f"`tiercel train recipes/mine.yaml -o runs/{tmp_path.name}` makes it again:" in card
    assert all(f"**{words}**" in card for words in ("What it is for.", "What it cannot do.", "How it fails."))
    assert "cities of seeds 1000" in card
    assert "Seed 5." in card and "# the recipe's own text" in card
    # The last validation only, and nothing of the stage that has no log.
    assert "| first, step 20 | loss | 2.25 |" in card and "| first, step 20 | known heading | 1.5 |" in card
    assert "3.5" not in card and "second" not in card
    assert card.rstrip().endswith(METRICS)


def test_the_card_of_a_model_that_went_on_from_another(tmp_path) -> None:
    stage = {"name": "first", "heads": ["match"], "steps": 3, "start_from": "../seedling"}
    cities = {"window": 4, "uses": 8, "hard": 0.4, "first": 50, "validation": 1}
    recipe = Recipe.from_dict({"stages": [stage], "cities": cities})
    file = tmp_path / "compact.yaml"
    file.write_text("")
    card = model_card(recipe, file, tmp_path)
    assert "Cities without end from seed 10050 on, each panorama used 8 times, 40% of them hard ones" in card
    assert "makes it again, once `recipes/seedling.yaml` has made `runs/seedling`:" in card


def test_the_card_says_how_much_of_the_time_was_spent_in_the_network(tmp_path) -> None:
    recipe = Recipe.from_dict({"stages": [{"name": "first", "heads": ["match"], "steps": 3}]})
    (tmp_path / "first").mkdir()
    rows = "50,seconds,90\n50,waiting_share,0.2\n100,seconds,30\n100,waiting_share,0\n"
    (tmp_path / "first" / "log.csv").write_text(f"step,name,value\n{rows}")
    (tmp_path / "mine.yaml").write_text("")
    card = model_card(recipe, tmp_path / "mine.yaml", tmp_path)
    assert "| first | minutes | 2 |" in card and "| first | of these in the network, % | 85 |" in card
