"""A procedural city in 2.5 dimensions, seen from above and from the street."""
