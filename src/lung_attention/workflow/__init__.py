"""DVC: code hashes, several stages at a time, temporary workspaces, and what is stale."""
