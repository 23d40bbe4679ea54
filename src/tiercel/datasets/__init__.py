"""Photos with known places, as samples."""

from tiercel.datasets.simulated import SimulatedSample, read_dataset, simulate, write_dataset

__all__ = ["SimulatedSample", "read_dataset", "simulate", "write_dataset"]
