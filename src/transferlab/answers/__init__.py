"""Answers: what a study's results say, as numbers with intervals, as verdicts and as sentences.

In come declared contrasts and arrays of scores, by condition and seed; out come estimates, forecasts, findings and the sentences
of a report. The package never trains, reads or writes anything, and never looks at a store, a pack or a file.
"""
