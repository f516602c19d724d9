"""Bundles, merging, commits: doing a plan's chunks exactly once, on any Dask client."""
