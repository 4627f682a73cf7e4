"""The configuration in force: the stores file with its rules compiled, read again when it changes."""

from service.configuration.loading import Configuration, ConfiguredStore, load_configuration

__all__ = ["Configuration", "ConfiguredStore", "load_configuration"]
