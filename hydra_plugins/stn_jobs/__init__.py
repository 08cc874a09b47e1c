"""What the launchers share, no plugin itself: a job's failure, its folder, its name."""
