"""Taxonomies: classes come in, with a file, nested paths or WordNet; the graph above them and its label sets go out.

A label set merges classes into fewer labels: a cut, merge passes, or balanced labels. Nothing here opens an image, and
nothing is downloaded.
"""
