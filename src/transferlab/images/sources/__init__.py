"""Formats that pixels come from: one file each, and the table SOURCES."""
