"""The race: rounds in which every contestant runs each case at two sizes."""

from benchmarks.race.asking import StandError
from benchmarks.race.cases import DATA
from benchmarks.race.contestants import CONTESTANTS
from benchmarks.race.files import prepare, read_through
from benchmarks.race.judging import UnequalError, judge
from benchmarks.race.records import Records

WARM_UP = 0
"""Round 0 does not count: imports, compilation, caches of metadata."""


def takes_part(name, case):
    return CONTESTANTS[name].is_everywhere or case.data == DATA["narrow zlib"]


class Race:
    """All cases with all contestants.

    Attributes
    ----------
    stands : Stands
        Where contestants are asked.
    records : Records
        What is known already, and where what is found out goes.
    """

    def __init__(self, stands, records, names, say):
        self.stands, self.records, self.names, self.say = stands, records, names, say
        # What came out is kept too: a race that goes on compares with what was before.
        self.results = Records(f"{records.path.stem}-results")

    def run(self, case, *, rounds, quick):
        """Measure a case; what the records have is left out."""
        names = [name for name in self.names if takes_part(name, case)]
        sizes = {name: case.sizes(slow=CONTESTANTS[name].slow, quick=quick) for name in names}
        missing = [name for name in names if not self._is_done(case, name, sizes[name], rounds)]
        if not missing:
            return
        paths = prepare(case.data, max(max(pair) for pair in sizes.values()), self.say)
        read_through(paths)
        self.say(f"{case.name}: {', '.join(missing)}")
        # Another one begins each time, so that a busy minute falls on all alike.
        for number in range(WARM_UP, rounds + 1):
            turn = missing[number % len(missing) :] + missing[: number % len(missing)]
            for name in turn:
                # Who opens every file anew for every chunk is as warm after the smaller size.
                only_small = number == WARM_UP and CONTESTANTS[name].slow
                for n_files in sizes[name][: 1 if only_small else None]:
                    self._measure(case, name, paths[:n_files], number)

    def _is_done(self, case, name, sizes, rounds):
        return self._failed(case, name) or all(
            self.records.has(case=case.name, who=name, files=n, round=number)
            for n in sizes
            for number in range(WARM_UP + 1, rounds + 1)
        )

    def _failed(self, case, name):
        return any(row.get("error") for row in self.records.find(case=case.name, who=name))

    def _measure(self, case, name, paths, number):
        known = {"case": case.name, "who": name, "files": len(paths), "round": number}
        if self._failed(case, name) or (number > WARM_UP and self.records.has(**known)):
            return
        contestant = CONTESTANTS[name]
        question = {"who": name, "query": case.query, "paths": paths}
        try:
            answer = self.stands.ask(contestant.stand, question)
            apart = self._check(case, contestant, len(paths), answer["counts"])
        except (StandError, UnequalError) as error:
            self.say(f"  {name} gives no time that counts: {error}")
            self.records.add(**known, error=str(error).strip().splitlines()[-1])
            return
        events = len(paths) * case.data.events
        self.say(f"  round {number}  {name:18} {len(paths):3} files {answer['seconds']:8.3f} s")
        measured = {"seconds": answer["seconds"], "stages": answer.get("stages", {})}
        self.records.add(**known, events=events, **measured, apart=apart)

    def _check(self, case, contestant, n_files, counts):
        """Compare with the first result of that form, and with the first of all."""
        if contestant.form == "none":
            return 0.0
        known = self.results.find(case=case.name, files=n_files)
        own = [row for row in known if row["form"] == contestant.form]
        if not own:
            apart = (
                judge(contestant.form, counts, known[0]["form"], known[0]["counts"])
                if known
                else 0.0
            )
            row = {"case": case.name, "files": n_files, "form": contestant.form}
            self.results.add(**row, apart=apart, counts=counts)
            return apart
        judge(contestant.form, counts, contestant.form, own[0]["counts"])
        return own[0]["apart"]
