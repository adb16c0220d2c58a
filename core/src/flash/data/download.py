"""Download data and unpack it: the names of :mod:`flash.download`, where data is looked for first."""

from flash.download import download_data, fetch

__all__ = ["download_data", "fetch"]
