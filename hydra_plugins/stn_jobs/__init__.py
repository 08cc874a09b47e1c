"""What the sweeper and the launchers share, no plugin itself: a job's config, folder, name, far side and failure.

Hydra loads a plugin's modules anew when it looks for plugins, but not those whose names begin with an underscore.
"""
