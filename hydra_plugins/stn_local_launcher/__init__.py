"""The Hydra plugin that runs each job of a sweep in a process of its own on this machine."""

from hydra_plugins.stn_local_launcher.local_launcher import LocalLauncher

__all__ = ["LocalLauncher"]
