"""The documentation site's files: the pages of docs/, the README as its home, and whatever those link to.

MkDocs calls the functions whose names begin with `on_`. A link on a page is a path in the repository, where
pages are read too; on the site it leads to the page that the file became, or to a copy below `source/`.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[1]
DOCS, HOME, COPIES = "docs/", "README.md", "source/"
LINK = re.compile(r"(\]\()([^)\s:#]+)((?:#[^)\s]*)?\))")  # of a file: no address, no place on the same page
CODE = re.compile(r"(^```.*?^```$|`[^`\n]+`)", re.DOTALL | re.MULTILINE)
MARK = re.compile(r"^<!-- [^\n]*-->$", re.MULTILINE)  # what tests and benchmarks/report.py read


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the home page and, page by page, what they link to outside of docs/."""
    waiting = [HOME, *(DOCS + file.src_uri for file in files.documentation_pages())]
    known = set(waiting)
    files.append(File.generated(config, site_path(HOME), abs_src_path=str(ROOT / HOME)))
    while waiting:
        page = waiting.pop(0)
        linked = {resolved(page, link[2]) for link in LINK.finditer(CODE.sub("", source_of(page)))}
        new = sorted(path for path in linked - known if not path.startswith(DOCS) and (ROOT / path).exists())
        known.update(new)
        for path in new:
            if (ROOT / path).is_dir():
                files.append(File.generated(config, site_path(path), content=source_of(path)))
            else:
                files.append(File.generated(config, site_path(path), abs_src_path=str(ROOT / path)))
        waiting += [path for path in new if site_path(path).endswith(".md")]
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """The page's text with links that lead on within the site, without the marks that tests read."""
    here = page.file.src_uri
    path = next(path for path in (HOME, here.removeprefix(COPIES), DOCS + here) if site_path(path) == here)

    def on_site(link: re.Match[str]) -> str:
        target = posixpath.relpath(site_path(resolved(path, link[2])), posixpath.dirname(here) or ".")
        return link[1] + target + link[3]

    return outside_code(markdown, lambda text: MARK.sub("", LINK.sub(on_site, text)))


def site_path(path: str) -> str:
    """Where a file or folder of the repository is on the site.

    >>> site_path("README.md"), site_path("docs/board.md"), site_path("hls/emit.py"), site_path("hls")
    ('index.md', 'board.md', 'source/hls/emit.py', 'source/hls/index.md')
    """
    if path == HOME:
        return "index.md"
    if path.startswith(DOCS):
        return path.removeprefix(DOCS)
    return f"{COPIES}{path}/index.md" if (ROOT / path).is_dir() else COPIES + path


def source_of(path: str) -> str:
    """A page's text; of a folder, a list of its files."""
    if not (ROOT / path).is_dir():
        return (ROOT / path).read_text(encoding="utf-8")
    names = sorted(each.name for each in (ROOT / path).iterdir() if each.is_file() and each.name[0] != "_")
    return f"# {path}\n\n" + "".join(f"- [{name}]({name})\n" for name in names)


def resolved(page: str, link: str) -> str:
    """The path in the repository that a page's link names.

    >>> resolved("docs/hls.md", "../hls/emit.py"), resolved("benchmarks", "bars.py")
    ('hls/emit.py', 'benchmarks/bars.py')
    """
    folder = page if (ROOT / page).is_dir() else posixpath.dirname(page)
    return posixpath.normpath(posixpath.join(folder, link))


def outside_code(text: str, change: Callable[[str], str]) -> str:
    """The text, changed everywhere but within code."""
    parts = CODE.split(text)
    return "".join(part if place % 2 else change(part) for place, part in enumerate(parts))
