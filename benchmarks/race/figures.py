"""Figures that are no race."""

FIGURES = ()
