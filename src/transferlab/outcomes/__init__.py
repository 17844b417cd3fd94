"""Stores results: records, arrays, plans and subsets come in, and come back checked against their hashes.

It computes no result, loads no torch, and knows nothing of studies beyond the bytes that it is given.
"""
