"""The tables, and the page that they are written into."""

from benchmarks.race.contestants import CONTESTANTS
from benchmarks.race.fitting import fit

BEGIN, END = "<!-- make bench: begin -->", "<!-- make bench: end -->"


def render(records):
    cases = list(dict.fromkeys(row["case"] for row in records.rows if "case" in row))
    fits = {
        (case, who): fit(records.find(case=case, who=who)) for case in cases for who in CONTESTANTS
    }
    return "\n\n".join([render_race(cases, fits)])


def render_race(cases, fits):
    names = [who for who in CONTESTANTS if any(fits[case, who] for case in cases)]
    lines = ["| | " + " | ".join(CONTESTANTS[who].label for who in names) + " |"]
    lines.append("|---" * (len(names) + 1) + "|")
    for case in cases:
        cells = [show(fits[case, who], fits[case, "floor"]) for who in names]
        lines.append(f"| {case} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def show(one, floor):
    if one is None:
        return ""
    if floor is None:
        return f"{one.event_s * 1e6:.3f}"
    return f"{one.event_s / floor.event_s:.1f}"


def write_page(path, text):
    page = path.read_text(encoding="utf-8")
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    path.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}", encoding="utf-8")
