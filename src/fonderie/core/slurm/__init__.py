"""A run as jobs of Slurm: what a site is like, the scripts, and what happens within a job."""
