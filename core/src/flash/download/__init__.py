"""Download and unpack data: complete, verified, resumable, and only inside the requested folder."""

from flash.download._disk import digest
from flash.download._download import download_data, fetch
from flash.download._progress import Bar, progress_bar
from flash.download._repository import HubOptions, explaining_hub_errors, fetch_repository, hub_library

__all__ = [
    "Bar",
    "HubOptions",
    "digest",
    "download_data",
    "explaining_hub_errors",
    "fetch",
    "fetch_repository",
    "hub_library",
    "progress_bar",
]
