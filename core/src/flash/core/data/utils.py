"""``flash.download_data`` by the name under which programs for the ancestor, Lightning Flash, import it."""

from flash.download import download_data

__all__ = ["download_data"]
