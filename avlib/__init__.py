"""avlib: picture–sound pairs from raw web videos, without labels (after Solèr et al. 2016)."""

__version__ = "0.1.0"
