"""How many more images? Two scaling laws fitted to the measured scores, and their prediction for the doubled size.

The saturating law is M4 of Alabdulmohsin, Neyshabur and Zhai (2022, "Revisiting neural scaling laws in language and
vision"): (ε(x) − ε∞) / (ε₀ − ε(x))^α = β x^−c; the plain one, its baseline, is α = 0: ε(x) = ε∞ + β x^−c. ε is
1 − score, ε₀ the error of an untrained network. Four or five sizes do not determine the parameters, so all curves that
agree with the data are kept, each with its weight.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from transferlab.answers.intervals import LEAST_SEEDS, of_seeds

Floats = NDArray[np.float64]
LEAST_SIZES = 4
N_DRAWS = 4000
BOX = 3.5  # standard errors around the first and the last mean within which curves are drawn
COOLING = (64, 8, 1, 1)  # factors on the variance, round by round, in the search for curves that agree with the data
SLOWEST, FASTEST, MOST_ALPHA = 0.03, 3.0, 3.0  # exponents c, evenly in their logarithm, and α, evenly
LEAST_ERROR = 5e-4  # no mean is known better than to a twentieth of a point
PLAIN, SATURATING = "plain power law", "saturating power law"
N_PARAMETERS = {PLAIN: 3, SATURATING: 4}


@dataclass(frozen=True)
class Prediction:
    """The score predicted for one size, 0…1: the saturating law's value, and the outermost limits of both laws (95 %).

    Args:
        by_form: law to its own value, low and high.
        measured: the mean over the same seeds, where that size was measured; NaN elsewhere.
    """

    size: float
    value: float
    low: float
    high: float
    by_form: tuple[tuple[str, float, float, float], ...]
    measured: float = float("nan")

    @property
    def holds(self) -> bool:
        return self.low <= self.measured <= self.high


@dataclass(frozen=True, eq=False)
class Forecast:
    """What doubling the largest size would bring, on one target or on the mean of several.

    Args:
        sizes: float [n], ascending. means: float [n], mean score over seeds.
        check: the largest size, predicted from the others.
        next: the doubled size.
        curve: float [p, 4]: size, value, low and high of the saturating law, for a figure.
        cannot: why there is no forecast; "" if there is one.
    """

    target: str
    sizes: Floats
    means: Floats
    n_seeds: int
    cannot: str
    check: Prediction | None = None
    next: Prediction | None = None
    curve: Floats | None = None

    @property
    def gain(self) -> tuple[float, float, float]:
        """Value, low and high of the doubled size's score minus the mean measured at the largest size."""
        assert self.next is not None
        return tuple(float(v - self.means[-1]) for v in (self.next.value, self.next.low, self.next.high))  # type: ignore[return-value]


@dataclass(frozen=True, eq=False)
class _Draws:
    """Candidate curves.

    Args:
        points: float [d, 3 or 4], the parameters drawn. density: float [d], the logarithm of their density.
        first, last: float [d], the errors at the first and the last size, which determine a curve together with its exponents.
        c, alpha, lowest, log_beta: float [d], the laws' parameters. ceiling: ε₀.
    """

    sizes: Floats
    points: Floats
    density: Floats
    first: Floats
    last: Floats
    c: Floats
    alpha: Floats
    lowest: Floats
    log_beta: Floats
    ceiling: float

    def at(self, size: float) -> Floats:
        """Error of each curve at one size, float [d]."""
        if size == self.sizes[0]:
            return self.first
        if size == self.sizes[-1]:
            return self.last
        right = self.log_beta - self.c * np.log(size)
        if not self.alpha.any():
            return self.lowest + np.exp(right)
        # log w − α log(1 − w) = q for the share w of the way from ε∞ to ε₀, by Newton in z = logit(w): the left side
        # rises with slope between 1 and α everywhere.
        q = right + (self.alpha - 1) * np.log(self.ceiling - self.lowest)
        z = np.asarray(np.where(q < 0, q, q / np.maximum(self.alpha, 0.05)), float)
        for _ in range(15):
            w: Floats = 1 / (1 + np.exp(-np.clip(z, -60, 60)))
            z -= np.clip((-np.logaddexp(0, -z) + self.alpha * np.logaddexp(0, z) - q) / (1 - w + self.alpha * w), -4, 4)
        return self.lowest + (self.ceiling - self.lowest) / (1 + np.exp(-np.clip(z, -60, 60)))


def forecast(target: str, sizes: Sequence[float], scores: Floats, floor: float) -> Forecast:
    """Predict the doubled size, or say why that is not possible.

    Args:
        sizes: [n] ascending, images per class. scores: float [K, n], 0…1, each seed's score at each size.
        floor: the score without pre-training images (an untrained network's), 0…1.
    """
    x = np.array(sizes, float)
    found = Forecast(target, x, scores.mean(0) if len(scores) else np.full(len(x), np.nan), len(scores), "")
    if len(scores) < LEAST_SEEDS:
        return replace(found, cannot=f"a forecast needs at least {LEAST_SEEDS} seeds")
    if len(x) < LEAST_SIZES:
        return replace(found, cannot=f"a forecast needs at least {LEAST_SIZES} sizes, not {len(x)}")
    errors = 1 - scores
    held_out = _predict(x[:-1], errors[:, :-1], 1 - floor, float(x[-1]))[0]
    check = replace(held_out, measured=float(found.means[-1]))
    following, draws, weights = _predict(x, errors, 1 - floor, 2 * float(x[-1]))
    found = replace(found, check=check, next=following, curve=_curve(draws, weights, 2 * float(x[-1])))
    return replace(found, cannot=_cannot(found, scores))


def _cannot(found: Forecast, scores: Floats) -> str:
    """Why a forecast would mislead; "" if it would not."""
    assert found.check is not None and found.next is not None
    first, last = (f"{found.sizes[i]:,.0f}" for i in (0, -1))
    whole = of_seeds(scores[:, -1] - scores[:, 0])
    assert whole.low is not None
    if whole.low <= 0:
        return f"{last} are not significantly better than {first}"
    level = 1 - 0.05 / (len(found.sizes) - 1)
    for i in range(1, len(found.sizes)):
        step = of_seeds(scores[:, i] - scores[:, i - 1], confidence=level)
        if step.high is not None and step.high < 0:
            return f"{found.sizes[i]:,.0f} are significantly worse than {found.sizes[i - 1]:,.0f}, which neither law allows"
    if not found.check.holds:
        return f"the laws fitted without {last} miss what was measured there"
    if found.next.high - found.next.low > whole.value:
        return f"the interval would be wider than the whole gain from {first} to {last}"
    return ""


def _predict(x: Floats, errors: Floats, ceiling: float, size: float) -> tuple[Prediction, _Draws, Floats]:
    """The prediction for a size that is not in ``x``; and the saturating law's curves, with their weights."""
    from scipy import special

    plain, saturating = (_agreeing(x, errors, ceiling, form) for form in (PLAIN, SATURATING))
    by_form: list[tuple[str, float, float, float]] = []
    for form, (draws, weights, variance, freedom) in zip((PLAIN, SATURATING), (plain, saturating), strict=True):
        at = draws.at(size)
        noise = special.stdtrit(freedom, evenly(len(at), 5)[:, 4]) * np.sqrt(variance)  # of the mean at the new size
        (value,), (low, high) = quantiles(at, weights, (0.5,)), quantiles(at + noise, weights, (0.025, 0.975))
        by_form.append((form, 1 - value, max(0.0, 1 - high), min(1.0, 1 - low)))
    low, high = min(each[2] for each in by_form), max(each[3] for each in by_form)
    return Prediction(size, by_form[1][1], low, high, tuple(by_form)), saturating[0], saturating[1]


def _agreeing(x: Floats, errors: Floats, ceiling: float, form: str) -> tuple[_Draws, Floats, float, float]:
    """Curves with their weights, the variance of a mean, and its degrees of freedom.

    The variance is that of the seeds around their own means (a seed that is better everywhere changes no gain), over the
    number of seeds. If even the best curve misses the means by significantly more (F test, 5 %), it is raised to that.
    """
    from scipy import special

    means = errors.mean(0)
    n_seeds, n = errors.shape
    beside = errors - errors.mean(1, keepdims=True) - means + errors.mean()
    freedom, spare = (n_seeds - 1) * (n - 1), n - N_PARAMETERS[form]
    variance = max(float((beside**2).sum()) / freedom / n_seeds, LEAST_ERROR**2)
    draws = _near(x, means, (variance, freedom), ceiling, form)
    misfit = float(np.min(_squares(draws, means))) / spare if spare > 0 else 0.0
    if spare > 0 and misfit > variance * float(special.fdtri(float(spare), float(freedom), 0.95)):
        variance = misfit
        draws = _near(x, means, (variance, freedom), ceiling, form)
    return draws, _weights(draws, means, variance, freedom), variance, freedom


def _near(x: Floats, means: Floats, noise: tuple[float, float], ceiling: float, form: str) -> _Draws:
    """Curves near the means: drawn first evenly from a wide box of parameters, then around those with high weight."""
    variance, freedom = noise
    reach = BOX * np.sqrt(variance)
    last = min(means[-1], means[0])
    box = np.array([
        [means[0] - reach, means[0] + reach], [last - reach, last + reach], np.log([SLOWEST, FASTEST]), [0.0, MOST_ALPHA],
    ])[: N_PARAMETERS[form]]  # fmt: skip
    points = box[:, 0] + (box[:, 1] - box[:, 0]) * evenly(N_DRAWS, len(box))
    density = np.zeros(N_DRAWS)
    draws = _spanned(x, points, density, ceiling)
    for heat in COOLING:
        weights = _weights(draws, means, heat * variance, freedom)
        points, density = _around(draws.points, weights)
        inside = ((points >= box[:, 0]) & (points <= box[:, 1])).all(1)
        draws = _spanned(x, points[inside], density[inside], ceiling)
    return draws


def _around(points: Floats, weights: Floats) -> tuple[Floats, Floats]:
    """Points [d, p] of a wide Student's t about weighted points, and the logarithm of its density there [d]."""
    from scipy import special

    n = points.shape[1]
    mean = weights @ points
    spread = 1.5 * ((points - mean).T * weights) @ (points - mean) + 1e-12 * np.eye(n)
    u = evenly(N_DRAWS, n + 1)
    normal = special.ndtri(u[:, :n])
    steps = normal * np.sqrt(4 / special.chdtri(4, u[:, n:]))
    return mean + steps @ np.linalg.cholesky(spread).T, -0.5 * (4 + n) * np.log1p((steps**2).sum(1) / 4)


def _spanned(x: Floats, points: Floats, density: Floats, ceiling: float) -> _Draws:
    """The curves of parameters (first error, last error, log c, α) [d, 3 or 4]; impossible ones are left out."""
    first, last, c = points[:, 0], points[:, 1], np.exp(points[:, 2])
    alpha = points[:, 3] if points.shape[1] > 3 else np.zeros(len(points))
    ceiling = max(ceiling, float(first.max()) + 0.01)  # scores below the floor happen
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        ratio = (x[-1] / x[0]) ** c * ((ceiling - first) / (ceiling - last)) ** alpha
        lowest = (ratio * last - first) / (ratio - 1)
        good = (first > last) & (last > 0) & (ratio > 1) & (lowest >= 0) & (lowest < last)
    first, last, c, alpha, lowest, density = (v[good] for v in (first, last, c, alpha, lowest, density))
    log_beta = np.log(first - lowest) - alpha * np.log(ceiling - first) + c * np.log(x[0])
    return _Draws(x, points[good], density, first, last, c, alpha, lowest, log_beta, ceiling)


def _squares(draws: _Draws, means: Floats) -> Floats:
    return np.sum([(draws.at(size) - mean) ** 2 for size, mean in zip(draws.sizes, means, strict=True)], axis=0)


def _weights(draws: _Draws, means: Floats, variance: float, freedom: float) -> Floats:
    """The likelihood of each curve under Student's t, normalised to sum to 1."""
    log = -draws.density - 0.5 * (freedom + len(means)) * np.log1p(_squares(draws, means) / variance / freedom)
    weights = np.exp(log - log.max())
    return weights / weights.sum()


def _curve(draws: _Draws, weights: Floats, last: float) -> Floats:
    """Size, and the saturating law's score and limits, from the first size to the doubled one, float [24, 4]."""
    points: list[list[float]] = []
    for share in range(24):
        size = float(draws.sizes[0] * (last / draws.sizes[0]) ** (share / 23))
        low, middle, high = quantiles(draws.at(size), weights, (0.025, 0.5, 0.975))
        points.append([size, 1 - middle, 1 - high, 1 - low])
    return np.array(points)


def evenly(n: int, dimensions: int) -> Floats:
    """n points that fill the unit cube evenly, float [n, d]: the additive sequence of the generalised golden ratio."""
    ratio = 2.0
    for _ in range(60):
        ratio = (1 + ratio) ** (1 / (dimensions + 1))
    steps = ratio ** -np.arange(1, dimensions + 1)
    return (0.5 + np.arange(1, n + 1)[:, None] * steps) % 1


def quantiles(values: Floats, weights: Floats, shares: Sequence[float]) -> list[float]:
    """Weighted quantiles of values [n] whose weights [n] sum to 1."""
    order = np.argsort(values)
    below = np.cumsum(weights[order])
    places = np.minimum(np.searchsorted(below, shares), len(values) - 1)
    return [float(values[order][i]) for i in places]
