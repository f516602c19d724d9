"""Batch systems that are none: commands for PATH which run jobs as processes of this machine."""
