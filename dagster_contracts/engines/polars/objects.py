"""Arrays, maps and objects as Python holds them: the dicts, lists and NumPy arrays in the cells of a pandas object column."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dagster_contracts.core.metrics import Absent, Metric, Repeating, SizeOutside, TypeBreaches

CONTAINERS = ("object", "array", "map", "vector")
_ARRAYS = (list, tuple, set, frozenset)


def is_container(kind: type) -> bool:
    return issubclass(kind, (dict, *_ARRAYS)) or kind.__name__ == "ndarray"


def is_array(cell: object) -> bool:
    return isinstance(cell, _ARRAYS) or type(cell).__name__ == "ndarray"


def is_map(cell: object) -> bool:
    """A dict, or the list of pairs that Arrow makes of a map."""
    return isinstance(cell, dict) or (isinstance(cell, list) and bool(cell) and all(isinstance(e, tuple) and len(e) == 2 for e in cell))


def is_null(cell: object) -> bool:
    return cell is None or (isinstance(cell, float) and cell != cell) or type(cell).__name__ in ("NAType", "NaTType")


def of_containers(metric: Metric) -> bool:
    """Whether a metric judges arrays, maps and objects as such."""
    return isinstance(metric, SizeOutside | Repeating | Absent) or (isinstance(metric, TypeBreaches) and metric.logical_type in CONTAINERS)


def breaks(metric: Metric, cell: object) -> bool:
    """Whether a value is there and does not meet a metric of containers."""
    if is_null(cell):
        return False
    match metric:
        case TypeBreaches(logical_type=logical):
            return not _of_type(logical, cell)
        case SizeOutside(minimum=low, maximum=high):
            size = _size(cell)
            return size is None or (low is not None and size < low) or (high is not None and size > high)
        case Repeating():
            return not is_array(cell) or _repeats(cell)
        case Absent(field=field):
            return field not in (_mapped(cell) if is_map(cell) else ())
    raise AssertionError(metric)


def _of_type(logical: str, cell: object) -> bool:
    match logical:
        case "object":
            return isinstance(cell, dict)
        case "map":
            return is_map(cell) or (isinstance(cell, list) and not cell)
        case "vector":
            return is_array(cell) and all(_is_number(element) for element in _elements(cell))
        case _:
            return is_array(cell)


def _is_number(element: Any) -> bool:
    return not isinstance(element, bool) and not is_null(element) and hasattr(element, "__float__")


def _elements(cell: Any) -> list[Any]:
    return list(cell)


def _mapped(cell: Any) -> Mapping[object, object]:
    return cell if isinstance(cell, dict) else dict(cell)


def _size(cell: Any) -> int | None:
    if isinstance(cell, dict):
        return sum(not is_null(value) for value in cell.values())
    return len(cell) if is_array(cell) else None


def _repeats(cell: Any) -> bool:
    seen: set[object] = set()
    for element in _elements(cell):
        form = _form(element)
        if form in seen:
            return True
        seen.add(form)
    return False


def _form(element: Any) -> object:
    """Equal for equal elements, and hashable: 1 and 1.0 are equal, 1 and true are not."""
    if is_null(element):
        return None
    if isinstance(element, dict):
        return frozenset((key, _form(value)) for key, value in element.items())
    if is_array(element):
        return tuple(_form(each) for each in element)
    return (isinstance(element, bool), element)
