"""Measures what a bundle can see, on photographs that it never learnt from, with the engine that serves."""

from ostiary_moderation.evaluation.evaluate import Plan, evaluate
from ostiary_moderation.evaluation.photos import LabelledPhoto, read_labelled
from ostiary_moderation.evaluation.report import Report

__all__ = ["LabelledPhoto", "Plan", "Report", "evaluate", "read_labelled"]
