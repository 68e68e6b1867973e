"""What a run does and leaves: its folder, its jobs, their progress."""
