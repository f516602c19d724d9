"""What came out of a run: values, plots, reports, exports."""
