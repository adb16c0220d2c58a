"""Download data and unpack it: whole, verified, resumable, and nowhere but where it was asked for."""

from flash.download._download import download_data, fetch
from flash.download._progress import Bar, progress_bar

__all__ = ["Bar", "download_data", "fetch", "progress_bar"]
