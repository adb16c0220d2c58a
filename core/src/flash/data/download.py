"""Download and unpack data: re-exports of :mod:`flash.download`."""

from flash.download import download_data, fetch

__all__ = ["download_data", "fetch"]
