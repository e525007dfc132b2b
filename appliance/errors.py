"""Every error the appliance raises, sorted by what happens next.

* ApplianceError            one sentence for a technician; never a patient in it
  x ConfigError             stop the daemon (exit 78)
  x TransientError          back on the line, tried again with back-off
    - PeerUnavailable · StorageFull · DeviceUnavailable · LeaseLost · LimitReached
  x RejectedError           set aside; a person decides
    - InvalidInstance · ConflictingInstance · IncompleteSlide · IdentityDoubt
    - UnsuitableSlide (of these: UnreadableEncoding · UnfitScan · DamagedImage)
    - ModelError · PolicyRefused · DeliveryRefused (of these: PermissionEnded) · RepeatedFailure
  x ForbiddenAction         an operator may not do this, or it makes no sense now

Anything else that is raised is a bug: the worker dies and systemd restarts it.
"""

from typing import ClassVar

from appliance.messages import message


class ApplianceError(Exception):
    """One sentence for a technician, without a patient in it.

    `code` names the situation for scripts and in the table of messages, which gives `next_step`:
    what a person can do about it.
    """

    code: ClassVar[str] = "error"
    next_step: ClassVar[str] = message(code).next_step

    def __init_subclass__(cls) -> None:
        """Take the next step of this code, unless the class says another."""
        if "next_step" not in vars(cls):
            cls.next_step = message(cls.code).next_step

    def told(self) -> dict[str, str]:
        """Give the error as values for a script."""
        return {"code": self.code, "sentence": str(self), "next_step": self.next_step}


class ConfigError(ApplianceError):
    """The settings, keys or models on this machine cannot be used."""

    code = "config"


class TransientError(ApplianceError):
    """It may work later; the line tries again by itself."""

    code = "transient"


class PeerUnavailable(TransientError):
    """A peer refused, rejected, timed out or went away."""

    code = "peer-unavailable"


class StorageFull(TransientError):
    """Free space is below the limit."""

    code = "storage-full"


class DeviceUnavailable(TransientError):
    """The processor that the settings ask for is missing, lost or out of memory."""

    code = "device-unavailable"


class LeaseLost(TransientError):
    """Another worker took the slide over; this one's result is thrown away."""

    code = "lease-lost"


class LimitReached(TransientError):
    """What may leave on a route today is used up; it leaves on a later day."""

    code = "limit-reached"


class RejectedError(ApplianceError):
    """Set aside: a person decides."""

    code = "rejected"


class InvalidInstance(RejectedError):
    """A DICOM object is damaged or of a kind the line does not take."""

    code = "invalid-instance"


class ConflictingInstance(RejectedError):
    """Two different objects came under one SOP Instance UID."""

    code = "conflicting-instance"


class IncompleteSlide(RejectedError):
    """Something that belongs to the slide never came."""

    code = "incomplete-slide"


class IdentityDoubt(RejectedError):
    """De-identification or the identity to be restored is not certain; nothing leaves."""

    code = "identity-doubt"


class UnsuitableSlide(RejectedError):
    """The slide cannot be judged."""

    code = "unsuitable-slide"


class UnreadableEncoding(UnsuitableSlide):
    """The images are sound, and stored in a way that this software cannot read."""

    code = "unreadable-encoding"


class UnfitScan(UnsuitableSlide):
    """The images can be read and not be judged: no VOLUME image, no spacing, no colours."""

    code = "unfit-scan"


class DamagedImage(UnsuitableSlide):
    """An image file is damaged, so that some of its pixels cannot be had."""

    code = "damaged-image"


class ModelError(RejectedError):
    """A model's manifest, digest or shapes do not fit."""

    code = "model"


class PolicyRefused(RejectedError):
    """The release policy of a route does not allow this to leave."""

    code = "policy-refused"


class DeliveryRefused(RejectedError):
    """A product must not or cannot be sent: bad signature, wrong route, or the peer said no."""

    code = "delivery-refused"


class PermissionEnded(DeliveryRefused):
    """The signature was given too long ago, or under another policy than the route has now."""

    code = "permission-ended"


class RepeatedFailure(RejectedError):
    """A slide killed its worker more than once."""

    code = "repeated-failure"


class ForbiddenAction(ApplianceError):
    """The operator may not do this, or it makes no sense in the slide's present state."""

    code = "forbidden-action"


EXIT_CONFIG = 78
"""Exit code of a daemon or command stopped by a ConfigError (sysexits EX_CONFIG)."""
