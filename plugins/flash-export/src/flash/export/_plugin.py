"""The hooks of this plugin; imported for listings, so it imports nothing heavy."""

from __future__ import annotations

from collections.abc import Iterator

from flash.plugins import Command, Exporter, hookimpl


@hookimpl
def flash_exporters() -> Iterator[Exporter]:
    """Yield the formats."""
    exporters = "flash.export.exporters"
    yield Exporter("pt2", target=f"{exporters}:export_pt2", summary="A program of torch.export, for PyTorch.")
    yield Exporter("onnx", target=f"{exporters}:export_onnx", summary="ONNX, for ONNX Runtime and other runtimes.")


@hookimpl
def flash_commands() -> Iterator[Command]:
    """Yield ``flash export``."""
    yield Command(
        "export",
        target="flash.export.command:main",
        summary="Write a task for another runtime, with what is needed to predict without Flash.",
    )
