"""What a page says is what was put into it, and it opens anywhere."""

import re
from collections import Counter
from io import StringIO
from xml.etree.ElementTree import Element

import html5lib
import matplotlib as mpl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from matplotlib.figure import Figure

from fmgrid.pages.document import (
    INK,
    Code,
    Column,
    Document,
    Picture,
    Section,
    Table,
    code,
    on_one_line,
    plain,
)
from fmgrid.pages.rendering import to_html, to_markdown

GITHUB = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"])
TEXTS = st.text(st.characters(codec="utf-8") | st.sampled_from("`*_[]()<>&|\\~$#!-+.:\n \x00\x1b"))
STRANGE = "a|b <script>alert(1)</script> **no** `x` [l](http://evil.example) \\ &amp; \x1b[2J\n# c"
RUNS = ("epochs_3", "epochs_10", "epochs_5")


def drawn(kind: str = "lines") -> str:
    """A picture as matplotlib writes it, with text, clips, markers, and pixels if asked for."""
    inked = dict.fromkeys(("text.color", "axes.edgecolor", "xtick.color"), INK)
    with mpl.rc_context({**inked, "svg.hashsalt": "the same ids in every picture"}):
        figure = Figure(figsize=(3, 2))
        axes = figure.subplots()
        if kind == "cells":
            axes.imshow([[0, 1], [1, 0]])
        else:
            axes.plot([1, 3, 2], marker="o")
        axes.set_title("<loss> & accuracy")
        file = StringIO()
        figure.savefig(file, format="svg", transparent=True)
    return file.getvalue()


def a_picture(name: str, kind: str = "lines") -> Picture:
    return Picture(name, 'Loss "by" <epoch>', "It *falls*, **CONFIRMED** or not.", drawn(kind))


def page(*sections: Section, title: str = "A page") -> Document:
    return Document(title, "It says **one** thing.", sections, "Made of `bytes`.")


def table_of(*rows: tuple[str, ...], folded: bool = False) -> Table:
    columns = (Column("run"), Column("accuracy", "right"))
    return Table(columns, rows, f"{len(rows)} runs, _best_ first", folded)


def everything() -> Document:
    rows = tuple((code(name), "83.1%") for name in RUNS)
    return page(
        Section(
            "Results, at a glance",
            (
                "What is [noise](#what-is-noise) and what is **REJECTED**?",
                ("one", plain(STRANGE), code(STRANGE)),
                table_of(*rows),
                a_picture("loss"),
            ),
        ),
        Section("Width", (table_of(*rows, folded=True), a_picture("width", "cells")), level=3),
        Section("Depth", ("Nothing.",), level=3),
        Section("What is noise?", (Code("$ fmgrid run\n\x1b[31m<b>```"), table_of(), table_of())),
        Section("Width", ()),
        title="What <matters> & what doesn't",
    )


def parse(document: Document) -> Element:
    tree = html5lib.HTMLParser(strict=True, namespaceHTMLElements=False).parse(to_html(document))
    assert isinstance(tree, Element)
    return tree


def words(element: Element) -> str:
    return " ".join("".join(element.itertext()).split())


def only(parent: Element, path: str) -> Element:
    (found,) = parent.findall(path)
    return found


def headings(tree: Element) -> list[tuple[int, str]]:
    return [(int(e.tag[1]), words(e)) for e in tree.iter() if re.fullmatch("h[1-6]", str(e.tag))]


def from_markdown(markdown: str) -> Element:
    tree = html5lib.parse(GITHUB.render(markdown), namespaceHTMLElements=False)
    assert isinstance(tree, Element)
    return tree


# The HTML


def test_the_page_is_valid_and_has_what_a_reader_and_a_screen_reader_need() -> None:
    tree = parse(everything())
    assert tree.get("lang") == "en"
    assert words(only(tree, ".//title")) == "What <matters> & what doesn't"
    assert {meta.get("name") for meta in tree.iter("meta")} >= {"viewport", "color-scheme"}
    assert len(tree.findall(".//h1")) == len(tree.findall(".//main")) == 1
    assert only(tree, ".//nav").get("aria-label")
    assert {head.get("scope") for head in tree.iter("th")} == {"col", "row"}
    known = {element.get("id") for element in tree.iter()}
    for element in [*tree.iter("table"), *tree.iter("section")]:
        assert element.get("aria-labelledby") in known


def test_no_two_elements_have_the_same_id_and_every_link_within_leads_somewhere() -> None:
    tree = parse(everything())
    ids = Counter(element.get("id") for element in tree.iter() if element.get("id"))
    assert set(ids.values()) == {1}
    links = [
        value[1:]
        for element in tree.iter()
        for key, value in element.items()
        if key.endswith("href") and value.startswith("#")
    ]
    links += re.findall(r"url\(#(.*?)\)", to_html(everything()))
    assert len(links) > 10
    assert set(links) <= set(ids)


def test_nothing_is_fetched_from_elsewhere() -> None:
    html = to_html(everything())
    for element in parse(everything()).iter():
        assert element.tag not in {"link", "iframe", "object", "embed", "base"}
        for key, value in element.items():
            if key in ("src", "srcset", "data") or (key.endswith("href") and element.tag != "a"):
                assert value.startswith(("#", "data:image/png;base64,"))
    assert "@import" not in html
    assert not re.search(r"url\((?!#)", html)
    assert "default-src 'none'" in html  # a browser would refuse


def test_an_image_in_a_sentence_is_not_fetched_and_a_script_in_a_link_not_run() -> None:
    text = "![a](http://b.example/c.png) [d](javascript:alert(1)) <img src=e>"
    tree = parse(page(Section("x", (text,))))
    assert not list(tree.iter("img"))
    assert [link.get("href") for link in only(tree, ".//main").iter("a")] == [
        "http://b.example/c.png"
    ]


def test_the_same_document_is_the_same_bytes() -> None:
    assert to_html(everything()) == to_html(everything())
    assert to_markdown(everything()) == to_markdown(everything())


def test_a_verdict_is_a_badge_where_it_stands_alone_in_bold() -> None:
    text = (
        "**CONFIRMED** **REJECTED** **INCONCLUSIVE** **REJECTED by all** CONFIRMED **`REJECTED`**"
    )
    paragraph = only(parse(page(Section("x", (text,)))), ".//main//p")
    assert [strong.get("class") for strong in paragraph.iter("strong")] == [
        *("badge CONFIRMED", "badge REJECTED", "badge INCONCLUSIVE"),
        *(None, None),
    ]
    assert words(paragraph) == re.sub("[*`]", "", text)


def test_a_folded_table_is_shown_on_demand_under_its_caption() -> None:
    tree = parse(page(Section("x", (table_of(("a", "1"), folded=True),))))
    details = only(tree, ".//details")
    assert words(only(details, "summary")) == "1 runs, best first"
    assert details.find(".//table") is not None
    assert tree.find(".//main//figure") is None


# What strangers wrote


@given(text=TEXTS)
def test_any_text_shows_as_it_is(text: str) -> None:
    shown = on_one_line(text)
    for inline in (plain(text), code(text)):
        blocks = (
            inline,
            (inline,),
            Table((Column(text),), ((inline,),), inline),
        )
        main = only(parse(page(Section(text, blocks), title=text)), ".//main")
        places = (".//h2", ".//p", ".//li", ".//figcaption", ".//thead//th", ".//tbody//th")
        for path in places:
            element = only(main, path)
            assert words(element) == shown
            assert {inner.tag for inner in element.iter()} <= {element.tag, "code", "span", "wbr"}


@given(text=TEXTS)
def test_any_text_shows_as_it_is_in_markdown(text: str) -> None:
    shown = on_one_line(text)
    for inline in (plain(text), code(text)):
        rows = ((inline, "1"), ("2", inline))
        blocks = (inline, (inline,), Table((Column(text), Column("b")), rows, "c"))
        tree = from_markdown(to_markdown(Document("t", "", (Section(text, blocks),))))
        assert [words(cell) for cell in tree.findall(".//td")] == [shown, "1", "2", shown]
        assert words(tree.findall(".//th")[0]) == shown
        assert words(only(tree, ".//h2")) == shown
        assert [words(item) for item in tree.findall(".//li")] == [shown, shown]
        assert [words(p) for p in tree.findall(".//p")] == [*filter(None, [shown]), "c"]


@given(texts=st.lists(st.tuples(TEXTS, TEXTS), max_size=4))
def test_all_rows_of_a_markdown_table_are_as_wide_as_its_head(texts: list[tuple[str, str]]) -> None:
    rows = tuple((plain(one), code(other)) for one, other in texts)
    markdown = to_markdown(page(Section("x", (table_of(*rows),))))
    lines = [line for line in markdown.splitlines() if line.startswith("|")]
    assert len(lines) == len(rows) + 2
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in lines} == {3}
    assert len({len(line) for line in lines}) == 1


# The Markdown


def test_markdown_reads_well_in_an_editor() -> None:
    rows = (("`epochs_3`", "9.1%"), ("`a|b`", "83.1%"))
    section = Section("Results", ("See\nthe [end](#the-end).", table_of(*rows), a_picture("loss")))
    assert to_markdown(page(section, Section("The end", (("1. one", "two"),)))) == (
        """# A page

It says **one** thing.

- [Results](#results)
- [The end](#the-end)

## Results

See the [end](#the-end).

_2 runs, _best_ first_

| run        | accuracy |
| ---------- | -------: |
| `epochs_3` |     9.1% |
| `a\\|b`     |    83.1% |

![Loss "by" \\<epoch\\>](visualizations/loss.png)

_It *falls*, **CONFIRMED** or not._

## The end

- 1\\. one
- two

---

Made of `bytes`.
"""
    )


@pytest.mark.parametrize(
    "start", ["# a", "1. a", "12) a", "- a", "+ a", "* a", "> a", "~~~", "---"]
)
def test_a_sentence_is_a_paragraph_however_it_begins(start: str) -> None:
    tree = from_markdown(to_markdown(Document("t", "", (Section("x", (start,)),))))
    assert words(only(tree, ".//p")) == start


def test_both_pages_have_the_same_headings_and_the_same_links_to_them() -> None:
    html, markdown = parse(everything()), from_markdown(to_markdown(everything()))
    assert headings(html) == headings(markdown)
    links = [link.get("href") for link in only(html, ".//nav").iter("a")]
    assert links == [link.get("href") for link in markdown.findall(".//li/a")]
    assert links == [
        *("#results-at-a-glance", "#width", "#depth"),
        *("#what-is-noise", "#width-1"),
    ]


@given(titles=st.lists(st.sampled_from(["a", "A", "a-1", "?", "a 1", "é"]) | TEXTS, max_size=6))
def test_no_two_headings_share_an_anchor(titles: list[str]) -> None:
    tree = parse(page(*(Section(title, ()) for title in titles), title="a"))
    anchors = [element.get("id") for element in tree.iter("h2")]
    assert len(set(anchors)) == len(titles)
    assert all(anchors)


def test_a_line_breaks_between_options_and_not_within_them() -> None:
    command = "fmgrid run a-b.toml --per-test 1 -o x - y"
    tree = parse(page(Section("x", (code(command),))))
    shown = only(tree, ".//section/p/code")
    assert [part.text for part in shown] == ["--per-test", "-o"]
    assert words(shown) == command


def test_a_long_name_may_break_after_its_underscores_and_nowhere_within_its_numbers() -> None:
    tree = parse(page(Section("x", (code("held_out_0.001"),))))
    shown = only(tree, ".//section/p/code")
    assert [shown.text, *(part.tail for part in shown)] == ["held_", "out_", "0.001"]


def test_a_code_blocks_fence_is_longer_than_any_in_it() -> None:
    blocks = (Code("a\n````\n\tb\x1b"), "c")
    tree = from_markdown(to_markdown(Document("t", "", (Section("x", blocks),))))
    assert only(tree, ".//pre").findtext("code") == "a\n````\n        b\\u001b\n"
    assert words(only(tree, ".//p")) == "c"


@pytest.mark.parametrize(
    "caption", ["a _b_ c", "*a* b", "_a_ b", "a `b`", "**A** b **c**", "a *b*"]
)
def test_a_caption_is_all_in_italics_whatever_is_emphasized_in_it(caption: str) -> None:
    picture = Picture("p", "t", caption, drawn())
    tree = from_markdown(to_markdown(Document("t", "", (Section("x", (picture,)),))))
    _, shown = tree.findall(".//p")
    assert words(only(shown, "em")) == words(shown) == re.sub("[*`_]", "", caption)


# The pictures


def test_a_picture_is_as_wide_as_the_page_at_most_and_never_scrolls() -> None:
    document = page(Section("x", (Picture("loss", "title", "", drawn("lines")),)))
    assert only(parse(document), ".//{*}figure/{*}svg") is not None
    assert re.search(r"svg {[^}]* max-width: 100%;", to_html(document))
    assert not re.search(r"svg {[^}]*min-width", to_html(document))


@pytest.mark.parametrize("kind", ["lines", "cells"])
def test_a_picture_takes_the_pages_colour_and_width_and_has_a_name(kind: str) -> None:
    picture = Picture("loss", 'A "title" <of it>', "", drawn(kind))
    html = to_html(page(Section("x", (picture,))))
    shown = only(parse(page(Section("x", (picture,)))), ".//{*}svg")
    assert INK in picture.svg
    assert INK not in html
    assert "currentColor" in html
    for foreign in ("<?xml", "<!DOCTYPE svg", "metadata", "<!--", "http:"):
        assert foreign not in html
    assert dict(shown.items()) == {
        "viewBox": "0 0 216 144",
        "role": "img",
        "aria-label": 'A "title" <of it>',
        "style": "--width: 216pt",
    }
