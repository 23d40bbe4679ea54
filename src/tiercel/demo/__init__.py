"""The demo: a city nobody has seen, fifty photos, one page of pictures."""
