"""Set what the replication says of each claim beside what the study said: docs/replication.

    python scripts/show_replication.py STUDY.json BEYOND.json

The files are what `fmgrid report --json` prints; scripts/replicate.sh makes them.
"""

import json
import sys
from pathlib import Path
from typing import Any

from fmgrid.pages.document import plain
from fmgrid.reporting.phrases import show_p
from marks import ROOT, write_marked

# What the study concluded, by the beginning of our words for it; what it did not say is ours.
CONCLUDED = {
    "H1: more epochs": "confirmed",
    "H1: up to": "confirmed",
    "H2: wider": "partly confirmed",
    "H2: with": "partly confirmed",
    "H3": "confirmed",
    "H4": "rejected",
    "H5": "confirmed",
    "H6": "strongly confirmed",
    "Batch size 8": "observed",
    "RMSprop": "observed",
    "SGD fails: less": "observed",
    "Impact": "observed",
    "Combining": "observed",
    "No overfitting": "observed",
    "Asymmetric": "observed",
}

PLAINLY = {
    "CONFIRMED": "Confirmed",
    "REJECTED": "Rejected as they are stated",
    "INCONCLUSIVE": "Open",
}


def main() -> None:
    """Write the table into the page."""
    study, beyond = (json.loads(Path(name).read_text()) for name in sys.argv[1:3])
    table = "\n".join(
        [_plainly(study["verdicts"]), _table(study["verdicts"]), _beyond(beyond["verdicts"])]
    )
    page = ROOT / "docs" / "replication" / "README.md"
    write_marked(page, "show_replication.py", f"\n{table}")


def _plainly(verdicts: list[dict[str, Any]]) -> str:
    """Say of all claims of the study which hold."""
    claims: dict[str, list[str]] = {word: [] for word in PLAINLY}
    for one in sorted(verdicts, key=lambda one: _order(one["claim"])):
        claims[one["verdict"]].append(plain(one["claim"]))
    confirmed, rejected, open_ = (len(claims[word]) for word in PLAINLY)
    told = f"{len(verdicts)} claims, ten seeds confirm {confirmed}, reject {rejected}"
    lines = [f"Of the study's {told} and leave {open_} open.{_over_all(verdicts)}", ""]
    lines += [f"- **{PLAINLY[word]}**: {'; '.join(found)}." for word, found in claims.items()]
    return "\n".join(lines) + "\n"


def _over_all(verdicts: list[dict[str, Any]]) -> str:
    """Name the verdicts that hold within their own grid, but not over all grids together."""
    weak = [plain(one["claim"]) for one in verdicts if one["verdict"] != one["verdict_over_all"]]
    if not weak:
        return ""
    return (
        " The chance of a wrong verdict is limited to 5% within each grid; corrected over all "
        f"grids together, these would be open, too: {'; '.join(weak)}."
    )


def _table(verdicts: list[dict[str, Any]]) -> str:
    ordered = sorted(verdicts, key=lambda one: _order(one["claim"]))
    rows = [(plain(one["claim"]), _concluded(one["claim"]), *_judged(one)) for one in ordered]
    return _to_markdown(("the study's claim", "its verdict", "ten seeds", "what decides"), rows)


def _beyond(verdicts: list[dict[str, Any]]) -> str:
    rows = [(plain(one["claim"]), *_judged(one)) for one in verdicts]
    return _to_markdown(("a doubt, put as a claim", "ten seeds", "what decides"), rows)


def _to_markdown(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [(*head, "p"), (*["---"] * len(head), "---:"), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _judged(one: dict[str, Any]) -> tuple[str, str, str]:
    more = f", about {one['seeds']} fresh seeds" if one["seeds"] else ""
    figures = one["figures"] or plain(one["reason"])
    return f"**{one['verdict'].lower()}**{more}", figures, show_p(one["p_holm"])


def _order(claim: str) -> int:
    starts = [claim.startswith(start) for start in CONCLUDED]
    return starts.index(True) if True in starts else len(starts)


def _concluded(claim: str) -> str:
    return next((said for start, said in CONCLUDED.items() if claim.startswith(start)), "")


if __name__ == "__main__":
    main()
