"""Networks for tables: each is a published library's own, behind one contract.

A factory takes what the train rows say about the columns, and gives a module that maps
``{"numerical": (batch, num_numerical), "categorical": (batch, num_categorical)}`` to features of shape
``(batch, out_features)``; or ``(batch, members, out_features)`` for an ensemble of ``members`` networks; or a tuple
of features and an auxiliary loss. ``learning_rate`` and ``weight_decay`` of the module are what it trains best with.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import rtdl_revisiting_models as rtdl
import tabm as tabm_library
import torch
from pytorch_tabnet.tab_network import EmbeddingGenerator, TabNetEncoder
from rtdl_num_embeddings import PiecewiseLinearEmbeddings
from torch import Tensor, nn

from flash.core.layers import block_layers, layers_by_group

from .tabnet_layers import speed_up

__all__ = ["TableBackbone", "ft_transformer", "mlp", "resnet", "tabm", "tabnet"]

Inputs = Mapping[str, Tensor]
Bins = Sequence[Sequence[float]]


class TableBackbone(nn.Module):
    """Base of the networks here.

    Attributes:
        out_features: The number of features a row gets.
        members: How many networks the ensemble has; 1 where it is none.
        learning_rate: The learning rate that suits the network.
        weight_decay: The weight decay that suits the network.
    """

    out_features: int
    members: int = 1
    learning_rate: float = 1e-3
    weight_decay: float = 3e-4

    def layers(self) -> list[nn.Module]:
        """Return the embeddings of the columns, then the blocks, in the order of the forward pass."""
        return block_layers([self])


class _Embedded(nn.Module):
    """One vector for a row: its numbers in pieces between bin edges, its categories as zeros and a one."""

    def __init__(self, cardinalities: Sequence[int], bins: Bins, d_embedding: int) -> None:
        super().__init__()
        self.numerical = _piecewise(bins, d_embedding)
        starts = torch.tensor([0, *cardinalities]).cumsum(0)
        self.starts: Tensor
        self.register_buffer("starts", starts[:-1], persistent=False)
        self.num_codes = int(starts[-1])
        self.out_features = len(bins) * d_embedding + self.num_codes

    def forward(self, inputs: Inputs) -> Tensor:
        numbers, codes = inputs["numerical"], inputs["categorical"]
        parts = []
        if self.numerical is not None:
            parts.append(self.numerical(numbers).flatten(1))
        if self.num_codes:
            ones = torch.zeros(len(codes), self.num_codes, dtype=numbers.dtype, device=numbers.device)
            parts.append(ones.scatter_(1, codes.long() + self.starts, 1))
        return torch.cat(parts, dim=1)


def _piecewise(bins: Bins, d_embedding: int) -> PiecewiseLinearEmbeddings | None:
    if not bins:
        return None
    edges = [torch.tensor(column) for column in bins]
    with warnings.catch_warnings():
        # Of a column of zeros and ones it says that one bin is enough, which it is.
        warnings.filterwarnings("ignore", message=".*has just two bin edges")
        return PiecewiseLinearEmbeddings(edges, d_embedding, activation=False, version="B")


class _OnEmbedded(TableBackbone):
    """A network of flat vectors, on embedded columns."""

    def __init__(self, embedded: _Embedded, network: nn.Module, out_features: int) -> None:
        super().__init__()
        self.embedded = embedded
        self.network = network
        self.out_features = out_features

    def forward(self, inputs: Inputs) -> Tensor:
        features: Tensor = self.network(self.embedded(inputs))
        return features


def mlp(
    num_numerical: int,
    cardinalities: Sequence[int],
    bins: Bins,
    *,
    n_blocks: int = 2,
    d_block: int = 256,
    dropout: float = 0.2,
    d_embedding: int = 8,
) -> TableBackbone:
    """Multilayer perceptron of rtdl_revisiting_models, with piecewise-linear embeddings of numbers.

    Args:
        num_numerical: How many numbers a row has.
        cardinalities: How many codes each category has.
        bins: Bin edges of each number.
        n_blocks: Hidden layers.
        d_block: Their width.
        dropout: Dropout rate.
        d_embedding: Size of a number's vector.

    Example:
        >>> mlp(1, [3], [[0.0, 1.0]]).out_features
        256
    """
    embedded = _Embedded(cardinalities, bins, d_embedding)
    network = rtdl.MLP(d_in=embedded.out_features, d_out=None, n_blocks=n_blocks, d_block=d_block, dropout=dropout)
    return _OnEmbedded(embedded, network, d_block)


def resnet(
    num_numerical: int,
    cardinalities: Sequence[int],
    bins: Bins,
    *,
    n_blocks: int = 2,
    d_block: int = 128,
    d_hidden_multiplier: float = 2.0,
    dropout1: float = 0.2,
    dropout2: float = 0.0,
    d_embedding: int = 8,
) -> TableBackbone:
    """Residual network of rtdl_revisiting_models, with piecewise-linear embeddings of numbers.

    Args:
        num_numerical: How many numbers a row has.
        cardinalities: How many codes each category has.
        bins: Bin edges of each number.
        n_blocks: Residual blocks.
        d_block: Their width.
        d_hidden_multiplier: Width inside a block, in units of ``d_block``.
        dropout1: Dropout rate inside a block.
        dropout2: Dropout rate at the end of a block.
        d_embedding: Size of a number's vector.

    Example:
        >>> resnet(1, [3], [[0.0, 1.0]]).out_features
        128
    """
    embedded = _Embedded(cardinalities, bins, d_embedding)
    network = rtdl.ResNet(
        d_in=embedded.out_features,
        d_out=None,
        n_blocks=n_blocks,
        d_block=d_block,
        d_hidden_multiplier=d_hidden_multiplier,
        dropout1=dropout1,
        dropout2=dropout2,
    )
    return _OnEmbedded(embedded, nn.Sequential(network, nn.BatchNorm1d(d_block), nn.ReLU()), d_block)


class _FTTransformer(TableBackbone):
    weight_decay = 1e-4

    def __init__(self, num_numerical: int, cardinalities: Sequence[int], bins: Bins, options: dict[str, Any]) -> None:
        super().__init__()
        self.network = rtdl.FTTransformer(
            n_cont_features=num_numerical, cat_cardinalities=list(cardinalities), d_out=None, **options
        )
        self.network.cont_embeddings = _piecewise(bins, options["d_block"])
        self.normalization = nn.LayerNorm(options["d_block"])
        self.out_features = options["d_block"]

    def forward(self, inputs: Inputs) -> Tensor:
        numbers, codes = inputs["numerical"], inputs["categorical"]
        features = self.network(numbers if numbers.shape[1] else None, codes.long() if codes.shape[1] else None)
        return torch.relu(self.normalization(features))


def ft_transformer(
    num_numerical: int,
    cardinalities: Sequence[int],
    bins: Bins,
    *,
    n_blocks: int = 1,
    d_block: int = 64,
    **options: Any,
) -> TableBackbone:
    """FT-Transformer of rtdl_revisiting_models, with piecewise-linear embeddings of numbers.

    Args:
        num_numerical: How many numbers a row has.
        cardinalities: How many codes each category has.
        bins: Bin edges of each number.
        n_blocks: Transformer blocks, 1 to 6.
        d_block: Size of a token; a multiple of the attention heads (8).
        options: Arguments of ``FTTransformerBackbone`` that replace the defaults for ``n_blocks``.

    Example:
        >>> ft_transformer(1, [3], [[0.0, 1.0]]).out_features
        64
    """
    defaults = rtdl.FTTransformer.get_default_kwargs(n_blocks)
    defaults.pop("_is_default")
    return _FTTransformer(num_numerical, cardinalities, bins, {**defaults, "d_block": d_block, **options})


class _TabNet(TableBackbone):
    learning_rate = 2e-2
    weight_decay = 0.0

    def __init__(
        self,
        num_numerical: int,
        cardinalities: Sequence[int],
        cat_emb_dim: int,
        lambda_sparse: float,
        options: dict[str, Any],
    ) -> None:
        super().__init__()
        columns = num_numerical + len(cardinalities)
        self.embedder = EmbeddingGenerator(
            columns,
            list(cardinalities),
            list(range(num_numerical, columns)),
            [cat_emb_dim] * len(cardinalities),
            torch.eye(columns),
        )
        groups = self.embedder.embedding_group_matrix
        self.encoder = TabNetEncoder(
            self.embedder.post_embed_dim, options["n_d"], group_attention_matrix=groups, **options
        )
        speed_up(self.encoder)
        # A plain attribute there, which would stay behind when the network moves to another device.
        del self.encoder.group_attention_matrix
        self.encoder.register_buffer("group_attention_matrix", groups, persistent=False)
        self.lambda_sparse = lambda_sparse
        self.out_features = options["n_d"]
        self.starts: Tensor
        self.register_buffer("starts", torch.tensor([0, *cardinalities]).cumsum(0)[:-1], persistent=False)

    def forward(self, inputs: Inputs) -> tuple[Tensor, Tensor]:
        x, codes = inputs["numerical"], inputs["categorical"].long()
        if not self.embedder.skip_embedding:
            # What the embedder's forward gives, with one look into the vectors of all columns.
            vectors = torch.cat([embedding.weight for embedding in self.embedder.embeddings])
            embedded = vectors.index_select(0, (codes + self.starts).flatten())
            x = torch.cat([x, embedded.view(len(x), len(self.starts) * vectors.shape[1])], dim=1)
        steps, sparsity = self.encoder(x)
        return torch.stack(steps).sum(0), -self.lambda_sparse * sparsity

    def layers(self) -> list[nn.Module]:
        """Return the embeddings with what all steps share, then each decision step with its attention."""
        groups = dict.fromkeys([*self.embedder.parameters(), *self.encoder.initial_splitter.parameters()], 0)
        for name in ("att_transformers", "feat_transformers"):
            for step, module in enumerate(getattr(self.encoder, name), 1):
                for parameter in module.parameters():
                    groups.setdefault(parameter, step)
        return layers_by_group([self], {parameter: groups.get(parameter, 0) for parameter in self.parameters()})


def tabnet(
    num_numerical: int,
    cardinalities: Sequence[int],
    bins: Bins,
    *,
    n_d: int = 8,
    n_a: int = 8,
    n_steps: int = 3,
    gamma: float = 1.3,
    cat_emb_dim: int = 4,
    lambda_sparse: float = 1e-3,
    virtual_batch_size: int = 128,
    **options: Any,
) -> TableBackbone:
    """TabNet of pytorch-tabnet: decides step by step which columns to look at.

    Args:
        num_numerical: How many numbers a row has.
        cardinalities: How many codes each category has.
        bins: Not used.
        n_d: Features that a decision step gives.
        n_a: Features that the attention works with.
        n_steps: Decision steps.
        gamma: How often a column can be looked at again; 1 is once.
        cat_emb_dim: Size of a category's vector.
        lambda_sparse: What the sparsity of the attention counts in the loss.
        virtual_batch_size: Rows that batch normalisation looks at together.
        options: Further arguments of pytorch-tabnet's ``TabNetEncoder``.

    Example:
        >>> tabnet(1, [3], [[0.0, 1.0]]).out_features
        8
    """
    sizes = {"n_d": n_d, "n_a": n_a, "n_steps": n_steps, "gamma": gamma, "virtual_batch_size": virtual_batch_size}
    return _TabNet(num_numerical, cardinalities, cat_emb_dim, lambda_sparse, {**sizes, **options})


class _TabM(TableBackbone):
    learning_rate = 3e-3

    def __init__(
        self,
        num_numerical: int,
        cardinalities: Sequence[int],
        bins: Bins,
        d_embedding: int,
        options: dict[str, Any],
    ) -> None:
        super().__init__()
        self.network = tabm_library.TabM.make(
            n_num_features=num_numerical,
            cat_cardinalities=list(cardinalities),
            d_out=None,
            num_embeddings=_piecewise(bins, d_embedding),
            **options,
        )
        self.members = options["k"]
        self.out_features = options["d_block"]

    def forward(self, inputs: Inputs) -> Tensor:
        numbers, codes = inputs["numerical"], inputs["categorical"]
        features: Tensor = self.network(numbers if numbers.shape[1] else None, codes.long() if codes.shape[1] else None)
        return features


def tabm(
    num_numerical: int,
    cardinalities: Sequence[int],
    bins: Bins,
    *,
    k: int = 8,
    n_blocks: int = 2,
    d_block: int = 128,
    dropout: float = 0.1,
    d_embedding: int = 16,
    **options: Any,
) -> TableBackbone:
    """TabM of the tabm package: an ensemble of MLPs that share most of their weights.

    Args:
        num_numerical: How many numbers a row has.
        cardinalities: How many codes each category has.
        bins: Bin edges of each number.
        k: Members of the ensemble.
        n_blocks: Hidden layers.
        d_block: Their width.
        dropout: Dropout rate.
        d_embedding: Size of a number's vector.
        options: Further arguments of ``tabm.TabM.make``, such as ``arch_type``.

    Example:
        >>> backbone = tabm(1, [3], [[0.0, 1.0]])
        >>> backbone.members, backbone.out_features
        (8, 128)
    """
    sizes = {"k": k, "n_blocks": n_blocks, "d_block": d_block, "dropout": dropout}
    return _TabM(num_numerical, cardinalities, bins, d_embedding, {**sizes, **options})
