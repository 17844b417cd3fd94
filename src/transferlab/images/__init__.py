"""Images: where they come from and how they are kept.

In come labelled images on disk, in any format of ``sources.SOURCES``, named by a SPEC. Out come packs: square uint8 images (with
boxes, whole ones), labels, splits and a taxonomy, decoded once and mapped read-only. The package never downloads anything,
never writes to a data set, never runs code that it finds in one, and knows nothing of subsets, networks or studies.
"""
