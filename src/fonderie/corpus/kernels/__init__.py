"""Compiled loops over raw UTF-8: what every rule measures, in one pass per document, without a Python object.

Compiled by numba the first time they are used (some seconds) and kept beside the source; they hold no lock of the
interpreter. A kernel is a plain function of arrays, and its tests compare it with the same thing written in Python.
"""
