"""Picture–sound pairs from raw web videos, without labels (after Solèr et al. 2016): the reference.

Most people need the command `avlib` and the tables it leaves, which README and `notebooks/` show. This is for those who
call or change the code. Public is what a package offers by its own name (its `__all__`, `avlib.neighbors.nearest`); of
packages that offer nothing so (`avlib.retrieval`, `avlib.spark`, `avlib.web`) it is their modules. What begins with an
underscore may change at any time.

**To use a warehouse**, without Spark:

- `avlib.notebook`: suggestions, contact sheets and a map in a notebook; `avlib.retrieval`: what is behind suggestions
- `avlib.warehouse`, `avlib.tables`: every table, its schema and key; `avlib.inspection`: status and failures
- `avlib.config`: settings, as `conf/default.toml` has them

**The method**, arrays in, arrays out:

- `avlib.media`, `avlib.sources`, `avlib.fetching`: videos, wherever they lie, read in a process of its own
- `avlib.descriptors`, `avlib.description`, `avlib.learning`: what a frame looks and sounds like, as numbers
- `avlib.neighbors`, `avlib.graph`, `avlib.filtering`: nearest samples, mutual edges, components, strategies
- `avlib.agreement`, `avlib.copies`: which samples other videos bear out; the same recording in several videos

**Measuring and showing**: `avlib.evaluation`, `avlib.listening`, `avlib.planning`, `avlib.report`, `avlib.web`,
`avlib.demo`.

**At scale**: `avlib.spark`, the only package that imports Spark: a module for each stage, with a function `run`.

Conventions: a sample is a loud frame with its sound; `sample_id` = video · 2²⁴ + frame (`avlib.identity`). Arrays have
their shape and unit in the docstring, names their unit (`_s`, `_hz`, `_px`, `_bytes`). Errors are those of
`avlib.errors`, one sentence each, which says what to do.
"""

__version__ = "0.1.0"
"""As in the package's metadata."""
