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


class ApplianceError(Exception):
    """One sentence for a technician, without a patient in it.

    `code` names the situation for scripts and for the operator's table; `next_step` says what a
    person can do about it.
    """

    code: ClassVar[str] = "error"
    next_step: ClassVar[str] = "Tell the administrator and quote this sentence."

    def told(self) -> dict[str, str]:
        """Give the error as values for a script."""
        return {"code": self.code, "sentence": str(self), "next_step": self.next_step}


class ConfigError(ApplianceError):
    """The settings, keys or models on this machine cannot be used."""

    code = "config"
    next_step = "Correct the file that is named, then run coverslip check-config."


class TransientError(ApplianceError):
    """It may work later; the line tries again by itself."""

    code = "transient"
    next_step = "Nothing to do now: it is tried again by itself."


class PeerUnavailable(TransientError):
    """A peer refused, rejected, timed out or went away."""

    code = "peer-unavailable"
    next_step = "Check the network and the other system; it is tried again by itself."


class StorageFull(TransientError):
    """Free space is below the limit."""

    code = "storage-full"
    next_step = "Free disk space; scanning goes on by itself once there is room."


class DeviceUnavailable(TransientError):
    """The processor that the settings ask for is missing, lost or out of memory."""

    code = "device-unavailable"
    next_step = "Check the GPU and its driver, or set inference.device to auto."


class LeaseLost(TransientError):
    """Another worker took the slide over; this one's result is thrown away."""

    code = "lease-lost"
    next_step = "Nothing to do: another worker has the slide."


class LimitReached(TransientError):
    """What may leave on a route today is used up; it leaves on a later day."""

    code = "limit-reached"
    next_step = "Nothing to do: it leaves on a later day. The route's limits are in the settings."


class RejectedError(ApplianceError):
    """Set aside: a person decides."""

    code = "rejected"
    next_step = "Look at the slide, then retry it or scan it again."


class InvalidInstance(RejectedError):
    """A DICOM object is damaged or of a kind the line does not take."""

    code = "invalid-instance"
    next_step = "Send the object again from the scanner; if it fails again, scan the slide again."


class ConflictingInstance(RejectedError):
    """Two different objects came under one SOP Instance UID."""

    code = "conflicting-instance"
    next_step = "Both are kept. Ask the scanner's service which one is right, then retry."


class IncompleteSlide(RejectedError):
    """Something that belongs to the slide never came."""

    code = "incomplete-slide"
    next_step = "Send the slide again from the scanner, then retry."


class IdentityDoubt(RejectedError):
    """De-identification or the identity to be restored is not certain; nothing leaves."""

    code = "identity-doubt"
    next_step = "Nothing has left. Show the de-identification report to the administrator."


class UnsuitableSlide(RejectedError):
    """The slide cannot be judged."""

    code = "unsuitable-slide"
    next_step = "Look at the glass slide, clean it and scan it again."


class UnreadableEncoding(UnsuitableSlide):
    """The images are sound, and stored in a way that this software cannot read."""

    code = "unreadable-encoding"
    next_step = (
        "The glass is not the matter: set the scanner to store JPEG or JPEG 2000, "
        "then send the slide again."
    )


class UnfitScan(UnsuitableSlide):
    """The images can be read and not be judged: no VOLUME image, no spacing, no colours."""

    code = "unfit-scan"
    next_step = (
        "The glass is not the matter: check what the scanner is set to write, "
        "then send the slide again."
    )


class DamagedImage(UnsuitableSlide):
    """An image file is damaged, so that some of its pixels cannot be had."""

    code = "damaged-image"
    next_step = "Send the slide again from the scanner; if it fails again, scan it again."


class ModelError(RejectedError):
    """A model's manifest, digest or shapes do not fit."""

    code = "model"
    next_step = "Ask the administrator to check the models (coverslip models check)."


class PolicyRefused(RejectedError):
    """The release policy of a route does not allow this to leave."""

    code = "policy-refused"
    next_step = "Nothing has left. Ask the administrator about the route's policy."


class DeliveryRefused(RejectedError):
    """A product must not or cannot be sent: bad signature, wrong route, or the peer said no."""

    code = "delivery-refused"
    next_step = "Look at the route's messages; correct the cause, then retry the delivery."


class PermissionEnded(DeliveryRefused):
    """The signature was given too long ago, or under another policy than the route has now."""

    code = "permission-ended"
    next_step = (
        "Retry the slide or the delivery: release signs anew what may leave now. Tiles need "
        "nothing: release makes their parcels anew by itself."
    )


class RepeatedFailure(RejectedError):
    """A slide killed its worker more than once."""

    code = "repeated-failure"
    next_step = "Send the log of this slide to the administrator; retry once the cause is known."


class ForbiddenAction(ApplianceError):
    """The operator may not do this, or it makes no sense in the slide's present state."""

    code = "forbidden-action"
    next_step = "Ask someone with the role that is named."


EXIT_CONFIG = 78
"""Exit code of a daemon or command stopped by a ConfigError (sysexits EX_CONFIG)."""
