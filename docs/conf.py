"""How Sphinx builds these pages: ``nox -s docs``. Nothing is fetched."""

from __future__ import annotations

import importlib
import re
import warnings
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment

import flash

# A library that the sources import, not they, and not the pages.
warnings.filterwarnings("ignore", category=DeprecationWarning)
warnings.filterwarnings("ignore", category=FutureWarning)

project = "Flash"
author = "The Flash authors"
copyright = author
release = version = flash.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"Flash {version}"
html_show_sphinx = False

myst_heading_anchors = 3

napoleon_google_docstring = True
napoleon_numpy_docstring = False
autodoc_member_order = "bysource"
autodoc_default_options = {"members": True, "show-inheritance": True}

nitpicky = True
# Their documentation is elsewhere, and its index would have to be fetched.
_LIBRARIES = (
    *("PIL", "fastapi", "lightning_fabric", "matplotlib", "numpy", "pandas", "pytorch_lightning", "pytorch_tabnet"),
    *("ray", "torch", "torchmetrics", "transformers", "uvicorn"),
    *("nn", "np", "npt", "pd"),  # as they are written in annotations
    *(
        "abc",
        "asyncio",
        "collections",
        "contextlib",
        "datetime",
        "enum",
        "io",
        "logging",
        "os",
        "pathlib",
        "types",
        "typing",
        "typing_extensions",
    ),
)
# Names that only type checkers see: of other libraries, and unions that stand for what users may pass.
_OF_TYPE_CHECKERS = (
    *("Axes", "Dataset", "Figure", "ImageFigure", "Path", "Sampler"),
    *("Array", "DetectionOptions", "Floats", "Pretrained", "Sample", "Spec", "Tensor", "Tokenizer"),
)
nitpick_ignore_regex = [
    (r"py:.*", rf"({'|'.join(_LIBRARIES)})\..*"),
    (r"py:.*", rf"(flash\..*\.)?({'|'.join(_OF_TYPE_CHECKERS)})"),
    (r"py:.*", r"(.*\.)?_\w+(\..*)?"),  # private
    (r"py:.*", r"(.*\.)?[A-Z]"),  # type variables
    (r"py:.*", r"(.*Mapping|dict|tuple)\[str"),  # half of a type, where napoleon splits at a comma
]


def resolve_short_name(
    app: Sphinx, env: BuildEnvironment, node: nodes.Element, content: nodes.Element
) -> nodes.Element | None:
    """Find what a reference names by a short name: ``flash.Task``, or a class of another module by its name alone."""
    target = str(node.get("reftarget", ""))
    if node.get("refdomain") != "py":
        return None
    domain = env.domains.python_domain
    full = _defined_as(target)
    if full not in domain.objects:
        of_tasks = _defined_as(f"flash.Task.{target}")
        found = (
            [of_tasks]
            if of_tasks in domain.objects
            else [name for name in domain.objects if name.endswith(f".{target}")]
        )
        full = found[0] if len(found) == 1 else ""
    if not full:
        return None
    where, kind = domain.objects[full].docname, node["reftype"]
    return domain.resolve_xref(env, node["refdoc"], app.builder, kind, full, node, content) if where else None


# The packages that export names of their modules.
_PACKAGES = {"flash", *(f"flash.{name}" for name in ("audio", "baseline", "export", "image", "labels"))}
_PACKAGES |= {f"flash.{name}" for name in ("plugins", "serialization", "serve", "solver", "tabular", "text")}


def _defined_as(target: str) -> str:
    """Return the name of an object in its defining module; packages of Flash export it under a shorter one."""
    parts = target.split(".")
    for length in range(len(parts) - 1, 0, -1):
        package = ".".join(parts[:length])
        if package not in _PACKAGES:
            continue
        found: Any = getattr(importlib.import_module(package), parts[length], None)
        if hasattr(found, "__qualname__"):
            member: Any = getattr(found, parts[length + 1], None) if len(parts) == length + 2 else None
            if hasattr(member, "__qualname__"):  # a method, maybe of a base class
                return f"{member.__module__}.{member.__qualname__}"
            return ".".join([found.__module__, found.__qualname__, *parts[length + 1 :]])
    return target


_SECTION = re.compile(r"(Args|Attributes|Example|Raises|Returns|Yields):")
_AS_WRITTEN: dict[str, list[str]] = {}


def keep_sentence(app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Remember what is said of an attribute: napoleon takes the words before a colon in it for a type."""
    if what in ("attribute", "data", "property") and not any(_SECTION.fullmatch(line) for line in lines):
        _AS_WRITTEN[name] = list(lines)


def restore_sentence(app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Put back what :func:`keep_sentence` remembered."""
    if name in _AS_WRITTEN:
        lines[:] = _AS_WRITTEN.pop(name)


def setup(app: Sphinx) -> None:
    """Add the functions above."""
    app.connect("missing-reference", resolve_short_name)
    app.connect("autodoc-process-docstring", keep_sentence, priority=100)
    app.connect("autodoc-process-docstring", restore_sentence, priority=900)
