"""`fmgrid report`: names the verdicts and the pages, or prints the figures."""

from fmgrid.cli.output import print_json, say, warn
from fmgrid.reporting.writing import Report
from fmgrid.words import counted


def show_report(report: Report, *, json: bool) -> None:
    """Name the verdicts and the pages, or print the figures for a script."""
    if json:
        print_json(report.to_json())
        return
    (evidence, files), study = report, report.evidence.study
    warn(*study.left_out)
    numbers = {"experiment": len(study.scored), "run": len(study.runs), "picture": len(files) - 2}
    say(", ".join(counted(number, noun) for noun, number in numbers.items()))
    for verdict in evidence.verdicts:
        say(f"{verdict.word.lower():12} {verdict.stated.claim}")
    for path in files[-2:]:
        print(path)
