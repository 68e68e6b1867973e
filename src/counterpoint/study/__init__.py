"""What the original study claimed, and whether it is so."""
