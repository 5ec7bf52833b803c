"""The loss curve as an SVG picture, the same bytes for the same losses."""

import io
from collections.abc import Sequence
from itertools import accumulate

SMOOTHING = 0.95
"""Weight of the past in the moving average drawn over the single losses."""


def loss_curve(tokens: Sequence[int], losses: Sequence[float]) -> bytes:
    """Loss against tokens seen, both logged step by step."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    # The salt fixes the ids of shapes; text stays text, so that no font of this machine gets into the file.
    with mpl.rc_context({"svg.hashsalt": "fonderie", "svg.fonttype": "none", "path.simplify": False}):
        figure = Figure(figsize=(7, 3.6), layout="tight")
        axes = figure.add_subplot()
        axes.plot(tokens, losses, color="#9db4c8", linewidth=0.6, label="each step")
        smooth = list(accumulate(losses, lambda past, loss: SMOOTHING * past + (1 - SMOOTHING) * loss))
        axes.plot(tokens, smooth, color="#1f4e79", linewidth=1.4, label=f"moving average ({SMOOTHING})")
        axes.set(xlabel="tokens seen", ylabel="training loss (nats per token)", xlim=(0, None))
        axes.grid(color="#dddddd", linewidth=0.5)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False)
        picture = io.BytesIO()
        figure.savefig(picture, format="svg", metadata={"Date": None, "Creator": "fonderie"})
    return picture.getvalue()
