"""A package with a program, its configuration and nothing else."""
