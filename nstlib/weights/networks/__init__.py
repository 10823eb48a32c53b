"""Trained transformer networks, each with its card (``.md``); see ``nstlib.models``."""
