"""Grids of many rules and hypotheses: judged as few are, or refused with the limit."""

from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fmgrid.analysis import verdicts
from fmgrid.analysis.verdicts import judge
from fmgrid.errors import InputError
from fmgrid.grid import load_plan
from fmgrid.hypotheses.language import MAX_CHARACTERS, MAX_COMPARISONS, MAX_HYPOTHESES, to_text
from fmgrid.hypotheses.registry import read_records, write_records
from loading import load_grids
from made_up_studies import rows, study_of
from test_questions import stated

GRID = 'name = "e{epochs}_b{batch_size}"\n[grid]\nepochs = [1, 2, 3]\nbatch_size = [1, 2, 3]\n'

levels = st.integers(1, 4)
conditions = st.one_of(levels, st.lists(levels, max_size=3))
names = st.sampled_from(["e1_b1", "e1_*", "*_b3", "e?_b2", "none", "e[12]_b1", "*"])
rule = st.fixed_dictionaries(
    {}, optional={"epochs": conditions, "batch_size": conditions, "name": names}
).filter(bool)


@settings(max_examples=40)
@given(rules=st.lists(rule, max_size=6))
def test_many_rules_drop_what_each_of_them_drops(
    rules: list[dict[str, Any]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    def left(kept: list[dict[str, Any]]) -> set[str]:
        path = tmp_path_factory.mktemp("grid") / "g.toml"
        tables = ["[[exclude]]\n" + "".join(f"{k} = {v!r}\n" for k, v in r.items()) for r in kept]
        path.write_text(f"{GRID}{''.join(tables)}[[point]]\nname = 'always'\nepochs = 9\n")
        return {one.experiment.name for one in load_grids([path])} - {"always"}

    everything = left([])
    rules = [one for one in rules if one.get("name") != "*"]
    together = everything.intersection(*(left([one]) for one in rules))
    try:
        assert left(rules) == together
    except InputError:
        assert not together


def test_a_grid_of_too_many_hypotheses_is_refused_at_the_first_too_many(tmp_path: Path) -> None:
    table = "[[hypothesis]]\nclaim = 'a'\nexpect = 'e1_b1 > e2_b1'\n"
    path = tmp_path / "g.toml"
    path.write_text(GRID + table * MAX_HYPOTHESES)
    assert len(load_plan([path]).hypotheses) == MAX_HYPOTHESES
    path.write_text(GRID + table * (MAX_HYPOTHESES + 1))
    with pytest.raises(
        InputError, match="comes after 200 others, the limit of a grid; write fewer"
    ):
        load_plan([path])


@pytest.mark.parametrize(
    "expect",
    ["no difference greater than 0.01 among *", "each of e1* > each of e2*", "best of * > e1"],
)
def test_hypotheses_of_too_many_comparisons_are_refused_together(
    expect: str, tmp_path: Path
) -> None:
    expect = expect.replace("e1", "e2000").replace("e2*", "e1*") if "best" in expect else expect
    path = tmp_path / "g.toml"
    head = f'name = "e{{epochs}}"\n[grid]\nepochs = {list(range(1000, 3000))}\n'
    once = f"[[hypothesis]]\nclaim = 'a'\nexpect = '{expect}'\n"
    path.write_text(head + once * (11 if "best" in expect else 1))
    with pytest.raises(InputError) as refused:
        load_plan([path])
    (problem,) = refused.value.problems
    assert f"and the limit of a grid is {MAX_COMPARISONS:,}" in str(problem)


def test_a_hypothesis_about_many_experiments_with_long_names_is_settled(tmp_path: Path) -> None:
    path = tmp_path / "g.toml"
    path.write_text(
        "name = 'experiment_with_a_long_name_and_{epochs}_epochs'\n"
        f"[grid]\nepochs = {list(range(1, 81))}\n"
        "[[hypothesis]]\nclaim = 'a'\nexpect = 'each of * > 0.01'\n"
    )
    write_records(tmp_path / "logs", load_plan([path]).records)
    ((grid,), _) = read_records(tmp_path / "logs")
    (hypothesis,) = grid.hypotheses
    assert len(to_text(hypothesis.resolved)) > MAX_CHARACTERS
    study = study_of(
        one
        for number, name in enumerate(grid.names, start=1)
        for one in rows(name, [0.5 + seed / 100 for seed in range(6)], epochs=number)
    )
    (verdict,) = judge([hypothesis], study)
    assert (verdict.word, verdict.reason) == ("CONFIRMED", "")


@pytest.mark.parametrize("limit", [0.02, 0.5])
def test_the_seeds_that_pairs_take_are_asked_for_once_and_are_the_most_of_all(
    limit: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = study_of(
        one
        for n in range(12)
        for one in rows(f"e{n}", [0.5, 0.5 + n / 900, 0.505 - n / 800], hidden_units=(n + 1,))
    )
    resolved = f"no difference greater than {limit} among {', '.join(study.scored)}"
    (verdict,) = judge([stated(resolved=resolved)], study)
    pairs = [
        f"no difference greater than {limit} among {one}, {other}"
        for one, other in combinations(study.scored, 2)
    ]
    asked: list[object] = []
    ask = verdicts.seeds_needed
    monkeypatch.setattr(verdicts, "seeds_needed", lambda *of: asked.append(of) or ask(*of))
    (again,) = judge([stated(resolved=resolved)], study)
    assert again == verdict
    assert len(asked) <= 1
    alone = [one for pair in pairs for one in judge([stated(resolved=pair)], study)]
    if verdict.word == "INCONCLUSIVE":
        needs = [one.seeds or 1 for one in alone if one.word == "INCONCLUSIVE"]
        assert verdict.seeds is None or verdict.seeds >= max(needs)
    else:
        assert verdict.p == pytest.approx(max(one.p for one in alone))
