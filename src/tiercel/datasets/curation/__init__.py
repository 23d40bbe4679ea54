"""A benchmark of one's own: photos and a map in, the published folder out."""
