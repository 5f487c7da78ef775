"""The reference that is written from docstrings: whole, and of pages that lead somewhere."""

from __future__ import annotations

from pathlib import Path

from docs import reference


def test_the_reference_is_whole(tmp_path: Path) -> None:
    reference.build(tmp_path / "docs")
    assert reference.broken_links(tmp_path / "docs") == []
    landing = (tmp_path / "docs" / "avlib.html").read_text(encoding="utf-8")
    for name in ("avlib.notebook", "avlib.neighbors", "avlib.spark"):
        assert f'href="avlib/{name.partition(".")[2]}.html"' in landing
    offered = (tmp_path / "docs" / "avlib" / "notebook.html").read_text(encoding="utf-8")
    assert 'id="open_warehouse"' in offered and 'id="Suggestions"' in offered  # imported when they are asked for


def test_links_that_lead_nowhere_are_found(tmp_path: Path) -> None:
    (tmp_path / "there.html").write_text('<p id="part"><a href="#part">x</a><script>`<a href="${url}">`</script>')
    (tmp_path / "page.html").write_text(
        '<a href="there.html#part">x</a><a href="there.html#gone">x</a><a href="gone.html">x</a>'
        '<a href="https://example.org">x</a><script src="https://example.org/x.js"></script>'
    )
    assert reference.broken_links(tmp_path) == [
        "page.html → https://example.org/x.js",
        "page.html → gone.html",
        "page.html → there.html#gone",
    ]
