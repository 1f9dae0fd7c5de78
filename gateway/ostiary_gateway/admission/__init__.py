"""Whether a check may start now, or soon, or not at all."""

from ostiary_gateway.admission.admitting import AdaptiveAdmission, Admission, AdmissionLimits, Priority, Slot

__all__ = ["AdaptiveAdmission", "Admission", "AdmissionLimits", "Priority", "Slot"]
