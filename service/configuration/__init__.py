"""The configuration: the stores file with its rules compiled, and reloaded when it changes."""

from service.configuration.loading import Configuration, ConfiguredStore, load_configuration

__all__ = ["Configuration", "ConfiguredStore", "load_configuration"]
