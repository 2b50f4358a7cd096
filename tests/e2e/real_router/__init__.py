"""A real Home Assistant and the real miniupnpd, on networks that lead nowhere else."""
