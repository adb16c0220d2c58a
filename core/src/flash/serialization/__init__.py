"""Serialization for checkpoints: values, recorded arguments, objects, files, folders for the Hub, and RNG states.

Everything in a checkpoint can be read with ``torch.load(weights_only=True)``; nothing in it is executed.
"""

from flash.serialization.arguments import Configurable, accepted_parameters, call_with, refuse_unknown_arguments
from flash.serialization.files import (
    MapLocation,
    explaining_write_errors,
    is_free,
    link_or_copy,
    replacing,
    replacing_together,
    scratch_file,
    sync,
    try_lock,
    write_checkpoint,
    writing,
    writing_folder,
)
from flash.serialization.folders import write_folder
from flash.serialization.objects import describe, instantiate, resolve_class, resolve_function
from flash.serialization.rng import capture_rng_state, restore_rng_state
from flash.serialization.sources import is_checkpoint_name, read_checkpoint
from flash.serialization.unfinished import UnfinishedFolder, parts_folder, resuming_folder
from flash.serialization.values import (
    NotSerializableError,
    equal,
    from_serializable,
    made_from,
    to_serializable,
)

__all__ = [
    "Configurable",
    "MapLocation",
    "NotSerializableError",
    "UnfinishedFolder",
    "accepted_parameters",
    "call_with",
    "capture_rng_state",
    "describe",
    "equal",
    "explaining_write_errors",
    "from_serializable",
    "instantiate",
    "is_checkpoint_name",
    "is_free",
    "link_or_copy",
    "made_from",
    "parts_folder",
    "read_checkpoint",
    "refuse_unknown_arguments",
    "replacing",
    "replacing_together",
    "resolve_class",
    "resolve_function",
    "restore_rng_state",
    "resuming_folder",
    "scratch_file",
    "sync",
    "to_serializable",
    "try_lock",
    "write_checkpoint",
    "write_folder",
    "writing",
    "writing_folder",
]
