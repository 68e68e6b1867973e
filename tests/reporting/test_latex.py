"""LaTeX tables: what is bold, underlined, escaped and left out."""

import re
from pathlib import Path

import pytest

from counterpoint.reporting.latex import Score, escape, tabular
from counterpoint.reporting.tables import write_tables
from counterpoint.runs.folder import read_run

Rows = list[list[str | Score]]


def score(value: float, low: float = float("nan"), high: float = float("nan")) -> Score:
    return Score((value, low, high))


def test_the_best_is_bold_and_the_second_underlined_in_each_column() -> None:
    rows: Rows = [
        ["a", score(0.5), score(0.1)],
        ["b", score(0.25), score(0.3)],
        ["c", score(0.125), score(float("nan"))],
    ]
    lines = tabular(["system", "x", "y"], rows, 1, intervals=False).splitlines()
    assert lines[0] == r"\begin{tabular}{lrr}"
    assert lines[1:5:3] == [r"\toprule", r"a & \textbf{50.0} & \underline{10.0} \\"]
    assert lines[5] == r"b & \underline{25.0} & \textbf{30.0} \\"
    assert lines[6] == r"c & 12.5 & -- \\"
    assert lines[-2:] == [r"\bottomrule", r"\end{tabular}"]


def test_over_all_columns_there_is_one_best_and_what_is_printed_alike_ranks_alike() -> None:
    rows: Rows = [["a", score(0.5001), score(0.4)], ["b", score(0.5004), score(0.3)]]
    text = tabular(["system", "x", "y"], rows, 1, intervals=False, over_columns=True)
    assert re.findall(r"textbf\{(.*?)\}", text) == ["50.0", "50.0"]
    assert re.findall(r"underline\{(.*?)\}", text) == ["40.0"]


def test_a_column_that_is_not_ranked_has_no_mark() -> None:
    rows: Rows = [["a", score(0.5), score(0.1)], ["b", score(0.2), score(0.3)]]
    lines = tabular(["s", "x", "y"], rows, 0, intervals=False, unranked=["y"]).splitlines()
    assert lines[4:6] == [r"a & \textbf{50} & 10 \\", r"b & \underline{20} & 30 \\"]


def test_intervals_are_subscripts_on_demand() -> None:
    rows: Rows = [["a", score(0.5, 0.4, 0.61)], ["b", score(0.2)]]
    assert r"\textbf{50}\textsubscript{40--61} \\" in tabular(["s", "x"], rows, 0, intervals=True)
    assert "textsubscript" not in tabular(["s", "x"], rows, 0, intervals=False)
    # Without an interval there is nothing to show.
    assert r"\underline{20} \\" in tabular(["s", "x"], rows, 0, intervals=True)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("layernorm_relu", r"layernorm\_relu"),
        ("a & b % c # $ {}", r"a \& b \% c \# \$ \{\}"),
        ("\\~^", r"\textbackslash{}\textasciitilde{}\textasciicircum{}"),
    ],
)
def test_names_are_escaped(text: str, expected: str) -> None:
    assert escape(text) == expected


def test_the_tables_of_a_run(run: Path) -> None:
    write_tables(read_run(run), 1, intervals=True)
    baselines = (run / "tables" / "baselines.tex").read_text()
    # Re-ranked 1, 1, 2, 2 and the baseline's 1, 1, 1, 2.
    assert re.search(r"best cell & \\underline\{50\.0\}\\textsubscript\{", baselines)
    assert re.search(r"tfidf & \\textbf\{75\.0\}\\textsubscript\{", baselines)
    assert "legacy (leaks)" in baselines
    missing = " & ".join(["-- (not evaluated yet)"] * 2 + ["-- (no second stage)"] * 2)
    assert f"random & {missing} & {missing} " in baselines
    for split in ("dev", "test"):
        text = (run / "tables" / f"comparison-{split}.tex").read_text()
        assert text.count(r"\begin{tabular}") == text.count(r"\end{tabular}") >= 1
        assert r"$\delta=0.01$" in text
        assert re.search(r"concat & relu & .* & -- \(failed\) \\\\\n", text)
