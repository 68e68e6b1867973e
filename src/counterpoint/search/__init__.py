"""What is nearest: blocked distances, and exact rankings with a rule for ties."""
