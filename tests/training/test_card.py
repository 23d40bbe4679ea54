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
    card = model_card(recipe, "seed: 5\n# the recipe's own text\n", tmp_path)
    assert "license: apache-2.0" in card
    assert "Heads: retrieval, match." in card
    assert "3 cities of 500 m (seeds 10000 to 10002), 7 panoramas in each" in card
    assert "cities of seeds 1000" in card
    assert "Seed 5." in card and "# the recipe's own text" in card
    # The last validation only, and nothing of the stage that has no log.
    assert "| first, step 20 | loss | 2.25 |" in card and "| first, step 20 | known heading | 1.5 |" in card
    assert "3.5" not in card and "second" not in card
    assert card.rstrip().endswith(METRICS)
