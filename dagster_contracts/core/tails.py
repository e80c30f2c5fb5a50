"""How likely a test statistic at least this large is by chance. Pure Python: core knows no scipy.

    chi_square          the upper tail of the chi-square distribution: the regularized upper incomplete gamma function, by its series
                        and its continued fraction (Abramowitz and Stegun 6.5.29 and 6.5.31)
    kolmogorov_smirnov  the upper tail of the two-sided one-sample statistic D of n values, as scipy.stats.kstwo.sf has it: the exact
                        sum of Birnbaum and Tingey (1951) where it is accurate, else Durbin's matrix (Marsaglia, Tsang and Wang 2003)
                        where it is small, and the expansion of Pelz and Good (1976). Which of them where: Simard and L'Ecuyer (2011).

Both agree with scipy to 1e-7, absolute.
"""

from __future__ import annotations

import math
from operator import mul

_PI2 = math.pi**2
_SMALLEST = 1e-300
_MANY = 20_000


def chi_square(statistic: float, freedom: int) -> float:
    """P(X >= statistic) of a chi-square distribution with `freedom` degrees of freedom; 1 where there is no degree of freedom."""
    if freedom <= 0 or statistic <= 0:
        return 1.0
    shape, at = freedom / 2, statistic / 2
    log_front = shape * math.log(at) - at - math.lgamma(shape)
    front = math.exp(log_front) if log_front > -745 else 0.0
    if at < shape + 1:
        return max(0.0, 1 - front * _lower_series(shape, at))
    return min(1.0, front * _upper_fraction(shape, at))


def _lower_series(shape: float, at: float) -> float:
    term = total = 1 / shape
    step = shape
    while term > total * 1e-16:
        step += 1
        term *= at / step
        total += term
    return total


def _upper_fraction(shape: float, at: float) -> float:
    """Lentz's way to evaluate a continued fraction."""
    bottom = at + 1 - shape
    c, d = 1 / _SMALLEST, 1 / (bottom or _SMALLEST)
    value = d
    for step in range(1, 100_000):
        factor = -step * (step - shape)
        bottom += 2
        d = 1 / (factor * d + bottom or _SMALLEST)
        c = bottom + factor / c or _SMALLEST
        value *= c * d
        if abs(c * d - 1) < 1e-15:
            break
    return value


def kolmogorov_smirnov(distance: float, values: int) -> float:
    """P(D >= distance) for `values` values drawn from the distribution they are compared with."""
    n, x = values, distance
    if n <= 0 or n * x <= 0.5:
        return 1.0
    if x >= 1:
        return 0.0
    spread = n * x * x
    if spread >= 370:
        return 0.0
    if x >= 0.5 or spread >= (4 if n <= 140 else 2.2 if n <= _MANY else 18):
        return min(1.0, 2 * _one_sided(x, n))
    few = n <= 140 or (n <= 5_000 and n * x**1.5 <= 1.4)  # where scipy draws the line, whose expansion errs by 3e-6 right above it
    return min(1.0, max(0.0, 1 - (_durbin(x, n) if few else _pelz_good(x, n))))


def _one_sided(x: float, n: int) -> float:
    """P(D+ >= x). Of many values by the approximation of Maag and Dicaire (1971): asked for what is next to 0 only."""
    if n > _MANY:
        return math.exp(-((6 * n * x + 1) ** 2) / (18 * n))
    total = []
    for j in range(int(n * (1 - x)) + 1):
        rest = 1 - x - j / n
        if rest > 0 or j == n:
            logs = math.lgamma(n + 1) - math.lgamma(j + 1) - math.lgamma(n - j + 1) + (j - 1) * math.log(x + j / n)
            total.append(math.exp(logs + ((n - j) * math.log(rest) if rest > 0 else 0)))
    return x * math.fsum(total)


def _durbin(x: float, n: int) -> float:
    """P(D < x), by the n-th power of a matrix of 2k - 1 rows. The rows grow with x: callers ask for small ones."""
    k = math.ceil(n * x)
    h = k - n * x
    size = 2 * k - 1
    inverse = [1 / math.factorial(i) for i in range(size + 2)]
    matrix = [[inverse[i - j + 1] if i - j + 1 >= 0 else 0.0 for j in range(size)] for i in range(size)]
    for i in range(size):
        matrix[i][0] -= h ** (i + 1) * inverse[i + 1]
        matrix[size - 1][i] -= h ** (size - i) * inverse[size - i]
    matrix[size - 1][0] += max(0.0, 2 * h - 1) ** size * inverse[size]
    scale = math.exp(math.lgamma(n + 1) / n) / n  # the n-th root of n! / n^n, so that nothing grows out of range
    scaled = [[entry * scale for entry in row] for row in matrix]
    return _power(scaled, n)[k - 1][k - 1]


def _power(matrix: list[list[float]], exponent: int) -> list[list[float]]:
    result: list[list[float]] | None = None
    while True:
        if exponent & 1:
            result = matrix if result is None else _product(result, matrix)
        exponent >>= 1
        if not exponent:
            assert result is not None
            return result
        matrix = _product(matrix, matrix)


def _product(left: list[list[float]], right: list[list[float]]) -> list[list[float]]:
    columns = list(zip(*right, strict=True))
    return [[sum(map(mul, row, column)) for column in columns] for row in left]


def _pelz_good(x: float, n: int) -> float:
    """P(D < x): the limit K0 and its corrections K1 / sqrt(n), K2 / n, K3 / n^1.5, each as a theta series that ends soon for small x."""
    z = x * math.sqrt(n)
    z2 = z * z
    k0 = k1 = k2 = k3 = 0.0
    for k in range(1, math.ceil(16 * z / math.pi) + 2):
        m2 = (k - 0.5) ** 2 * _PI2  # odd multiples of pi / 2, squared
        weight = math.exp(-m2 / (2 * z2))
        k0 += weight
        k1 += (m2 - z2) * weight
        k2 += ((6 * z2 + 2) * z2**2 + (2 * z2 - 5) * z2 * m2 + (1 - 2 * z2) * m2**2) * weight
        k3 += (
            -30 * z2**3 - 90 * z2**4 + (135 * z2**2 - 96 * z2**3) * m2 + (212 * z2**2 - 60 * z2) * m2**2 + (5 - 30 * z2) * m2**3
        ) * weight
        whole = k * k * _PI2
        even = math.exp(-whole / (2 * z2)) * whole
        k2 -= 2 * z2**2 * even
        k3 += 30 * z2**2 * (3 * z2 - whole) * even
    root = math.sqrt(2 * math.pi)
    parts = (k0 / z, k1 / (6 * z**4) / math.sqrt(n), k2 / (72 * z**7) / n, k3 / (6480 * z**10) / n**1.5)
    return root * math.fsum(parts)
