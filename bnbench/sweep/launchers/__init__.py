"""The engines that packs can be sent to: processes of this machine, a Ray cluster, Slurm's queue."""
