"""What a pod says of itself with everything that it sees: bundle, capabilities, calibration."""

from collections.abc import Sequence
from dataclasses import dataclass

from ostiary.v1.observation_pb2 import AttributeChoices, BundleInfo, CalibrationPoint, Observations
from ostiary_moderation.bundle import Bundle, Question
from ostiary_moderation.detector import AnyDetector, Detector, GalleryDetector


@dataclass(frozen=True, slots=True)
class Declaration:
    """Measured at loading, the same for every check.

    `choices`: the values of each attribute that the bundle can see.
    """

    bundle: BundleInfo
    capabilities: tuple[str, ...]
    calibration: tuple[CalibrationPoint, ...]
    choices: tuple[AttributeChoices, ...] = ()

    @classmethod
    def of(cls, bundle: Bundle, detectors: Sequence[AnyDetector]) -> "Declaration":
        """Declare a bundle and its detectors: what either can judge, the pod can.

        What only a detector that compares with a gallery can judge is left out, though the bundle lists it:
        nobody judges that before there is a gallery.
        """
        manifest = bundle.manifest
        seen = {name for each in detectors if isinstance(each, Detector) for name in each.policies}
        compared = {name for each in detectors if isinstance(each, GalleryDetector) for name in each.policies}
        asked = {question.policy for question in manifest.questions}
        policies = seen | (set(manifest.judged) - (compared - asked - seen))
        return cls(
            bundle=BundleInfo(
                name=manifest.name,
                version=manifest.version,
                digest=bundle.digest,
                weights_digest=bundle.weights_digest,
                engine=manifest.engine,
                dtype=manifest.dtype,
            ),
            capabilities=tuple(sorted(policies)),
            calibration=tuple(point for question in manifest.questions for point in _points(question)),
            choices=tuple(
                AttributeChoices(name=name, values=values)
                for name, values in manifest.attributes.items()
                if len(values) > 1
            ),
        )

    def declare(self, observations: Observations, *, flags: bool) -> None:
        """Add the declaration; calibration and choices only where questions and attributes were asked."""
        observations.bundle.CopyFrom(self.bundle)
        observations.capabilities.extend(self.capabilities)
        if flags:
            observations.calibration.extend(self.calibration)
        if observations.attributes:
            observations.choices.extend(self.choices)


def _points(question: Question) -> list[CalibrationPoint]:
    return [
        CalibrationPoint(
            policy=question.policy,
            label=question.label,
            question=question.id,
            precision=row.precision,
            threshold=row.threshold,
        )
        for row in question.calibration.table
    ]
