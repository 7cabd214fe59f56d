"""Measurements beside their peers, in one run on one machine, each at an accuracy that the run itself checks.

``netspectra bench`` runs a short selection; ``benchmarks/`` in the repository runs everything and makes the published
page. Peers (scikit-learn) and plots (matplotlib) are the extra ``bench`` and imported where they are used.
"""
