"""Measures transfer: a network and a target come in; metrics and per-example results go out.

It never shows a test label to a protocol, changes the network it is given, or reads or writes a file.
"""
