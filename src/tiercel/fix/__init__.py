"""The answer: a coordinate, how sure it is, the runners-up; and writing it for people, GIS software and programs."""

from tiercel.fix.fix import Candidate, Fix

__all__ = ["Candidate", "Fix"]
