"""Experiments: methods x seeds x data sets, each cell a process of its own, and a report. See examples/experiments/README.md.

config reads the TOML file, cell runs one cell, schedule runs all, state says how far they are, control works on a run in the background,
summary makes rows of results, table and plots show them, report writes all of that, cli is the command line.
"""
