"""Download and unpack data: complete, verified, resumable, and only inside the requested folder."""

from flash.download._download import download_data, fetch
from flash.download._progress import Bar, progress_bar

__all__ = ["Bar", "download_data", "fetch", "progress_bar"]
