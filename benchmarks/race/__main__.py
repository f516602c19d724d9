"""Beampipe beside what one would use instead: the same queries over the same files.

    python -m benchmarks.race                             # everything, about an hour
    python -m benchmarks.race --quick                     # two small files each, one round
    python -m benchmarks.race --only "q5 narrow zlib" --contestants beampipe rdataframe
    python -m benchmarks.race --page docs/explanation/benchmarks.md

What was measured is kept in build/bench/*.jsonl, and not measured again; `--again` throws it away.
"""

import argparse
import os
import sys
import time
from pathlib import Path

from benchmarks.race.asking import Stands, has_column_cache, make_root_environment
from benchmarks.race.cases import all_cases
from benchmarks.race.contestants import CONTESTANTS
from benchmarks.race.figures import FIGURES
from benchmarks.race.page import render, write_page
from benchmarks.race.places import prepare_imports
from benchmarks.race.racing import Race
from benchmarks.race.records import Records

ROUNDS = 5


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only", nargs="+", metavar="WORDS", help="cases with all these words")
    parser.add_argument("--contestants", nargs="+", choices=CONTESTANTS, default=[*CONTESTANTS])
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--quick", action="store_true", help="small files, one round, no page")
    parser.add_argument("--again", action="store_true", help="throw earlier records away")
    parser.add_argument("--no-figures", action="store_true", help="the race alone")
    parser.add_argument("--page", type=Path, help="write the tables into this page")
    return parser.parse_args()


def choose_cases(wanted):
    """Cases that have all words of one of the phrases; all cases where there is no phrase."""
    cases = all_cases()
    if not wanted:
        return cases
    phrases = [set(phrase.split()) for phrase in wanted]
    chosen = [
        case
        for case in cases
        if any(phrase <= set(case.name.replace(",", "").split()) for phrase in phrases)
    ]
    if not chosen:
        sys.exit(f"no case has these words; there are: {'; '.join(case.name for case in cases)}")
    return chosen


def say(text):
    print(text, file=sys.stderr, flush=True)


def main():
    arguments = parse_arguments()
    prepare_imports()
    os.environ.setdefault("PYTHONWARNINGS", "ignore")
    kind = "quick" if arguments.quick else "race"
    records = Records(kind)
    if arguments.again:
        for name in (kind, f"{kind}-results"):
            Records(name).path.unlink(missing_ok=True)
        records = Records(kind)
    names = list(arguments.contestants)
    missing = make_root_environment(say) if "rdataframe" in names else ""
    if missing:
        say(f"RDataFrame takes no part: ROOT cannot be installed ({missing})")
        names.remove("rdataframe")
    if "second" in names and not has_column_cache():
        say("no second run: there is no column cache")
        names.remove("second")
    rounds = 1 if arguments.quick else arguments.rounds
    began = time.monotonic()
    try:
        with Stands() as stands:
            race = Race(stands, records, names, say)
            for case in choose_cases(arguments.only):
                race.run(case, rounds=rounds, quick=arguments.quick)
        if not arguments.no_figures:
            for figure in FIGURES:
                figure(records, rounds, say)  # no stand is there to disturb
    except KeyboardInterrupt:
        say("\nstopped; the same command goes on from here")
        raise SystemExit(130) from None
    say(f"took {(time.monotonic() - began) / 60:.0f} minutes")
    text = render(records, Records(f"{kind}-results"))
    print(text)
    if arguments.page:
        write_page(arguments.page, text)


if __name__ == "__main__":
    main()
