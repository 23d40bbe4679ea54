"""The demo: a city nobody has seen, fifty photos, one page of pictures."""

SEED = 2026
"""The demo's city; training uses seeds from 10,000 on."""
