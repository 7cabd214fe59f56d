"""Layers that leave every channel where it is."""

from netspectra.bindings.keras.tape import Step

__all__ = ["ELEMENTWISE", "pass_on"]


def pass_on(step: Step) -> str:
    """Channel for channel."""
    return step.emit("pass", step.inputs[0], step.shape)


def _prelu(step: Step) -> str:
    step.skip("slopes of an activation: they scale negative values only", "alpha")
    return pass_on(step)


_SAME = (
    "Activation ActivityRegularization AlphaDropout Dropout ELU GaussianDropout GaussianNoise Identity LeakyReLU "
    "Masking RandomBrightness RandomContrast RandomFlip RandomRotation RandomTranslation RandomZoom ReLU Rescaling "
    "Softmax SpatialDropout1D SpatialDropout2D SpatialDropout3D StochasticDepth ThresholdedReLU"
)

ELEMENTWISE = {**dict.fromkeys(_SAME.split(), pass_on), "PReLU": _prelu}
