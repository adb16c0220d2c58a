"""Names of well-known detectors of the Hugging Face hub for listings; any other name or folder works as well."""

from __future__ import annotations

__all__ = ["names"]

_NAMES = (
    "IDEA-Research/dab-detr-resnet-50",
    "PekingU/rtdetr_r18vd",
    "PekingU/rtdetr_r18vd_coco_o365",
    "PekingU/rtdetr_r50vd",
    "PekingU/rtdetr_r50vd_coco_o365",
    "PekingU/rtdetr_r101vd_coco_o365",
    "PekingU/rtdetr_v2_r18vd",
    "PekingU/rtdetr_v2_r50vd",
    "SenseTime/deformable-detr",
    "facebook/detr-resnet-101",
    "facebook/detr-resnet-50",
    "hustvl/yolos-base",
    "hustvl/yolos-small",
    "hustvl/yolos-tiny",
    "microsoft/conditional-detr-resnet-50",
    "microsoft/table-transformer-detection",
    "ustc-community/dfine-large-coco",
    "ustc-community/dfine-small-coco",
)


def names() -> tuple[str, ...]:
    """Return the names, without heavy imports."""
    return _NAMES
