"""The hooks of this plugin; imported for listings, so it imports nothing heavy."""

from __future__ import annotations

from collections.abc import Iterator

from flash.plugins import (
    Augmentation,
    Backbone,
    BackboneCatalogue,
    Head,
    Loss,
    Metric,
    Output,
    Recipe,
    TaskSpec,
    hookimpl,
)
from flash.plugins.components import Component


@hookimpl
def flash_tasks() -> Iterator[TaskSpec]:
    """Yield the tasks with their data modules."""
    yield TaskSpec(
        "image/classification",
        task="flash.image.classifier:ImageClassifier",
        data="flash.image.data:ImageClassificationData",
        summary="Predict the class of an image, or its labels where it can have several.",
    )
    yield TaskSpec(
        "image/regression",
        task="flash.image.regressor:ImageRegressor",
        data="flash.image.data:ImageRegressionData",
        summary="Predict a number per image, or several.",
    )
    yield TaskSpec(
        "image/embedding",
        task="flash.image.embedder:ImageEmbedder",
        data="flash.image.data:ImageClassificationData",
        summary="Compute a vector per image, for similarity search.",
    )
    yield TaskSpec(
        "image/detection",
        task="flash.image.detection.detector:ObjectDetector",
        data="flash.image.detection.data:ObjectDetectionData",
        summary="Predict the boxes and classes of the objects in an image.",
    )
    yield TaskSpec(
        "image/instance_segmentation",
        task="flash.image.instances.segmenter:InstanceSegmentation",
        data="flash.image.instances.data:InstanceSegmentationData",
        summary="Predict the pixels and the class of each object in an image.",
    )
    yield TaskSpec(
        "image/keypoints",
        task="flash.image.keypoints.detector:KeypointDetector",
        data="flash.image.keypoints.data:KeypointDetectionData",
        summary="Predict the points of each object in an image, such as the joints of a person.",
    )
    yield TaskSpec(
        "image/semantic_segmentation",
        task="flash.image.segmentation.segmenter:SemanticSegmentation",
        data="flash.image.segmentation.data:SemanticSegmentationData",
        summary="Predict the class of each pixel of an image.",
    )


@hookimpl
def flash_backbones() -> Iterator[BackboneCatalogue | Backbone]:
    """Yield every model of timm, and the detectors of torchvision and transformers."""
    yield BackboneCatalogue(
        "timm",
        domain="image",
        names="flash.image.timm_index:names",
        factory="flash.image.backbones:timm_backbone",
        summary="Every network of timm (https://huggingface.co/docs/timm). The default is resnet18; larger and better "
        "are convnext_tiny and vit_base_patch16_224, and for phones there is tf_efficientnet_lite0.",
    )
    for name, paper, summary in (
        (
            "fasterrcnn_resnet50_fpn_v2",
            "2111.11429",
            "Faster R-CNN, COCO mAP 46.7; the most accurate, and the default.",
        ),
        ("fasterrcnn_resnet50_fpn", "1506.01497", "Faster R-CNN, COCO mAP 37.0."),
        ("fasterrcnn_mobilenet_v3_large_fpn", "1506.01497", "Faster R-CNN on MobileNetV3, COCO mAP 32.8."),
        ("fasterrcnn_mobilenet_v3_large_320_fpn", "1506.01497", "The same on images of 320 pixels, COCO mAP 22.8."),
        ("retinanet_resnet50_fpn_v2", "1708.02002", "RetinaNet, in one step, COCO mAP 41.5."),
        ("retinanet_resnet50_fpn", "1708.02002", "RetinaNet, COCO mAP 36.4."),
        ("fcos_resnet50_fpn", "1904.01355", "FCOS, without anchors, COCO mAP 39.2."),
        ("ssd300_vgg16", "1512.02325", "SSD on images of 300 pixels, COCO mAP 25.1."),
        ("ssdlite320_mobilenet_v3_large", "1801.04381", "SSDlite, the smallest (3.4 M weights), COCO mAP 21.3."),
    ):
        yield Backbone(
            name,
            domain="detection",
            factory=f"flash.image.detection.models:{name}",
            pretrained=True,
            summary=summary,
            source=f"https://arxiv.org/abs/{paper}",
            license="BSD-3-Clause (torchvision)",
        )
    for name, paper, summary in (
        ("maskrcnn_resnet50_fpn_v2", "2111.11429", "Mask R-CNN, COCO mask mAP 41.8; the default."),
        ("maskrcnn_resnet50_fpn", "1703.06870", "Mask R-CNN, COCO mask mAP 34.6."),
    ):
        yield Backbone(
            name,
            domain="instances",
            factory=f"flash.image.instances.models:{name}",
            pretrained=True,
            summary=summary,
            source=f"https://arxiv.org/abs/{paper}",
            license="BSD-3-Clause (torchvision)",
        )
    yield Backbone(
        "keypointrcnn_resnet50_fpn",
        domain="keypoints",
        factory="flash.image.keypoints.models:keypointrcnn_resnet50_fpn",
        pretrained=True,
        summary="Keypoint R-CNN, COCO keypoint mAP 65.0; the default.",
        source="https://arxiv.org/abs/1703.06870",
        license="BSD-3-Clause (torchvision)",
    )
    yield BackboneCatalogue(
        "transformers",
        domain="detection",
        names="flash.image.detection._names:names",
        factory="flash.image.detection.checkpoints:transformer_detector",
        open=True,
        summary="RT-DETR, D-FINE, DETR, Conditional and Deformable DETR, DAB-DETR, YOLOS and Table Transformer, from "
        "the Hugging Face hub or a local folder; they need flash-image[transformers].",
    )


@hookimpl
def flash_components() -> Iterator[Component]:
    """Yield the heads, augmentations, losses and outputs of images."""
    for task in ("image/classification", "image/regression"):
        yield Head("linear", "flash.image.heads:linear", task, "One linear layer.")
        yield Head("mlp", "flash.image.heads:mlp", task, "A hidden layer of 512 units with dropout.")
    for name, summary in (
        ("none", "As in validation: deterministic, so that features can be computed once."),
        ("flip", "As in validation, flipped horizontally with probability 0.5."),
        ("crop", "A random crop of at least 35 % of the image, flipped horizontally with probability 0.5."),
        ("trivial", "Crop, and one random change of color or shape (TrivialAugment, 2103.10158)."),
        ("randaugment", "Crop, and two random changes of color or shape (RandAugment, 1909.13719)."),
    ):
        target = f"flash.image.transforms:{'random_crop' if name == 'crop' else name}"
        for task in ("image/classification", "image/regression", "image/embedding"):
            yield Augmentation(name, target, task, summary)
    for name, summary in (
        ("mixup", "Crop, and the images of a batch mixed in pairs, with their classes (1710.09412)."),
        ("cutmix", "Crop, and a rectangle of another image of the batch, with its class (1905.04899)."),
    ):
        yield Augmentation(name, f"flash.image.mixing:{name}", "image/classification", summary)
    home = "flash.image.detection.augmentations"
    for task in ("image/detection", "image/instance_segmentation", "image/keypoints"):
        yield Augmentation("none", f"{home}:none", task, "The unchanged image.")
        yield Augmentation("flip", f"{home}:flip", task, "Flip images horizontally with probability 0.5.")
    yield from _of_segmentation()
    for name, cls, summary in (
        ("supcon", "SupCon", "Supervised contrastive (2004.11362); the default."),
        ("multi_similarity", "MultiSimilarity", "Multi-similarity loss (1904.06627)."),
        ("triplet", "Triplet", "Triplet margin, of all triplets in the batch (1503.03832)."),
    ):
        yield Loss(name, f"flash.image.losses:{cls}", "image/embedding", summary)
    yield Output(
        "vectors",
        "flash.image.embedder:vectors",
        "image/embedding",
        "One float vector per image, on the CPU; torch.stack makes a matrix of them.",
    )
    yield Output(
        "boxes",
        "flash.image.detection.outputs:boxes",
        "image/detection",
        "Boxes in pixels, labels and scores of the detections above the score threshold, best first.",
    )
    yield Output(
        "instances",
        "flash.image.instances.outputs:instances",
        "image/instance_segmentation",
        "Boxes, labels, scores and masks (run lengths) of the objects above the score threshold, best first.",
    )
    yield Output(
        "keypoints",
        "flash.image.keypoints.outputs:keypoints",
        "image/keypoints",
        "Boxes, labels, scores and points of the objects above the score threshold, best first.",
    )


def _of_segmentation() -> Iterator[Component]:
    task, home = "image/semantic_segmentation", "flash.image.segmentation"
    for name, cls, summary in (
        ("fpn", "FeaturePyramid", "Feature pyramid whose levels are added (1612.03144, 1901.02446); the default."),
        ("deeplab", "DeepLab", "DeepLabV3+ (1802.02611): dilated convolutions beside a map of high resolution."),
        ("linear", "Linear", "One linear layer at each place."),
    ):
        yield Head(name, f"{home}.heads:{cls}", task, summary)
    for name, summary in (
        ("unet", "The decoder of U-Net (1505.04597), of segmentation-models-pytorch."),
        ("upernet", "The decoder of UPerNet (1807.10221), of segmentation-models-pytorch."),
        ("segformer", "The decoder of SegFormer (2105.15203), of segmentation-models-pytorch."),
    ):
        yield Head(name, f"{home}.decoders:{name}", task, summary)
    for name, summary in (
        ("none", "As in validation: deterministic, so that features can be computed once."),
        ("flip", "Flip images with their masks horizontally with probability 0.5."),
        ("crop", "A random crop of at least 35 % of the image, flipped horizontally with probability 0.5."),
        ("jitter", "Crop, and random changes of brightness, contrast, saturation and hue."),
    ):
        yield Augmentation(name, f"{home}.augmentations:{name}", task, summary)
    for name, summary in (
        ("labels", "A mask per image, in its size: the index of the class of each pixel."),
        ("classes", "The names of the classes in an image, by descending area."),
        ("areas", "The fraction of the pixels of each class in an image, by its name."),
        ("probabilities", "The probability of each class at each pixel, in the size of the image."),
        ("logits", "The score of each class at each pixel, in the size of the image."),
    ):
        yield Output(name, f"{home}.outputs:{name}", task, summary)
    yield Metric("iou", f"{home}.metrics:MeanIoU", task, "Mean over classes of the intersection over union of pixels.")


@hookimpl
def flash_recipes() -> Iterator[Recipe]:
    """Yield the candidates for baselines of images."""
    for task in ("image/classification", "image/regression"):
        yield Recipe(
            "convnext_tiny", "flash.image.recipes:convnext_tiny", task, "ConvNeXt-Tiny, a larger pretrained network."
        )
        yield Recipe("scratch", "flash.image.recipes:scratch", task, "ResNet-18 without pretrained weights.")
    yield from _of_objects()
    task = "image/semantic_segmentation"
    for name, function, summary in (
        ("constant", "usual_mask", "The most frequent class of each pixel, for every image."),
        ("frozen", "frozen", "A linear layer on the frozen maps of the pretrained ResNet-18."),
        ("convnext_tiny", "convnext_tiny", "ConvNeXt-Tiny, a larger pretrained network."),
        ("scratch", "scratch", "ResNet-18 without pretrained weights."),
    ):
        yield Recipe(name, f"flash.image.segmentation.recipes:{function}", task, summary)


def _of_objects() -> Iterator[Recipe]:
    heads, frozen = "The mean {} of each class, in every image.", "The heads of {} on its frozen, pretrained backbone."
    for task, module, function, noun, network in (
        ("image/detection", "detection", "usual_boxes", "box", ""),
        ("image/instance_segmentation", "instances", "usual_masks", "box, as a mask,", "Mask R-CNN"),
        ("image/keypoints", "keypoints", "usual_points", "pose", "Keypoint R-CNN"),
    ):
        home = f"flash.image.{module}.recipes"
        yield Recipe("constant", f"{home}:{function}", task, heads.format(noun))
        if network:
            yield Recipe("frozen", f"{home}:frozen", task, frozen.format(network))
        else:
            yield Recipe("ssdlite", f"{home}:ssdlite", task, "SSDlite, a smaller and faster pretrained network.")
        without = f"{network or 'Faster R-CNN on MobileNetV3'} without pretrained weights."
        yield Recipe("scratch", f"{home}:scratch", task, without)
