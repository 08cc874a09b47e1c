"""The Hydra plugin that runs each job of a sweep in a process of its own on this machine.

Hydra loads a plugin's modules anew when it looks for plugins, which makes each class in them twice, but not those whose
names begin with an underscore.
"""

from hydra_plugins.stn_local_launcher.local_launcher import LocalLauncher

__all__ = ["LocalLauncher"]
