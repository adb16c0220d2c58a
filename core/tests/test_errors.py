"""Errors: one root, the types that a program catches anyway, and messages as they were written."""

from __future__ import annotations

import pickle

import pytest

from flash import errors

ERRORS = [getattr(errors, name) for name in errors.__all__ if name != "PluginWarning"]
CAUGHT_AS = {
    errors.ConfigurationError: ValueError,
    errors.UnknownArgumentError: TypeError,
    errors.DataError: ValueError,
    errors.MissingColumnError: KeyError,
    errors.UnknownNameError: KeyError,
    errors.DuplicateNameError: ValueError,
    errors.FinetuningError: ValueError,
    errors.CheckpointError: RuntimeError,
    errors.UnsafeCheckpointError: errors.CheckpointError,
    errors.DownloadError: OSError,
    errors.ExportError: RuntimeError,
    errors.ChecksumError: errors.DownloadError,
    errors.UnreachableError: errors.DownloadError,
    errors.UnsafeArchiveError: errors.DownloadError,
    errors.PluginError: RuntimeError,
    errors.PluginConflictError: errors.PluginError,
    errors.FormerMemberError: AttributeError,
    errors.FormerNameError: ImportError,
}


@pytest.mark.parametrize("error", ERRORS)
def test_an_error_is_caught_as_that_of_flash_and_as_that_of_python(error: type[Exception]) -> None:
    assert issubclass(error, errors.FlashError)
    assert error is errors.FlashError or issubclass(error, CAUGHT_AS[error])


@pytest.mark.parametrize("error", ERRORS)
def test_a_message_is_shown_as_it_was_written_also_in_another_process(error: type[Exception]) -> None:
    message = "Expected 'one',\nbut got two."
    assert str(error(message)) == message
    assert str(pickle.loads(pickle.dumps(error(message)))) == message


def test_a_warning_of_a_plugin_is_shown_to_users() -> None:
    assert issubclass(errors.PluginWarning, UserWarning)
