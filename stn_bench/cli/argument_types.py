"""Whether a config's values are of the types that its constructors' hints ask for.

A config has no types but those of its root, and a constructor may take a wrong value for long: each word is true, "no",
too.
"""

import inspect
import math
from collections.abc import Callable, Mapping
from functools import reduce
from operator import or_
from types import GenericAlias, NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import msgspec


def misfit(constructor: Callable[..., Any], arguments: Mapping[str, Any]) -> str | None:
    """The first argument, as YAML has it, of another type than `constructor` asks for, in words; None if all fit.

    Numbers must be finite. What has a config of its own (a mapping), and hints of functions and of certain words
    (`Literal`), which constructors explain better, count as fitting.
    """
    try:
        hints = get_type_hints(constructor.__init__ if inspect.isclass(constructor) else constructor)
    except (NameError, TypeError):  # of names that are not there at run time
        return None
    for name, value in arguments.items():
        if name not in hints or isinstance(value, dict) or _is_left_to_constructors(hints[name]):
            continue
        if isinstance(value, float) and not math.isfinite(value):
            return f"{name}={value} is not a finite number"
        try:
            msgspec.convert(value, _held_by_yaml(hints[name]))
        except msgspec.ValidationError as error:
            return f"{name}={_in_yaml(value)} does not fit: {error}"
        except TypeError:  # a hint that the library does not know
            continue
    return None


def _is_left_to_constructors(hint: Any) -> bool:
    return get_origin(hint) in (Literal, Callable) or any(map(_is_left_to_constructors, get_args(hint)))


def _held_by_yaml(hint: Any) -> Any:
    """A hint without what no YAML holds, as the Tensor of float | Tensor."""
    origin, parts = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        held = [part for part in parts if part in (bool, int, float, str, NoneType) or get_origin(part)]
        return reduce(or_, map(_held_by_yaml, held)) if held else hint
    return GenericAlias(tuple, tuple(map(_held_by_yaml, parts))) if origin is tuple else hint


def _in_yaml(value: Any) -> str:
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
