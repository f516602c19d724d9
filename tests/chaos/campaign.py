"""Playing scenarios: one, or a long list of them that can be interrupted and gone on with."""

import random
import shutil
import time
import traceback
from dataclasses import dataclass, field
from pathlib import Path

from tests.chaos.clusters import Separate
from tests.chaos.data import make_files
from tests.chaos.nursery import Nursery
from tests.chaos.scenarios import NotYetError
from tests.chaos.stage import Stage

EXACT, HONEST, FAILED, NOT_YET = "exact", "honest", "failed", "not yet"


@dataclass
class Played:
    """One run of one scenario, as it is written down."""

    scenario: str
    number: int
    kind: str
    seed: str
    outcome: str
    seconds: float
    redone: float = 0.0
    bound: float = 0.0
    on_the_dead: float = 0.0
    events_missing: int = 0
    text: str = ""
    folder: str = ""
    commit: str = ""
    is_over: bool = False


@dataclass
class Theatre:
    """The nursery, the files and the clusters that all scenarios share."""

    folder: Path
    shared: dict = field(default_factory=dict)

    def __enter__(self):
        self.shared["folder"] = self.folder
        self.files = make_files(self.folder / "files")
        self.nursery = Nursery().__enter__()
        return self

    def __exit__(self, *details):
        for cluster in self.shared.values():
            if isinstance(cluster, Separate):
                cluster.end()
        self.nursery.__exit__(*details)

    def play(self, scenario, kind, seed):
        """Play a scenario once; its folder stays if it fails.

        Raises
        ------
        AssertionError
            With the whole story.
        """
        folder = self.folder / f"{abs(hash(seed)):x}"[:10]
        folder.mkdir()
        rng = random.Random(seed)  # noqa: S311 (chance, no secret)
        with Stage(folder, self.nursery, self.files, rng, kind, self.shared) as stage:
            try:
                checked = scenario.play(stage)
            except NotYetError:
                raise
            except Exception as error:
                story = folder / "story.txt"
                story.write_text(f"{stage.story()}\n{traceback.format_exc()}")
                raise AssertionError(
                    f"{scenario.name} on {kind}, seed {seed!r}: {error}\n"
                    f"{'; '.join(stage.notes)}\nthe whole story: {story}"
                ) from error
        shutil.rmtree(folder, ignore_errors=True)
        return checked

    def record(self, scenario, number, base_seed):
        """Play run `number` of a scenario and write down what came of it."""
        kind = scenario.kinds[number % len(scenario.kinds)]
        seed = f"{base_seed}/{scenario.name}/{number}"
        begun = time.monotonic()
        played = Played(scenario.name, number, kind, seed, FAILED, 0.0)
        try:
            checked = self.play(scenario, kind, seed)
        except NotYetError as error:
            played.outcome, played.text = NOT_YET, str(error)
        except AssertionError as error:
            played.text = str(error)
        else:
            played.outcome = checked.outcome
            played.events_missing = checked.events_missing
            played.is_over = checked.is_over
            for name in ("redone", "bound", "on_the_dead"):
                setattr(played, name, getattr(checked.redone, name))
        played.seconds = time.monotonic() - begun
        return played
