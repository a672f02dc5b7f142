"""Small views first: in the earlier epochs views have a share of the side, and cost its square."""

SMALLEST = 8


def view_side(epoch: int, n_epochs: int, full_side: int, small_epochs: float, small_side: float) -> int:
    """Side of the views in an epoch, in pixels.

    Parameters
    ----------
    epoch, n_epochs
        Which epoch, from 0, of how many.
    full_side
        Side of the images.
    small_epochs
        The share of the epochs, the first ones, in which views are smaller …
    small_side
        … and the share of the side that they have then, but 8 pixels at least.
    """
    if epoch >= small_epochs * n_epochs:
        return full_side
    return min(full_side, max(SMALLEST, round(small_side * full_side)))
