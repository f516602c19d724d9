"""Where the time of Beampipe's workers went, from the records."""

import statistics


def middle_stages(rows):
    """Medians of the stages [s] at the largest size, warm-up left out; empty if not measured."""
    counted = [row for row in rows if row.get("stages") and row["round"] > 0]
    if not counted:
        return {}
    most = max(row.get("files", 0) for row in counted)
    largest = [row for row in counted if row.get("files", 0) == most]
    names = dict.fromkeys(name for row in largest for name in row["stages"])
    return {
        name: statistics.median(row["stages"].get(name, 0.0) for row in largest) for name in names
    }


def share_stages(rows):
    """The same as shares of the whole."""
    stages = middle_stages(rows)
    total = sum(stages.values()) or 1.0
    return {name: seconds / total for name, seconds in stages.items()}


def name_largest(rows, n=3):
    """The largest shares in words."""
    shares = sorted(share_stages(rows).items(), key=lambda item: -item[1])
    return ", ".join(f"{name} {100 * share:.0f} %" for name, share in shares[:n])
