"""What kills and hostile inputs do to the project: `make faults`, which writes docs/faults.md."""
