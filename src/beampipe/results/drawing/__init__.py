"""From a histogram to a figure: what to draw (views, curves), then drawing it."""
