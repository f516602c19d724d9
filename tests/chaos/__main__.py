"""The long set: every scenario, many times, and a table of what came of it.

    python -m tests.chaos                              # 100 of the main ones, 5 of each other
    python -m tests.chaos --runs 100 --scenario "worker killed"
    python -m tests.chaos --seed 7 --others 1
    python -m tests.chaos --list

It can be interrupted; the same command goes on where it was. The table goes into
docs/explanation/chaos.md, between its marks.
"""

import tempfile
from pathlib import Path

import click
from tests.chaos.campaign import FAILED, NOT_YET, Theatre
from tests.chaos.nursery import PROJECT
from tests.chaos.records import Records, describe_commit
from tests.chaos.scenarios import all_scenarios
from tests.chaos.table import PAGE, write_table


@click.command(help=__doc__)
@click.option("--runs", default=100, help="Of each of the two main scenarios, or of those chosen.")
@click.option("--others", default=5, help="Of each other scenario.")
@click.option("--scenario", "names", multiple=True, help="Only this one (may be repeated).")
@click.option("--seed", default="1", help="All chance comes from it.")
@click.option("--again", is_flag=True, help="Forget what was played before.")
@click.option("--page", type=click.Path(path_type=Path), default=PAGE, show_default=True)
@click.option("--no-page", is_flag=True, help="Write no table.")
@click.option("--list", "is_list", is_flag=True, help="Say which scenarios there are.")
def main(**options):
    table = all_scenarios()
    if options["is_list"]:
        for scenario in table.values():
            click.echo(f"{scenario.name:40} {scenario.what}  [{', '.join(scenario.kinds)}]")
        return
    records = Records(PROJECT / "build" / "chaos" / f"seed-{options['seed']}.jsonl")
    if options["again"]:
        records.forget()
    plan = make_plan(table, options)
    play_all(plan, records, options["seed"])
    wanted = [(scenario.name, number) for scenario, number in plan]
    played = records.read(wanted)
    if not options["no_page"]:
        write_table(options["page"], table, played)
        click.echo(f"The table is in {options['page']}.")
    failed = [one for one in played if one.outcome == FAILED]
    click.echo(f"{len(played)} runs, {len(failed)} of them failed.")
    raise SystemExit(1 if failed else 0)


def make_plan(table, options):
    """Which runs of which scenarios, in turn, so that an early end leaves something of each."""
    chosen = [table[name] for name in options["names"]] or list(table.values())
    counts = {
        scenario.name: options["runs"]
        if scenario.is_main or options["names"]
        else options["others"]
        for scenario in chosen
    }
    most = max(counts.values(), default=0)
    return [
        (scenario, number)
        for number in range(most)
        for scenario in chosen
        if number < counts[scenario.name]
    ]


def play_all(plan, records, seed):
    """Play what has not been played at this commit."""
    known, commit = records.known(), describe_commit()
    left = [(scenario, number) for scenario, number in plan if (scenario.name, number) not in known]
    if not left:
        return
    folder = Path(tempfile.mkdtemp(prefix="chaos-"))
    click.echo(f"{len(left)} runs to do, {len(plan) - len(left)} are done. Folders: {folder}")
    with Theatre(folder) as theatre:
        for count, (scenario, number) in enumerate(left, start=1):
            played = theatre.record(scenario, number, seed)
            played.commit = commit
            if played.outcome != NOT_YET:
                records.add(played)
            text = f"\n{played.text}" if played.outcome == FAILED else ""
            over = " (OVER)" if played.is_over else ""
            click.echo(
                f"[{count}/{len(left)}] {scenario.name} {number} ({played.kind}): "
                f"{played.outcome}, "
                f"{played.redone:.0f} of {played.bound:.0f} done again{over}, "
                f"{played.seconds:.1f} s{text}"
            )


if __name__ == "__main__":
    main()
