"""Write the reference of avlib from its docstrings, and check it:  python docs/reference.py [FOLDER]

Into build/docs, unless another folder is named. Needs no network, and the pages need none. Fails where a public name
cannot be imported or a link leads nowhere. That no docstring is missing ruff's rules D1 see to.
"""

from __future__ import annotations

import importlib
import pkgutil
import re
import shutil
import sys
import warnings
from inspect import formatannotation
from pathlib import Path
from types import ModuleType
from unittest.mock import patch
from urllib.parse import unquote, urldefrag

import pdoc
import pdoc.render

import avlib

DEFAULT = Path(__file__).resolve().parent.parent / "build" / "docs"


def build(to: Path) -> None:
    """Write the pages. Raises where something public cannot be documented."""
    shutil.rmtree(to, ignore_errors=True)
    for module in _modules():
        for name in getattr(module, "__all__", ()):
            setattr(module, name, getattr(module, name))  # also what is imported only when it is asked for
    pdoc.render.configure(show_source=False, footer_text=f"avlib {avlib.__version__}")
    told = patch("inspect.formatannotation", _short), patch("pdoc.doc.formatannotation", _short)
    with told[0], told[1], patch("pdoc.docstrings.convert", _by_lines), warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", "Error parsing type annotation")  # of names for the type checker alone
        pdoc.pdoc("avlib", output_directory=to)


def broken_links(folder: Path) -> list[str]:
    """Links that lead nowhere, and whatever a page would ask of a network; each as `page → target`."""
    pages = {path: path.read_text(encoding="utf-8") for path in folder.rglob("*.html")}
    anchors = {path: set(re.findall(r'\bid="([^"]+)"', text)) for path, text in pages.items()}
    found = []
    for page, whole in pages.items():
        text = re.sub(r"(<script\b[^>]*>).*?</script>", r"\1", whole, flags=re.DOTALL)  # what it writes is no link yet
        asked = re.findall(r'<(?:script|img|link|iframe)\b[^>]*\b(?:src|href)="(https?:[^"]+)"', text)
        local = [link for link in re.findall(r'<a\b[^>]*\bhref="([^"]+)"', text) if not re.match(r"[a-z]+:", link)]
        for link in sorted(set(local)):
            target, anchor = urldefrag(link)
            leads_to = (page.parent / unquote(target)).resolve() if target else page
            if leads_to not in pages or (anchor and unquote(anchor) not in anchors[leads_to]):
                asked.append(link)
        found += [f"{page.relative_to(folder)} → {link}" for link in asked]
    return found


def _short(annotation: object, *given: object, **how: object) -> str:
    """An annotation as the code has it: Float32Array, not what numpy makes of that."""
    said = formatannotation(annotation, *given, **how)
    return re.sub(r"numpy\.ndarray\[.*?numpy\.dtype\[numpy\.(\w+)\]\]", lambda found: _array(found[1]), said)


def _array(kind: str) -> str:
    return {"uint8": "UInt8", "str_": "Str"}.get(kind, kind.capitalize()) + "Array"


def _by_lines(docstring: str, docformat: str, source_file: Path | None) -> str:
    """A docstring as Markdown. What it says of a parameter, of the value and of errors begins a line each."""
    del docformat, source_file  # one form throughout, and no files beside it
    parameters = re.sub(r"(?m)(?:^[ ]*|(?<=\.)  )((?!Here\b|http)\w+(?:, \w+)*): (?=\S)", r"  \n`\1`: ", docstring)
    return re.sub(r"(?m)^(Returns|Raises)\b", r"  \n\1", parameters)


def _modules() -> list[ModuleType]:
    names = [module.name for module in pkgutil.walk_packages(avlib.__path__, "avlib.")]
    return [importlib.import_module(name) for name in names]


def main() -> int:
    """Build, check, and say where the pages are."""
    to = Path(sys.argv[1]).resolve() if len(sys.argv) > 1 else DEFAULT
    build(to)
    broken = broken_links(to)
    pages = len(list(to.rglob("*.html")))
    print("\n".join([*broken, f"{to / 'index.html'}: {pages} pages, {len(broken)} broken links"]))
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
