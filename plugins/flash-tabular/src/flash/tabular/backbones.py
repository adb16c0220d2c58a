"""Tabular backbones: networks of published libraries behind a common interface.

A factory takes the column statistics of the training rows, and returns a module that maps
``{"numerical": (batch, num_numerical), "categorical": (batch, num_categorical)}`` to features of shape
``(batch, out_features)``; or ``(batch, members, out_features)`` for an ensemble of ``members`` networks; or a tuple
of features and an auxiliary loss. ``out_features`` is measured on a row of zeros if a module does not have it.
``learning_rate``, ``weight_decay`` and ``averages_weights`` of the module are its default
hyperparameters.
"""

from __future__ import annotations

import math
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
    """Base class of tabular backbones.

    Attributes:
        out_features: The number of output features per row.
        members: The number of networks in the ensemble; 1 for a single network.
        learning_rate: The default learning rate.
        weight_decay: The default weight decay.
        averages_weights: Whether a training without ``max_epochs`` averages the weights.
    """

    out_features: int
    members: int = 1
    learning_rate: float = 1e-3
    weight_decay: float = 3e-4
    averages_weights: bool = False

    def layers(self) -> list[nn.Module]:
        """Return the column embeddings and the blocks, in the order of the forward pass."""
        return block_layers([self])


class _ColumnEmbedding(nn.Module):
    """One vector per row: piecewise-linear embeddings of numbers, one-hot encodings of categories."""

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
            # Not len(codes), which would fix the batch size of an exported network.
            ones = torch.zeros(codes.shape[0], self.num_codes, dtype=numbers.dtype, device=numbers.device)
            parts.append(ones.scatter_(1, codes.long() + self.starts, 1))
        return torch.cat(parts, dim=1)


def _piecewise(bins: Bins, d_embedding: int) -> PiecewiseLinearEmbeddings | None:
    if not bins:
        return None
    edges = [torch.tensor(column) for column in bins]
    with warnings.catch_warnings():
        # For a binary column it warns about a single bin, which is enough there.
        warnings.filterwarnings("ignore", message=".*has just two bin edges")
        return PiecewiseLinearEmbeddings(edges, d_embedding, activation=False, version="B")


class _EmbeddedNetwork(TableBackbone):
    """A network on the flat vectors of the embedded columns."""

    def __init__(self, embedded: _ColumnEmbedding, network: nn.Module, out_features: int) -> None:
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
    """Build the multilayer perceptron of rtdl_revisiting_models, with piecewise-linear embeddings of numbers.

    Args:
        num_numerical: The number of numerical columns.
        cardinalities: The number of codes per categorical column.
        bins: The bin edges per numerical column.
        n_blocks: The number of hidden layers.
        d_block: The width of the hidden layers.
        dropout: Dropout rate.
        d_embedding: The size of the embedding of a number.

    Example:
        >>> mlp(1, [3], [[0.0, 1.0]]).out_features
        256
    """
    embedded = _ColumnEmbedding(cardinalities, bins, d_embedding)
    network = rtdl.MLP(d_in=embedded.out_features, d_out=None, n_blocks=n_blocks, d_block=d_block, dropout=dropout)
    return _EmbeddedNetwork(embedded, network, d_block)


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
    """Build the residual network of rtdl_revisiting_models, with piecewise-linear embeddings of numbers.

    Args:
        num_numerical: The number of numerical columns.
        cardinalities: The number of codes per categorical column.
        bins: The bin edges per numerical column.
        n_blocks: The number of residual blocks.
        d_block: The width of the blocks.
        d_hidden_multiplier: The hidden width inside a block, in units of ``d_block``.
        dropout1: Dropout rate inside a block.
        dropout2: Dropout rate at the end of a block.
        d_embedding: The size of the embedding of a number.

    Example:
        >>> resnet(1, [3], [[0.0, 1.0]]).out_features
        128
    """
    embedded = _ColumnEmbedding(cardinalities, bins, d_embedding)
    network = rtdl.ResNet(
        d_in=embedded.out_features,
        d_out=None,
        n_blocks=n_blocks,
        d_block=d_block,
        d_hidden_multiplier=d_hidden_multiplier,
        dropout1=dropout1,
        dropout2=dropout2,
    )
    return _EmbeddedNetwork(embedded, nn.Sequential(network, nn.BatchNorm1d(d_block), nn.ReLU()), d_block)


class _Attention(rtdl.MultiheadAttention):  # type: ignore[misc]  # the library has no types
    """The library's attention, whose batch size is not fixed in an exported network: ``len(q)`` would fix it."""

    def forward(self, x_q: Tensor, x_kv: Tensor) -> Tensor:
        q, k, v = self.W_q(x_q), self.W_k(x_kv), self.W_v(x_kv)
        if self.key_compression is not None:
            compress = self.key_compression if self.value_compression is None else self.value_compression
            k = self.key_compression(k.transpose(1, 2)).transpose(1, 2)
            v = compress(v.transpose(1, 2)).transpose(1, 2)
        heads, size = self._n_heads, k.shape[-1] // self._n_heads
        batch, tokens, width = q.shape
        weights = torch.softmax(self._reshape(q) @ self._reshape(k).transpose(1, 2) / math.sqrt(size), dim=-1)
        if self.dropout is not None:
            weights = self.dropout(weights)
        mixed = (weights @ self._reshape(v)).reshape(batch, heads, tokens, size).transpose(1, 2)
        mixed = mixed.reshape(batch, tokens, width)
        result: Tensor = mixed if self.W_out is None else self.W_out(mixed)
        return result


class _FTTransformer(TableBackbone):
    weight_decay = 1e-4

    def __init__(self, num_numerical: int, cardinalities: Sequence[int], bins: Bins, options: dict[str, Any]) -> None:
        super().__init__()
        self.network = rtdl.FTTransformer(
            n_cont_features=num_numerical, cat_cardinalities=list(cardinalities), d_out=None, **options
        )
        for module in self.network.modules():
            if type(module) is rtdl.MultiheadAttention:
                module.__class__ = _Attention
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
    """Build the FT-Transformer of rtdl_revisiting_models, with piecewise-linear embeddings of numbers.

    Args:
        num_numerical: The number of numerical columns.
        cardinalities: The number of codes per categorical column.
        bins: The bin edges per numerical column.
        n_blocks: The number of transformer blocks, 1 to 6.
        d_block: The size of a token; a multiple of the number of attention heads (8).
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
        # The library stores it as a plain attribute, which module.to(device) would not move.
        del self.encoder.group_attention_matrix
        self.encoder.register_buffer("group_attention_matrix", groups, persistent=False)
        self.lambda_sparse = lambda_sparse
        self.out_features = options["n_d"]
        self.starts: Tensor
        self.register_buffer("starts", torch.tensor([0, *cardinalities]).cumsum(0)[:-1], persistent=False)

    def forward(self, inputs: Inputs) -> tuple[Tensor, Tensor]:
        x, codes = inputs["numerical"], inputs["categorical"].long()
        if not self.embedder.skip_embedding:
            # Equal to the embedder's forward, with a single lookup for all columns.
            vectors = torch.cat([embedding.weight for embedding in self.embedder.embeddings])
            embedded = vectors.index_select(0, (codes + self.starts).flatten())
            x = torch.cat([x, embedded.view(x.shape[0], len(self.starts) * vectors.shape[1])], dim=1)
        steps, sparsity = self.encoder(x)
        return torch.stack(steps).sum(0), -self.lambda_sparse * sparsity

    def layers(self) -> list[nn.Module]:
        """Return the embeddings with the layers that all steps share, then each decision step with its attention."""
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
    """Build the TabNet of pytorch-tabnet, which attends to few columns per decision step.

    Args:
        num_numerical: The number of numerical columns.
        cardinalities: The number of codes per categorical column.
        bins: Unused.
        n_d: The number of output features of a decision step.
        n_a: The number of features of the attention.
        n_steps: The number of decision steps.
        gamma: The relaxation of attention to the same column in several steps; with 1, each column is used once.
        cat_emb_dim: The size of the embedding of a category.
        lambda_sparse: The weight of the sparsity loss.
        virtual_batch_size: The batch size of ghost batch normalization.
        options: Further arguments of pytorch-tabnet's ``TabNetEncoder``.

    Example:
        >>> tabnet(1, [3], [[0.0, 1.0]]).out_features
        8
    """
    sizes = {"n_d": n_d, "n_a": n_a, "n_steps": n_steps, "gamma": gamma, "virtual_batch_size": virtual_batch_size}
    return _TabNet(num_numerical, cardinalities, cat_emb_dim, lambda_sparse, {**sizes, **options})


class _TabM(TableBackbone):
    learning_rate = 3e-3
    averages_weights = True

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
        # As TabM.forward, without its check of the batch, which takes len(x) and so would fix the batch size of an
        # exported network, and with one type for all columns, which ONNX Runtime needs.
        numbers, codes = inputs["numerical"], inputs["categorical"]
        network, parts = self.network, []
        if numbers.shape[1]:
            parts.append((numbers if network.num_module is None else network.num_module(numbers)).flatten(1))
        if codes.shape[1]:
            parts.append(network.cat_module(codes.long()).to(numbers.dtype))
        features: Tensor = network.backbone(network.ensemble_view(torch.cat(parts, dim=1)))
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
    """Build the TabM of the tabm package: an ensemble of MLPs that share most of their weights.

    Args:
        num_numerical: The number of numerical columns.
        cardinalities: The number of codes per categorical column.
        bins: The bin edges per numerical column.
        k: The number of ensemble members.
        n_blocks: The number of hidden layers.
        d_block: The width of the hidden layers.
        dropout: Dropout rate.
        d_embedding: The size of the embedding of a number.
        options: Further arguments of ``tabm.TabM.make``, such as ``arch_type``.

    Example:
        >>> backbone = tabm(1, [3], [[0.0, 1.0]])
        >>> backbone.members, backbone.out_features
        (8, 128)
    """
    sizes = {"k": k, "n_blocks": n_blocks, "d_block": d_block, "dropout": dropout}
    return _TabM(num_numerical, cardinalities, bins, d_embedding, {**sizes, **options})
