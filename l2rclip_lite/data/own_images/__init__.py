"""Anybody's own images, graded in a table or sorted into a folder per rank."""
